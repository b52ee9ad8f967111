package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// district answers as the node of a cluster: core nodes n1 and n2, workers w1
// and w2. A node that drains serves one shard less each time that shards are
// asked for, but w1 never lets go of its last one. It advises to take w2 out,
// and then to wait. Its sites are those of campus.
type district struct {
	mu     sync.Mutex
	shards map[string]int // by node
	drains map[string]bool
	dead   map[string]bool
}

func newDistrict() http.Handler {
	d := &district{shards: map[string]int{"n1": 3, "n2": 3, "w1": 2, "w2": 2}, drains: map[string]bool{}, dead: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/nodes", func(w http.ResponseWriter, _ *http.Request) { d.encode(w, page(d.nodes()...)) })
	mux.HandleFunc("GET /v1/shards", func(w http.ResponseWriter, _ *http.Request) { d.encode(w, page(d.step()...)) })
	mux.HandleFunc("PUT /v1/nodes/{node}/drain", d.drain)
	mux.HandleFunc("GET /v1/advice", func(w http.ResponseWriter, _ *http.Request) { d.encode(w, d.advise()) })
	why := client.Placement{
		Shard: 3, Owner: "n1", OwnerState: "live", Target: "n1", Rule: "hysteresis-kept",
		Text: "shard 3 stays on n1: hysteresis-kept: another scores higher, but not by 10 %\n  1. w1: score 5\n  2. n1: score 4.9", Candidates: []client.Candidate{{Rank: 1, Node: "w1", Score: 5}},
	}
	answer(mux, "/v1/shards/3/why", why)
	answer(mux, "/v1/sites/hq/placement", why)
	newCampus().serve(mux)
	mux.HandleFunc("GET /kill/{node}", func(_ http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.dead[r.PathValue("node")] = true
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { refuse(w, "nothing at "+r.URL.Path) })
	return mux
}

func (d *district) encode(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that is gone reads no error
}

var districtNodes = []string{"n1", "n2", "w1", "w2"}

func (d *district) nodes() (all []client.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range districtNodes {
		n := client.Node{Node: name, State: "live", Core: name[0] == 'n', Capacity: 2, CPU: 0.125, Shards: make([]int, d.shards[name]), Version: "test"}
		if d.drains[name] {
			n.State = "draining"
		}
		if d.dead[name] {
			n.State = "dead"
		}
		all = append(all, n)
	}
	return all
}

// step hands a shard of each node that drains to n1, and returns all.
func (d *district) step() (all []client.Holding) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for node := range d.drains {
		if d.shards[node] > 1 || d.shards[node] == 1 && node != "w1" {
			d.shards[node]--
			d.shards["n1"]++
		}
	}
	for _, name := range districtNodes {
		for range d.shards[name] {
			all = append(all, client.Holding{Shard: len(all), Owner: name, State: "active", Epoch: 7, Rule: "top-ranked", Target: name, Sites: 1})
		}
	}
	return all
}

func (d *district) drain(w http.ResponseWriter, r *http.Request) {
	var in client.DrainRequest
	_ = json.NewDecoder(r.Body).Decode(&in) // what is not right is false
	name := r.PathValue("node")
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, known := d.shards[name]; !known {
		refuse(w, "no node "+name+" here: GET /v1/nodes lists what there is")
		return
	}
	if delete(d.drains, name); in.Drain {
		d.drains[name] = true
	}
	d.encode(w, client.Drain{Node: name, Drain: in.Drain, Shards: d.shards[name], Core: name[0] == 'n'})
}

func (d *district) advise() client.Advice {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.drains["w2"] || d.dead["w2"] {
		return client.Advice{Action: "stay", Why: "no sign has lasted for 3m0s"}
	}
	return client.Advice{Action: "in", Why: "CPU is below 30 %", Node: "w2"}
}

// printed calls f with each text that is printed.
type printed func(text string)

func (f printed) Write(b []byte) (int, error) {
	f(string(b))
	return len(b), nil
}

// Who no longer wants to wait is told that the drain goes on.
func TestCtrlCEndsTheWaitingAndNotTheDrain(t *testing.T) {
	d := newDistrict()
	srv := httptest.NewServer(d)
	defer srv.Close()
	ctx, stop := context.WithCancel(t.Context())
	root := newRoot()
	root.SetArgs([]string{"node", "drain", "w1", "--wait", "--api", srv.URL})
	root.SetErr(io.Discard)
	root.SetOut(printed(func(text string) {
		if strings.Contains(text, "1 left") {
			stop()
		}
	}))
	err := root.ExecuteContext(ctx)
	if err == nil || !strings.Contains(err.Error(), "w1 is drained on; atrium node drain w1 --undo stops that") {
		t.Error(err)
	}
}

// A node that is asked in vain for ten seconds is not asked for ever.
func TestADrainWhoseNodeFallsSilentIsGivenUp(t *testing.T) {
	t.Parallel()
	d := newDistrict()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/shards" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		d.ServeHTTP(w, r)
	}))
	defer srv.Close()
	root := newRoot()
	root.SetArgs([]string{"node", "drain", "w1", "--wait", "--api", srv.URL})
	root.SetErr(io.Discard)
	root.SetOut(io.Discard)
	if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "502") {
		t.Error(err)
	}
}

// The whole of taking a node out: drained, empty, its command run once with the
// node's name, the drain taken back.
func TestAutoscaleStopsANodeThatServesNothing(t *testing.T) {
	d := newDistrict()
	srv := httptest.NewServer(d)
	defer srv.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var said, errs strings.Builder
	root := newRoot()
	root.SetArgs([]string{"autoscale", "--max", "4", "--in", `echo "$ATRIUM_ACTION $ATRIUM_NODE"`, "--json", "--api", srv.URL})
	root.SetErr(printed(func(text string) { // of the command
		errs.WriteString(text)
		d.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/kill/w2", nil))
	}))
	root.SetOut(printed(func(text string) {
		said.WriteString(text)
		if strings.Contains(text, `"done"`) || strings.Contains(text, `"failed"`) {
			stop()
		}
	}))
	if err := root.ExecuteContext(ctx); err != nil {
		t.Error(err)
	}
	var steps []string
	for line := range strings.Lines(said.String()) {
		var e struct{ Step, Action, Node string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, e.Step+" "+e.Action+" "+e.Node)
	}
	if got := strings.Join(steps, ", "); got != "decided in w2, drained in w2, done in w2" || errs.String() != "in w2\n" {
		t.Errorf("said %s; the command printed %q", said.String(), errs.String())
	}
	resp, err := http.Get(srv.URL + "/v1/nodes")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); !strings.Contains(string(text), `"dead"`) || strings.Contains(string(text), "draining") {
		t.Errorf("left %s", text)
	}
}

func TestACommandThatFailsIsSaid(t *testing.T) {
	var out strings.Builder
	err := shell(t.Context(), &out, "echo trouble; exit 3", "out", "")
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || out.String() != "trouble\n" {
		t.Errorf("%v, printed %q", err, out.String())
	}
}
