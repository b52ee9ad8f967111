package node

import (
	"path/filepath"
	"slices"
	"testing"
)

// I1: a site that is moved keeps all it has; what a gate appends where it was is
// forwarded, and what comes after that is not ahead of it.
func TestASiteIsMovedWithAllItHasAndWhatIsLate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	l := start(t, data)
	l.journal(opening()...)
	l.journal(frame(1), frame(2))
	l.reports(2)
	was, err := l.api.SiteShard(t.Context(), dev.Site)
	if err != nil {
		t.Fatal(err)
	}
	to := 1 - was.Shard
	if _, err := l.api.MoveSite(t.Context(), dev.Site, was.Shard); err == nil {
		t.Error("a site was moved to where it is")
	}
	begun, err := l.api.MoveSite(t.Context(), dev.Site, to)
	if err != nil {
		t.Fatal(err)
	}
	late := make(chan uint64, 1)
	if err := l.node.coalescer.Append(was.Shard, gateway.String(), frame(3), func(seq uint64, _ error) { late <- seq }); err != nil {
		t.Fatal(err)
	}
	seq := <-late
	now, err := l.api.Settled(t.Context(), begun)
	if err != nil || now.Shard != to || !slices.Equal(now.Past, []int{was.Shard}) {
		t.Fatalf("%+v %v", now, err)
	}
	until(t, "the late frame is passed on", func() bool {
		passed, err := l.node.passed(t.Context(), was.Shard, dev.Site, seq)
		return err == nil && passed
	})
	l.journal(frame(4))
	l.reports(4)
	if got := l.numbers(); !slices.Equal(got, []int64{1, 2, 3, 4}) {
		t.Errorf("history has %v", got)
	}
	l.stop()
	l = start(t, data)
	defer l.stop()
	l.reports(4)
	l.journal(frame(5))
	l.reports(5)
	// The late frame may have been forwarded again: there was no snapshot yet.
	if gws, err := l.api.Gateways(t.Context(), dev.Site); err != nil || len(gws) != 1 || gws[0].Count.Frames != 5 || gws[0].Count.Missing != 0 {
		t.Errorf("%+v %v", gws, err)
	}
}

// I1: the owners of both shards, and who appends what is late, are on nodes of
// their own: what they tell each other goes over the bus, and history from one
// node's store to the other's.
func TestASiteIsMovedFromNodeToNode(t *testing.T) {
	nodes := together(t)
	defer func() {
		for _, l := range nodes {
			l.stop()
		}
	}()
	nodes[0].journal(opening()...)
	nodes[0].journal(frame(1), frame(2))
	for _, l := range nodes {
		l.reports(2)
	}
	was, err := nodes[0].api.SiteShard(t.Context(), dev.Site)
	if err != nil {
		t.Fatal(err)
	}
	var third *life
	to := -1
	until(t, "another node owns another shard", func() bool {
		for shard := range was.Shard + 3 {
			other := shard % 3
			a, b := holder(nodes, was.Shard), holder(nodes, other)
			if a == nil || b == nil || a == b {
				continue
			}
			to = other
			for _, l := range nodes {
				if l != a && l != b {
					third = l
				}
			}
			return true
		}
		return false
	})
	begun, err := third.api.MoveSite(t.Context(), dev.Site, to)
	if err != nil {
		t.Fatal(err)
	}
	late := make(chan uint64, 1)
	if err := third.node.coalescer.Append(was.Shard, gateway.String(), frame(3), func(seq uint64, _ error) { late <- seq }); err != nil {
		t.Fatal(err)
	}
	seq := <-late
	if now, err := third.api.Settled(t.Context(), begun); err != nil || now.Shard != to {
		t.Fatalf("%+v %v", now, err)
	}
	until(t, "the late frame is passed on", func() bool {
		passed, err := third.node.passed(t.Context(), was.Shard, dev.Site, seq)
		return err == nil && passed
	})
	third.journal(frame(4))
	for _, l := range nodes {
		l.reports(4)
		until(t, "history is whole", func() bool { return slices.Equal(l.numbers(), []int64{1, 2, 3, 4}) })
	}
	gws, err := third.api.Gateways(t.Context(), dev.Site)
	if err != nil || len(gws) != 1 || gws[0].Count.Frames != 4 || gws[0].Count.Missing != 0 {
		t.Errorf("%+v %v", gws, err)
	}
}

// holder is the node that owns a shard.
func holder(nodes []*life, shard int) *life {
	for _, l := range nodes {
		if _, here := l.node.seats.Of(shard); here {
			return l
		}
	}
	return nil
}
