package peer

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/shared/id"
)

// A route that is added to the API without a thought where it is answered would
// be answered by whoever is asked, from a state that is not its own.
func TestEveryRouteOfTheAPIHasItsPlace(t *testing.T) {
	mux := http.NewServeMux()
	api.Register(t.Context(), mux, "test", nil, nil, nil)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest("GET", "/v1/openapi.json", nil))
	var description struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &description); err != nil || len(description.Paths) == 0 {
		t.Fatalf("no description: %v", err)
	}
	design, err := os.ReadFile("DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	places := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]*)` \\| (owner|any)").FindAllStringSubmatch(string(design), -1) {
		places[row[1]] = row[2]
	}
	fill := strings.NewReplacer("{site}", "hq", "{kind}", "room", "{name}", "hq%2Fx", "{shard}", "3", "{node}", "n1")
	for path, methods := range description.Paths {
		for method := range methods {
			route := strings.ToUpper(method) + " " + path
			want, named := places[route]
			delete(places, route)
			if !named {
				t.Errorf("%s has no place in DESIGN.md", route)
			}
			got := "any"
			if at, _ := placeOf(fill.Replace(path)); at == atOwner {
				got = "owner"
			}
			if got != want {
				t.Errorf("%s is answered at %s, and DESIGN.md says %s", route, got, want)
			}
		}
	}
	for route := range places {
		t.Errorf("DESIGN.md has %s, the API has not", route)
	}
}

func TestAPipelineGoesToTheOwnerOfItsSite(t *testing.T) {
	for path, want := range map[string]id.Site{
		"/v1/documents/pipeline/hq%2Fwarm": "hq",
		"/v1/documents/pipeline/hq/warm":   "hq",
		"/v1/documents/pipeline/hq%2":      "",
		"/v1/documents/pipeline/":          "",
		"/v1/documents/pipeline":           "",
		"/v1/documents/room/hq%2Fwarm":     "",
	} {
		at, site := placeOf(path)
		if site != want || (at == ratherAtOwner) != (want != "") {
			t.Errorf("%s = %d %q, want site %q", path, at, site, want)
		}
	}
}

// Who asks why a site is not served gets an answer from any node.
func TestAPlacementIsRatherAskedAtTheOwner(t *testing.T) {
	if at, site := placeOf("/v1/sites/hq/placement"); at != ratherAtOwner || site != "hq" {
		t.Errorf("%d %q", at, site)
	}
	if at, _ := placeOf("/v1/sites/hq/placements"); at != atOwner {
		t.Errorf("another route of a site: %d", at)
	}
}

// The API's router decides what is asked for: here the same site must be read
// in a path, or a node would answer for a site that is not its own.
func FuzzASiteIsReadAsTheRouterReadsIt(f *testing.F) {
	for _, path := range []string{
		"/v1/sites/hq/devices", "/v1/sites/h%71/devices/x", "/v1/sites/hq", "/v1/sites//devices", "/v1/sites/hq%2Fx/devices",
		"/v1/sites/../sites/hq/devices", "/v1/sites/UP/devices", "/v1/sites/hq/", "/v1/sites/%/x", "//v1/sites/hq/x", "/v1/sites/hq//x", "/v1/sites/./x",
		"/v1/sites/hq/placement",
	} {
		f.Add(path)
	}
	var routed string
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/sites/{site}/{rest...}", func(_ http.ResponseWriter, r *http.Request) { routed = r.PathValue("site") })
	f.Fuzz(func(t *testing.T, path string) {
		if strings.ContainsAny(path, "?# \x00\r\n") || !strings.HasPrefix(path, "/") {
			return
		}
		r, err := http.NewRequest("GET", "http://localhost"+path, nil)
		if err != nil {
			return
		}
		routed = ""
		mux.ServeHTTP(httptest.NewRecorder(), r)
		site, err := id.ParseSite(routed)
		if err != nil {
			site = ""
		}
		at, got := placeOf(r.URL.EscapedPath())
		if site != "" && (at == anywhere || got != site) {
			t.Errorf("%q is of site %q by the router, %d %q here", path, site, at, got)
		}
		if at == atOwner && routed != "" && got != site {
			t.Errorf("%q is of site %q here, %q by the router", path, got, routed)
		}
	})
}
