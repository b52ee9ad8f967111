package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api"
)

func TestPagesOfOtherOriginsChangeNothing(t *testing.T) {
	var served int
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/", func(http.ResponseWriter, *http.Request) { served++ })
	h := api.Handler(mux)
	for _, c := range []struct {
		what, method, host string
		header             http.Header
		want               int
	}{
		{"a program", "POST", "127.0.0.1:7480", nil, 200},
		{"the page itself", "POST", "127.0.0.1:7480", http.Header{"Sec-Fetch-Site": {"same-origin"}}, 200},
		{"another page", "POST", "127.0.0.1:7480", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, 403},
		{"an old browser's other page", "PUT", "127.0.0.1:7480", http.Header{"Origin": {"https://evil.example"}}, 403},
		{"another page that only reads", "GET", "127.0.0.1:7480", http.Header{"Sec-Fetch-Site": {"cross-site"}}, 200},
		{"a name that was rebound", "GET", "evil.example:7480", nil, 421},
		{"localhost", "GET", "localhost:7480", nil, 200},
		{"IPv6", "GET", "[::1]:7480", nil, 200},
		{"IPv6 on port 80", "GET", "[::1]", nil, 200},
		{"an address of others", "GET", "192.0.2.1", nil, 421},
	} {
		served = 0
		r := httptest.NewRequest(c.method, "/v1/status", nil)
		r.Host = c.host
		for k, v := range c.header {
			r.Header[k] = v
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want || (served == 1) != (c.want == 200) {
			t.Errorf("%s: %d, served %d times, want %d", c.what, w.Code, served, c.want)
		}
		if c.want != 200 && !strings.Contains(w.Header().Get("Content-Type"), "problem+json") {
			t.Errorf("%s: %s", c.what, w.Header().Get("Content-Type"))
		}
	}
}
