package node

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
)

// A folder that was put back holds what it held, in an incarnation above that of
// the time that is lost. Protects I3.
func TestAFolderThatWasPutBackBeginsAnIncarnation(t *testing.T) {
	data, backup := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "backup")
	l := start(t, data)
	l.journal(append(opening(), frame(1))...)
	l.reports(1)
	l.stop()
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	l = start(t, data)
	l.journal(frame(2), frame(3))
	l.reports(3)
	lost, err := l.api.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.stop()

	if err := MarkRestored(backup); err != nil {
		t.Fatal(err)
	}
	began := uint64(time.Now().Unix())
	l = start(t, backup)
	now, err := l.api.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range now.Shards {
		if s.Incarnation < began || s.Incarnation <= lost.Shards[i].Incarnation {
			t.Errorf("shard %d is owned in incarnation %d, the time that is lost was of %d", i, s.Incarnation, lost.Shards[i].Incarnation)
		}
	}
	l.reports(1)
	l.journal(frame(2)) // its gateway still has it
	l.reports(2)
	l.stop()

	l = start(t, backup) // a start like any other
	again, err := l.api.Status(t.Context())
	if err != nil || again.Shards[0].Incarnation != now.Shards[0].Incarnation || again.Shards[0].Epoch != now.Shards[0].Epoch+1 {
		t.Errorf("a start later: %+v after %+v, %v", again.Shards[0], now.Shards[0], err)
	}
	if got := l.numbers(); len(got) != 2 {
		t.Errorf("history holds %v, want 1, 2", got)
	}
	l.stop()
}

// A node that ran while the store was put back ends, and starts as any other.
func TestANodeOfAnIncarnationThatIsOverEnds(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	l := start(t, data)
	kv, err := journal.OpenKV(t.Context(), l.node.server, catalog.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	other, err := catalog.Open(t.Context(), catalog.Config{
		ClusterID: l.node.ca.Cluster(), AnyShards: true, Shards: 2, Zone: "here", Restored: true,
	}, kv, l.node.log, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := <-l.served; !errors.Is(err, errSuperseded) {
		t.Errorf("the node ended with %v", err)
	}
	if err := l.node.release(); err != nil {
		t.Error(err)
	}
	l = start(t, data)
	if got := l.node.catalog.Cluster(); got.Incarnation != other.Cluster().Incarnation {
		t.Errorf("%+v, want %+v", got, other.Cluster())
	}
	l.stop()
}

// What a worker's history holds of a time that is lost stands under sequences that
// other messages have now: kept, those would be taken for written. Protects I1.
func TestAWorkersHistoryOfALostTimeIsMadeAnew(t *testing.T) {
	n := &node{cfg: Config{Data: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
	at := func() uint64 {
		t.Helper()
		n.reg = prometheus.NewRegistry()
		if err := n.openHistory(); err != nil {
			t.Fatal(err)
		}
		return n.history.Position(2)
	}
	for _, step := range []struct{ incarnation, holds, write uint64 }{
		{1, 0, 3}, // it is new, or an older program left it
		{1, 3, 5},
		{77, 0, 4}, // the store was put back
		{77, 4, 9}, // a start like any other
		{1 << 40, 0, 6},
	} {
		if err := n.renew(step.incarnation); err != nil {
			t.Fatal(err)
		}
		if got := at(); got != step.holds {
			t.Errorf("%+v: history is at %d", step, got)
		}
		if err := errors.Join(n.history.Write(2, step.write, &history.Projections{}), n.history.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(n.cfg.Data, eraFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.renew(1 << 41); err == nil { // I6
		t.Error("an era that is none was taken")
	}
	if got := at(); got != 6 {
		t.Errorf("history is at %d after an era that is none", got)
	}
	if err := n.history.Close(); err != nil {
		t.Error(err)
	}
}

func TestOnlyANodesFolderIsMarked(t *testing.T) { // I6
	empty := t.TempDir()
	if err := MarkRestored(empty); err == nil {
		t.Error("an empty folder was marked as put back")
	}
	if left, err := os.ReadDir(empty); err != nil || len(left) > 0 {
		t.Errorf("%v is left in it, %v", left, err)
	}
	if err := MarkRestored(filepath.Join(empty, "none")); err == nil {
		t.Error("a folder that does not exist was marked")
	}
}
