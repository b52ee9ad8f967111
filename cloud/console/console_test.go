package console_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/console"
)

func serve(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	if err := console.Register(mux); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, url string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestThePageAndAllThatItNamesAreServed(t *testing.T) {
	s := serve(t)
	resp, page := get(t, s.URL+"/")
	if resp.StatusCode != http.StatusOK || !strings.Contains(page, "<title>Atrium</title>") {
		t.Fatalf("%s %q", resp.Status, page)
	}
	for _, name := range []string{"app.js", "chart.js", "words.js", "style.css", "uplot.js", "uplot.css", "icon.svg", "uplot.LICENSE"} {
		resp, body := get(t, s.URL+"/"+name)
		if resp.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("%s: %s, %d bytes", name, resp.Status, len(body))
		}
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'self'") {
			t.Errorf("%s: policy %q", name, csp)
		}
	}
	if resp, _ := get(t, s.URL+"/none.js"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an unknown file: %s", resp.Status)
	}
}

func TestAFileThatTheBrowserHasIsNotSentAgain(t *testing.T) {
	s := serve(t)
	first, _ := get(t, s.URL+"/app.js")
	again, body := get(t, s.URL+"/app.js", "If-None-Match", first.Header.Get("ETag"))
	if again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("%s, %d bytes", again.Status, len(body))
	}
	if other, _ := get(t, s.URL+"/app.js", "If-None-Match", `"0"`); other.StatusCode != http.StatusOK {
		t.Errorf("another version: %s", other.Status)
	}
}
