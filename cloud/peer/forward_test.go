package peer_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

const command = "/v1/sites/hq/devices/r1/commands"

func TestARequestFollowsASiteThatHasMoved(t *testing.T) {
	w := newTown(t, "n1", "n2", "n3")
	w.all("hq", "n3")
	n1 := w.nodes["n1"]
	n1.heard["hq"], n1.fresh["hq"] = "n2", "n3"
	code, got, _ := n1.ask("POST", command, "{1}")
	if want := `n3 POST ` + command + ` "{1}"`; code != http.StatusOK || got != want {
		t.Errorf("%d %s, want %s", code, got, want)
	}
	if a, m, again := n1.looks, w.nodes["n2"].count("atrium_peer_misdirected_total", ""), n1.count("atrium_peer_again_total", "moved"); a != 1 || m != 1 || again != 1 {
		t.Errorf("%d fresh looks, %v misdirected, %v again; want one each", a, m, again)
	}
}

func TestARequestWhoseSiteHasComeHereIsAnsweredHere(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n1")
	n1 := w.nodes["n1"]
	n1.heard["hq"], n1.fresh["hq"] = "n2", "n1"
	code, got, _ := n1.ask("POST", command, "{1}")
	if want := `n1 POST ` + command + ` "{1}"`; code != http.StatusOK || got != want {
		t.Errorf("%d %s, want %s", code, got, want)
	}
}

// Two nodes each take the other for the owner: nobody does what was asked, and
// it goes round no further.
func TestARequestThatEachNodeLeavesToTheOtherEnds(t *testing.T) {
	w := newTown(t, "n1", "n2")
	n1, n2 := w.nodes["n1"], w.nodes["n2"]
	n1.heard["hq"], n2.heard["hq"] = "n2", "n1"
	for _, h := range w.nodes {
		h.local = func(http.ResponseWriter, *http.Request) { t.Errorf("node %s did it", h.name) }
	}
	code, got, header := n1.ask("POST", command, "{}")
	if code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.Contains(got, "hq is on its way to another owner") {
		t.Errorf("%d %s", code, got)
	}
	if a, b := n2.count("atrium_peer_misdirected_total", ""), n1.count("atrium_peer_misdirected_total", ""); a != 2 || b != 0 {
		t.Errorf("n2 was asked %v times and n1 %v, want 2 and 0", a, b)
	}
}

// Nothing was sent to a node that cannot be reached: even a command may go to
// another.
func TestARequestLeavesAnOwnerThatCannotBeReached(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n2")
	n1 := w.nodes["n1"]
	n1.heard["hq"], n1.fresh["hq"] = "dead", "n2"
	if code, got, _ := n1.ask("POST", command, "{1}"); code != http.StatusOK || !strings.HasPrefix(got, `n2 POST`) || !strings.HasSuffix(got, `"{1}"`) {
		t.Errorf("%d %s", code, got)
	}
	n1.fresh["hq"] = "dead"
	code, got, header := n1.ask("POST", command, "{1}")
	if code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.Contains(got, "node dead, which owns site hq") {
		t.Errorf("%d %s", code, got)
	}
	n1.fresh["hq"] = ""
	if code, got, _ = n1.ask("GET", command, ""); code != http.StatusServiceUnavailable || !strings.Contains(got, "not active") {
		t.Errorf("%d %s", code, got)
	}
	if n := n1.count("atrium_peer_forwarded_total", "unavailable"); n != 2 {
		t.Errorf("%v counted as unavailable, want 2", n)
	}
}

// An owner that dies while it holds a command has perhaps done it: it is not
// asked again, here or elsewhere, or a device would act twice.
func TestACommandThatWasSentIsNotSentAgain(t *testing.T) {
	w := newTown(t, "n1", "n2", "n3")
	w.all("hq", "n2")
	n1 := w.nodes["n1"]
	n1.fresh["hq"] = "n3"
	w.nodes["n3"].heard["hq"] = "n3"
	var asked atomic.Int32
	w.nodes["n2"].local = func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}
	code, got, header := n1.ask("POST", command, "{1}")
	if code != http.StatusBadGateway || header.Get("Retry-After") != "" || !strings.Contains(got, "has perhaps done it") {
		t.Errorf("%d %s", code, got)
	}
	if n := asked.Load(); n != 1 || n1.looks != 0 {
		t.Errorf("asked %d times, %d fresh looks", n, n1.looks)
	}
	// What changes nothing is simply asked again.
	if code, got, _ := n1.ask("GET", command, ""); code != http.StatusOK || !strings.HasPrefix(got, "n3 GET") {
		t.Errorf("%d %s", code, got)
	}
	if n := n1.count("atrium_peer_forwarded_total", "perhaps"); n != 1 {
		t.Errorf("%v counted as perhaps, want 1", n)
	}
}

