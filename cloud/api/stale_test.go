package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

func TestTheAnswersOfANodeThatIsCutOffSaySo(t *testing.T) { // I3
	var cut error
	h := Marked(func() error { return cut }, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		WriteProblem(w, http.StatusNotFound, "no such thing")
	}))
	for _, err := range []error{nil, errors.New("cut off"), nil} {
		cut = err
		got := httptest.NewRecorder()
		h.ServeHTTP(got, httptest.NewRequest(http.MethodGet, "/v1/sites", nil))
		want := ""
		if err != nil {
			want = err.Error()
		}
		if mark := got.Result().Header.Get(client.StaleHeader); mark != want || got.Code != http.StatusNotFound {
			t.Errorf("%v: %d, marked %q", err, got.Code, mark)
		}
	}
}
