package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

// badParameter is a 400 that names a parameter and says what it may be.
func badParameter(where, value string, err error) error {
	return huma.Error400BadRequest(fmt.Sprintf("%s: %v", where, err), &huma.ErrorDetail{Location: where, Message: err.Error(), Value: value})
}

// answered turns an error of Views or History into an answer. what is what
// was looked for and where the ones that exist are listed.
func answered(err error, what, list string) error {
	if errors.Is(err, ErrNotFound) {
		return huma.Error404NotFound(fmt.Sprintf("no %s here: GET %s lists what there is", what, list))
	}
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUndecided) || errors.Is(err, ErrNotStored) {
		return huma.Error503ServiceUnavailable(fmt.Sprintf("%s: %v: try again in a moment", what, err))
	}
	if errors.Is(err, ErrNoHeir) {
		return huma.Error409Conflict(fmt.Sprintf("%s: %v: add a node first", what, ErrNoHeir))
	}
	return huma.Error500InternalServerError(fmt.Sprintf("%s: %v", what, err))
}

// WriteProblem writes an answer outside huma.
func WriteProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	//nolint:errcheck // the client is gone: there is nobody to tell
	json.NewEncoder(w).Encode(client.Error{Status: status, Title: http.StatusText(status), Detail: detail})
}

func parseSite(s string) (id.Site, error) {
	site, err := id.ParseSite(s)
	if err != nil {
		return "", badParameter("path.site", s, err)
	}
	return site, nil
}

func parseDevice(site, device string) (id.Device, error) {
	if _, err := parseSite(site); err != nil {
		return id.Device{}, err
	}
	dev, err := id.ParseDevice(site + "/" + device)
	if err != nil {
		return id.Device{}, badParameter("path.device", device, err)
	}
	return dev, nil
}
