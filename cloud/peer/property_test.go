package peer_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// deed is what a node does with a request that it takes for its own.
type deed string

const (
	does          deed = "does it"
	breaksOff     deed = "breaks off before it"
	doesAndBreaks deed = "does it and breaks off"
)

// Whatever each node believes of the owners and wherever one breaks off, a
// command is carried out at most once, only by a node that takes itself for the
// owner, and the answer says truly whether it was (I1, I3).
func TestACommandIsCarriedOutOnceOrNot(t *testing.T) {
	w := newTown(t, "n1", "n2", "n3")
	var mu sync.Mutex
	var done []string
	var deeds map[string]deed
	for name, h := range w.nodes {
		h.local = func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if deeds[name] != breaksOff {
				done = append(done, name)
			}
			if deeds[name] != does {
				panic(http.ErrAbortHandler)
			}
			fmt.Fprint(w, name)
		}
	}
	believed := rapid.SampledFrom([]string{"n1", "n2", "n3", "dead", ""})
	rapid.Check(t, func(t *rapid.T) {
		done, deeds = nil, make(map[string]deed)
		for _, name := range []string{"n1", "n2", "n3"} {
			h := w.nodes[name]
			h.heard["hq"] = believed.Draw(t, name+" has heard")
			h.fresh["hq"] = believed.Draw(t, name+" finds")
			deeds[name] = does
			if name != "n1" { // whoever is asked first lives
				deeds[name] = rapid.SampledFrom([]deed{does, breaksOff, doesAndBreaks}).Draw(t, name)
			}
		}
		method := rapid.SampledFrom([]string{"POST", "GET"}).Draw(t, "method")
		code, body, header := w.nodes["n1"].ask(method, command, strings.Repeat("x", rapid.SampledFrom([]int{0, 10, 200 << 10}).Draw(t, "body")))
		mu.Lock()
		defer mu.Unlock()
		for _, name := range done {
			// n1 acts by its fresh look too, when another has sent it back.
			if h := w.nodes[name]; h.heard["hq"] != name && h.fresh["hq"] != name {
				t.Fatalf("%s did it, and takes %q for the owner", name, h.heard["hq"])
			}
		}
		switch {
		case method == "GET" && len(done) <= 2 && (code == http.StatusOK || code == http.StatusServiceUnavailable):
		case code == http.StatusOK && len(done) == 1 && slices.Contains(done, body):
		case code == http.StatusServiceUnavailable && len(done) == 0 && header.Get("Retry-After") != "":
		case code == http.StatusBadGateway && len(done) <= 1 && header.Get("Retry-After") == "":
		default:
			t.Fatalf("%s: %d %s, done by %v", method, code, body, done)
		}
	})
}
