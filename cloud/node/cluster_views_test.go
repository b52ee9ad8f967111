package node

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/cluster/membership"
)

// A node alone answers what a cluster answers.
func TestANodeAloneTellsOfItsShards(t *testing.T) {
	l := start(t, filepath.Join(t.TempDir(), "data"))
	l.apply()
	c, ctx := l.api, t.Context()
	nodes, err := c.Nodes(ctx)
	if err != nil || len(nodes) != 1 || nodes[0].State != "live" || !nodes[0].Core {
		t.Fatalf("%+v, %v", nodes, err)
	}
	name := nodes[0].Node
	all, err := c.Shards(ctx)
	if err != nil || len(all) == 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	sites := 0
	for i, h := range all {
		if h.Shard != i || h.Owner != name || h.State != "active" || h.Rule != "top-ranked" || h.Target != name || h.Epoch == 0 {
			t.Errorf("shard %d: %+v", i, h)
		}
		sites += h.Sites
	}
	if sites != 1 {
		t.Errorf("the shards have %d sites, want 1", sites)
	}
	p, err := c.Placement(ctx, "hq")
	if err != nil || all[p.Shard].Sites != 1 || p.Owner != name || p.Rule != "top-ranked" || len(p.Candidates) != 1 || !strings.Contains(p.Text, "no node scores higher") {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := c.Placement(ctx, "far"); !client.NotFound(err) {
		t.Errorf("a site that is nowhere: %v", err)
	}
	if _, err := c.Why(ctx, len(all)); !client.NotFound(err) {
		t.Errorf("a shard too many: %v", err)
	}
	if _, err := c.Drain(ctx, name, true); err == nil || !strings.Contains(err.Error(), "add a node first") {
		t.Errorf("the last node is drained: %v", err)
	}
	if d, err := c.Drain(ctx, name, false); err != nil || d.Shards != len(all) {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := c.Drain(ctx, "nobody", true); !client.NotFound(err) {
		t.Errorf("a node that is not there: %v", err)
	}
	if a, err := c.Advice(ctx); err != nil || a.Action != "stay" {
		t.Errorf("%+v, %v", a, err)
	}
	l.stop()
}

func TestTheNodeToSpareIsTheIdlestWorker(t *testing.T) {
	member := func(name string, core bool, shards int) membership.Member {
		return membership.Member{Name: name, Core: core, Shards: make([]int, shards)}
	}
	dead, draining := member("w8", false, 0), member("w9", false, 0)
	dead.Dead, draining.Draining = true, true
	for want, all := range map[string][]membership.Member{
		"":   {member("a", true, 0), member("b", true, 9), dead, draining},
		"w2": {member("a", true, 0), member("w1", false, 5), member("w2", false, 4), dead, draining},
		"w3": {member("w1", false, 4), member("w2", false, 4), member("w3", false, 4)},
	} {
		if got := spare(all); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