func TestABodyTooLargeToKeepIsSentOnce(t *testing.T) {
	w := newTown(t, "n1", "n2", "n3")
	w.all("hq", "n2")
	n1 := w.nodes["n1"]
	large := strings.Repeat("x", 1<<20)
	var got string
	w.nodes["n2"].local = func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
	}
	if code, _, _ := n1.ask("POST", command, large); code != http.StatusOK || got != large {
		t.Errorf("%d, and %d bytes arrived", code, len(got))
	}
	w.nodes["n2"].heard["hq"] = "n3"
	n1.fresh["hq"] = "n3"
	code, body, header := n1.ask("POST", command, large)
	if code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || n1.looks != 0 {
		t.Errorf("%d %s, %d fresh looks", code, body, n1.looks)
	}
}

// A pipeline is compared with the site's devices where they are; if nobody can,
// it is applied all the same, as on a node alone.
func TestAPipelineIsPutWithoutItsSitesOwnerToo(t *testing.T) {
	w := newTown(t, "n1", "n2")
	n1 := w.nodes["n1"]
	for _, owner := range []string{"", "dead"} {
		w.all("hq", owner)
		if code, got, _ := n1.ask("PUT", "/v1/documents/pipeline/hq%2Fwarm", "x"); code != http.StatusOK || got != `n1 PUT /v1/documents/pipeline/hq%2Fwarm "x"` {
			t.Errorf("owner %q: %d %s", owner, code, got)
		}
	}
	if n := n1.count("atrium_peer_forwarded_total", "here"); n != 1 {
		t.Errorf("%v counted as here, want 1", n)
	}
}

// What the owner says comes as it said it; what the asker says arrives as it was
// said, its Host and origin included, which the owner's guard judges: its refusal
// is an answer, and no word about owners.
func TestAnAnswerPassesAsItIs(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n2")
	w.nodes["n2"].local = func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "localhost:8080" || r.Header.Get("Origin") != "https://evil.example" || r.Header.Get("If-Match") != `"7"` {
			t.Errorf("host %q, header %v", r.Host, r.Header)
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("ETag", `"8"`)
		w.WriteHeader(http.StatusMisdirectedRequest)
		io.WriteString(w, "{}")
	}
	r := httptest.NewRequest("GET", "http://localhost:8080/v1/sites/hq/devices", nil)
	r.Header.Set("Origin", "https://evil.example")
	r.Header.Set("If-Match", `"7"`)
	r.Header.Set("Connection", "Upgrade, HTTP2-Settings") // as curl --http2 offers
	r.Header.Set("Upgrade", "h2c")
	rec := httptest.NewRecorder()
	w.nodes["n1"].people.ServeHTTP(rec, r)
	if rec.Code != http.StatusMisdirectedRequest || rec.Body.String() != "{}" || rec.Header().Get("ETag") != `"8"` || rec.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s %v", rec.Code, rec.Body, rec.Header())
	}
}

func TestARequestThatIsAbandonedEndsAtTheOwner(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n2")
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan struct{})
	w.nodes["n2"].local = func(_ http.ResponseWriter, r *http.Request) {
		leave()
		<-r.Context().Done()
		close(ended)
	}
	func() {
		defer func() {
			if why := recover(); why != http.ErrAbortHandler {
				t.Errorf("the connection of who has left was not given up: %v", why)
			}
		}()
		r := httptest.NewRequestWithContext(ctx, "GET", "/v1/sites/hq/devices", nil)
		w.nodes["n1"].people.ServeHTTP(httptest.NewRecorder(), r)
	}()
	<-ended
	if n := w.nodes["n1"].count("atrium_peer_forwarded_total", "abandoned"); n != 1 {
		t.Errorf("%v counted as abandoned, want 1", n)
	}
}

func TestANodeThatIsWronglyAskedNamesTheOwner(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n2")
	w.nodes["n1"].heard["far"] = "n1"
	code, body := w.nodes["n2"].askPeer(w.nodes["n1"], "/v1/sites/hq/devices")
	if code != http.StatusMisdirectedRequest || !strings.Contains(body, "node n1 does not own site hq: by what it knows, n2 does") {
		t.Errorf("%d %s", code, body)
	}
	if code, body = w.nodes["n2"].askPeer(w.nodes["n1"], "/v1/sites/far/devices"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
	if code, body = w.nodes["n2"].askPeer(w.nodes["n1"], "/v1/sites/nowhere/devices"); code != http.StatusOK || !strings.HasPrefix(body, "n1 GET") {
		t.Errorf("of a site that is not: %d %s", code, body)
	}
}

// What the way to the owner costs, next to a request that stays.
func BenchmarkARequest(b *testing.B) {
	w := newTown(b, "n1", "n2")
	w.all("hq", "n2")
	w.all("far", "n1")
	for name, site := range map[string]string{"forwarded": "hq", "here": "far"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if code, _, _ := w.nodes["n1"].ask("GET", "/v1/sites/"+site+"/devices", ""); code != http.StatusOK {
					b.Fatal(code)
				}
			}
		})
	}
}
