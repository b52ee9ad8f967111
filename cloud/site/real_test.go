package site

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/actor"
)

// The shard's needs are what the real parts give.
var (
	_ Log       = (*journal.Log)(nil)
	_ Objects   = (*journal.Objects)(nil)
	_ Ownership = (*cluster.Ownership)(nil)
	_ History   = (*history.Store)(nil)
	_ Holes     = (*history.Store)(nil)
)

// I1, I7: the same over the embedded server and store: snapshots are kept, the
// log is purged, and the next owner goes on where the one before stopped.
func TestOverTheRealJournalAndHistoryARestartGoesOnFromItsSnapshot(t *testing.T) {
	srv, err := journal.StartServer(journal.ServerConfig{Dir: t.TempDir(), Name: "a", MaxStore: 256 << 20}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	h, err := history.Open(history.Config{Dir: t.TempDir()}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	for round := range uint64(2) {
		realRound(t, srv, h, nil, round)
	}
}

// I1, I7: between two nodes a shard is moved to and fro: what one applied is in
// the other's history too, although the log has been purged of it.
func TestOverTheRealJournalAndHistoryAShardMovesWithItsRows(t *testing.T) {
	srv, err := journal.StartServer(journal.ServerConfig{Dir: t.TempDir(), Name: "a", MaxStore: 256 << 20}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	parts, err := journal.OpenHistory(t.Context(), srv, 0, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	var nodes [2]*history.Store
	for i := range nodes {
		if nodes[i], err = history.Open(history.Config{Dir: t.TempDir()}, quiet(), nil); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := nodes[i].Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	for round := range uint64(4) {
		realRound(t, srv, nodes[round%2], parts, round)
	}
}

func realRound(t *testing.T, srv *journal.Server, h *history.Store, parts Objects, round uint64) {
	ctx := t.Context()
	log, err := journal.OpenLog(ctx, srv, 0, journal.LogConfig{MaxBytes: srv.LogBytes(1)}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := journal.OpenObjects(ctx, srv, 0, srv.ObjectBytes(1))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := journal.OpenKV(ctx, srv, "cluster")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := cluster.Claim(ctx, cluster.Config{Node: "a", Incarnation: 1}, kv, log, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	system := actor.NewActorSystem(actor.Config{Address: "a", Port: 1, ClusterName: "test"}, quiet())
	defer func() { _ = system.Stop(context.Background()) }()
	s, err := New(Config{Node: "a", SnapshotMessages: 5}, Parts{
		Journal: log, Owner: owner, Objects: objects, History: h, Parts: parts, Documents: newFakeDocuments(), Sender: &fakeSender{}, Actors: system,
	}, quiet(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	runCtx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(runCtx) }()
	select {
	case <-s.Active():
	case err := <-ended:
		t.Fatalf("not active: %v", err)
	}
	if round > 0 && s.origin == 0 {
		t.Error("recovery began at the start of the log and not at a snapshot")
	}
	if round == 0 {
		if _, err := log.Publish(ctx, opening(gw1, run(1), boot1, dev1)); err != nil {
			t.Fatal(err)
		}
	}
	const frames = 20
	for seq := round*frames + 1; seq <= (round+1)*frames; seq++ {
		last, err := log.Publish(ctx, []journal.Record{frameOf(gw1, run(1), seq, 1, int64(seq)*100, int64(seq))})
		if err != nil {
			t.Fatal(err)
		}
		for p := (Progress{}); p.Applied < last || h.Position(0) < last; {
			if p, err = s.Progress(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	for h.Hole(0).Open() { // it is filled meanwhile
		if err := pause(ctx, time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for r, err := range h.Read(ctx, dev1, "count", time.Unix(0, 0), time.Unix(1000, 0), 0) {
		if n++; err != nil || r.Raw != int64(n) {
			t.Fatalf("reading %d is %+v, %v", n, r, err)
		}
	}
	if uint64(n) != (round+1)*frames {
		t.Fatalf("%d readings in history", n)
	}
	// The keeper is done some time after; its purge shows in the log's bounds.
	deadline := time.Now().Add(30 * time.Second)
	for first := uint64(1); first == 1; {
		if first, _, err = log.Bounds(ctx); err != nil || time.Now().After(deadline) {
			t.Fatalf("the log was not purged: it begins at %d, %v", first, err)
		}
	}
	p, err := s.Progress(ctx)
	if err != nil || p.Snapshot == 0 {
		t.Fatalf("progress %+v, %v", p, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
