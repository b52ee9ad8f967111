package api_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// I1: what a node has not filled in yet after it took a shard over is missing
// in its answers, and they say so.
func TestHistoryThatIsStillFilledInSaysSo(t *testing.T) {
	for _, lacks := range []bool{false, true} {
		url := serve(t, fakeViews{}, fakeHistory{lacks: lacks})
		for path, of := range map[string]bool{ // whether it is about hq
			"/v1/sites/hq/devices/c1/history?point=count": true,
			"/v1/sites/hq/ledger":                         true,
			"/v1/sites/lab/ledger":                        false,
			"/v1/sites/hq/devices":                        false,
		} {
			var page struct {
				Incomplete bool              `json:"incomplete"`
				Items      []json.RawMessage `json:"items"`
			}
			if err := getJSON(t, url+path, &page); err != nil {
				t.Fatal(path, err)
			}
			if want := of && lacks; page.Incomplete != want {
				t.Errorf("%s, rows lacking %t: incomplete is %t", path, lacks, page.Incomplete)
			}
		}
	}
	// A device whose series are not here yet is not unknown.
	var page client.Page[client.Reading]
	url := serve(t, fakeViews{}, fakeHistory{lacks: true})
	if err := getJSON(t, url+"/v1/sites/hq/devices/new/history?point=count", &page); err != nil || !page.Incomplete || len(page.Items) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestWhatIsStillFilledInIsNotVerified(t *testing.T) {
	c := newClient(t, fakeViews{}, fakeHistory{lacks: true})
	if _, err := c.Verification(t.Context(), nil); !errors.Is(err, client.ErrIncomplete) {
		t.Fatal(err)
	}
}

func getJSON(t *testing.T, url string, into any) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return errors.New(string(data))
	}
	return json.Unmarshal(data, into)
}
