package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

func clusterOf(state string, owner string) clusterState {
	return clusterState{
		At:     time.Date(2026, 5, 4, 12, 0, 0, 0, time.Local),
		Nodes:  []client.Node{{Node: "n1", State: "live", Core: true, Capacity: 2, CPU: 0.5, Shards: []int{0}}, {Node: "w1", State: state, Capacity: 2}},
		Shards: []client.Holding{{Shard: 0, Owner: "n1", State: "active", Target: "n1", Rule: "top-ranked"}, {Shard: 1, Owner: owner, State: "active", Target: "n1", Rule: "drain"}},
		Advice: client.Advice{Action: "stay", Why: "no sign"},
	}
}

func TestTheClustersTableShowsWhatIsOnItsWay(t *testing.T) {
	var b strings.Builder
	if err := drawCluster(&b, clusterOf("draining", "w1"), nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\x1b[H", "w1    draining  worker", "2 shards, 2 active\n", "  shard 1  w1  active  -> n1  drain\n", "advice: stay: no sign\n12:00:00\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "shard 0") {
		t.Errorf("a shard at rest is shown:\n%s", b.String())
	}
}

func TestTheClustersLinesAreItsChanges(t *testing.T) {
	var b strings.Builder
	l := &clusterLines{}
	for _, s := range []clusterState{clusterOf("live", "w1"), clusterOf("live", "w1"), clusterOf("draining", "w1"), clusterOf("draining", "n1")} {
		if err := l.show(&b, s, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := l.show(&b, clusterOf("", ""), errors.New("refused")); err != nil {
			t.Fatal(err)
		}
	}
	last := clusterOf("draining", "n1")
	last.Nodes, last.Advice.Action = last.Nodes[:1], "out"
	if err := l.show(&b, last, nil); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"node n1: core, live", "node w1: worker, live", "shard 0: n1, active", "shard 1: w1, active", "advice: stay: no sign",
		"node w1: worker, draining", "shard 1: n1, active", "no answer (refused), trying again", "node w1: gone", "advice: out: no sign",
	}
	if got := strings.ReplaceAll(b.String(), "12:00:00 ", ""); got != strings.Join(want, "\n")+"\n" {
		t.Errorf("got\n%s", got)
	}
}

// The node that is asked may restart while people watch; one that was never
// there is a mistake.
func TestAWatchOutlivesItsNodesRestart(t *testing.T) {
	d := newDistrict()
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := asked.Add(1); n >= 4 && n <= 6 { // the second look
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		d.ServeHTTP(w, r)
	}))
	c, err := client.New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var b strings.Builder
	lines := &clusterLines{}
	err = watchCluster(ctx, c, printed(func(text string) {
		b.WriteString(text)
		if strings.Contains(text, "no answer") {
			lines.advice = "" // so that the next look shows
		} else if strings.Contains(b.String(), "no answer") {
			stop()
		}
	}), lines.show)
	if err != nil || !strings.Contains(b.String(), "503") {
		t.Errorf("%v, printed\n%s", err, b.String())
	}
	srv.Close()
	if err := watchCluster(t.Context(), c, &b, lines.show); err == nil {
		t.Error("a node that is not there is watched")
	}
}
