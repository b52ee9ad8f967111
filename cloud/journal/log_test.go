package journal_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

const testStore = 1 << 30

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func startAt(t *testing.T, dir string) *journal.Server {
	t.Helper()
	return startAtSize(t, dir, testStore)
}

func startAtSize(t *testing.T, dir string, size int64) *journal.Server {
	t.Helper()
	s, err := journal.StartServer(journal.ServerConfig{Dir: dir, Name: "n1", MaxStore: size}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func openAt(t *testing.T, s *journal.Server) journaltest.Harness {
	t.Helper()
	ctx := t.Context()
	l, err := journal.OpenLog(ctx, s, 0, journal.LogConfig{MaxBytes: s.LogBytes(1)}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := journal.OpenObjects(ctx, s, 0, s.ObjectBytes(1))
	if err != nil {
		t.Fatal(err)
	}
	k, err := journal.OpenKV(ctx, s, "test")
	if err != nil {
		t.Fatal(err)
	}
	return journaltest.Harness{Log: l, Objects: o, KV: k}
}

// open starts a server in a new directory. Its crash copies the files of the
// running server, which never gets to stop, and starts another on the copy.
// That is a killed process, not a power cut: that each message is fsynced is
// asserted from the server's own variables (server_test.go).
func open(t *testing.T) journaltest.Harness {
	t.Helper()
	dir := t.TempDir()
	h := openAt(t, startAt(t, dir))
	h.Crash = func() journaltest.Harness {
		after := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(after, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		return openAt(t, startAt(t, after))
	}
	return h
}

func TestTheLogKeepsItsContract(t *testing.T) { journaltest.Contract(t, open) }

func TestALogSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	s := startAt(t, dir)
	h := openAt(t, s)
	if _, err := h.Log.PublishBarrier(t.Context(), 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Log.Publish(t.Context(), []journal.Record{journaltest.GatewayRecord("a")}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := h.Log.Publish(t.Context(), []journal.Record{journaltest.GatewayRecord("b")}); !errors.Is(err, journal.ErrClosed) {
		t.Fatalf("publish to a closed server: %v", err)
	}
	h = openAt(t, startAt(t, dir))
	if first, last, err := h.Log.Bounds(t.Context()); err != nil || first != 1 || last != 2 {
		t.Fatalf("after the restart: %d to %d, %v", first, last, err)
	}
}

// Streams reserve shares of the store: a limit that followed the free disk down
// would keep a node from starting with its own data.
func TestAStoreKeepsTheLimitThatItWasMadeWith(t *testing.T) {
	dir := t.TempDir()
	s := startAt(t, dir)
	h := openAt(t, s)
	if _, err := h.Log.PublishBarrier(t.Context(), 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
		t.Fatal(err)
	}
	share := s.LogBytes(1)
	s.Close()
	_, err := journal.StartServer(journal.ServerConfig{Dir: dir, Name: "n1", MaxStore: testStore / 2}, quiet())
	if err == nil || !strings.Contains(err.Error(), "cannot shrink") {
		t.Fatalf("a smaller store: %v", err)
	}
	s, err = journal.StartServer(journal.ServerConfig{Dir: dir, Name: "n1"}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if s.LogBytes(1) != share {
		t.Fatalf("a log's share was %d, is %d", share, s.LogBytes(1))
	}
	s.Close()
	h = openAt(t, startAtSize(t, dir, 2*testStore))
	if _, last, err := h.Log.Bounds(t.Context()); err != nil || last != 1 {
		t.Fatalf("last = %d, %v", last, err)
	}
}

func TestASecondServerOnADirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	startAt(t, dir)
	_, err := journal.StartServer(journal.ServerConfig{Dir: dir, Name: "n2", MaxStore: testStore}, quiet())
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("second server: %v", err)
	}
}

func TestADirectoryThatCannotBeWrittenIsOneClearError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := journal.StartServer(journal.ServerConfig{Dir: filepath.Join(file, "store"), Name: "n1"}, quiet())
	if err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "\n") {
		t.Fatalf("start below a file: %v", err)
	}
}

func TestAStoreLimitIsMeasuredFromTheDisk(t *testing.T) {
	s, err := journal.StartServer(journal.ServerConfig{Dir: t.TempDir(), Name: "n1"}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := s.LogBytes(4); n <= 0 || n > 16<<30 {
		t.Fatalf("a log's share is %d bytes", n)
	}
	if err := s.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAFullBucketSaysSoAndTakesMoreWhenSomethingIsDeleted(t *testing.T) {
	s := startAt(t, t.TempDir())
	if n := s.HistoryBytes(1); n != 0 {
		t.Fatalf("a node alone sets %d bytes aside for shards that move", n)
	}
	fillsUp(t, s)
}

// A deleted consumer is what a server restart or a long pause looks like.
func TestAReaderGoesOnWhereItsConsumerWasLost(t *testing.T) {
	s := startAt(t, t.TempDir())
	h := openAt(t, s)
	if _, err := h.Log.PublishBarrier(t.Context(), 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
		t.Fatal(err)
	}
	r, err := h.Log.Read(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if m, err := r.Next(t.Context()); err != nil || m.Seq != 1 {
		t.Fatalf("first: %+v, %v", m, err)
	}
	dropConsumers(t, s.JetStream())
	for want := uint64(2); want <= 20; want++ {
		if _, err := h.Log.Publish(t.Context(), []journal.Record{journaltest.GatewayRecord("a")}); err != nil {
			t.Fatal(err)
		}
		if want == 10 {
			dropConsumers(t, s.JetStream())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for want := uint64(2); want <= 20; want++ {
		if m, err := r.Next(ctx); err != nil || m.Seq != want {
			t.Fatalf("next = %d, %v, want %d", m.Seq, err, want)
		}
	}
}

func dropConsumers(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	st, err := js.Stream(t.Context(), "INGEST_0")
	if err != nil {
		t.Fatal(err)
	}
	names := st.ConsumerNames(t.Context())
	for name := range names.Name() {
		if err := st.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}

// A stream without a barrier, though it has held messages, has lost its fence:
// it must not pass for an empty one (DESIGN.md, Read and purge).
func TestALogThatLostItsBarrierIsRefused(t *testing.T) {
	s := startAt(t, t.TempDir())
	h := openAt(t, s)
	if _, err := h.Log.PublishBarrier(t.Context(), 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
		t.Fatal(err)
	}
	st, err := s.JetStream().Stream(t.Context(), "INGEST_0")
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.Log.LastBarrier(t.Context()); !errors.Is(err, journal.ErrBarrierLost) {
		t.Fatalf("last barrier: %v", err)
	}
	if _, err := h.Log.PublishBarrier(t.Context(), 0, journal.Barrier{Incarnation: 1, Epoch: 2, Owner: "n1"}); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("a first barrier on a log that was not empty: %v", err)
	}
}

func TestALogWithoutALimitIsRefused(t *testing.T) {
	s := startAt(t, t.TempDir())
	if _, err := journal.OpenLog(t.Context(), s, 0, journal.LogConfig{}, quiet(), nil); err == nil {
		t.Fatal("an unbounded log was opened")
	}
	if _, err := journal.OpenLog(t.Context(), s, journal.MaxShards, journal.LogConfig{MaxBytes: 1 << 26}, quiet(), nil); err == nil {
		t.Fatal("a shard beyond the last was opened")
	}
	big := journal.LogConfig{MaxBytes: 2 * testStore}
	start := time.Now()
	if _, err := journal.OpenLog(t.Context(), s, 0, big, quiet(), nil); err == nil || time.Since(start) > 10*time.Second {
		t.Fatalf("a log larger than the store: %v after %v", err, time.Since(start))
	}
}

// A log that data has filled must still take what the owner publishes in order
// to purge it, or it would stay full for ever.
func TestAFullLogHasRoomForItsOwner(t *testing.T) {
	ctx := t.Context()
	s := startAt(t, t.TempDir())
	l, err := journal.OpenLog(ctx, s, 0, journal.LogConfig{MaxBytes: 12 << 20}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := l.PublishBarrier(ctx, 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	frame := []journal.Record{journaltest.GatewayRecord(string(make([]byte, 400<<10)))}
	sent := 0
	for err == nil && sent < 100 {
		_, err = l.Publish(ctx, frame)
		sent++
	}
	if !errors.Is(err, journal.ErrFull) || sent < 10 {
		t.Fatalf("after %d frames: %v", sent, err)
	}
	again, err := l.PublishBarrier(ctx, token, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"})
	if err != nil {
		t.Fatalf("the owner's barrier on a full log: %v", err)
	}
	snapshot := []journal.Record{{Kind: journal.KindSnapshot, Origin: "n1", Body: journal.AppendSnapshot(nil, again)}}
	if _, err := l.PublishFenced(ctx, again, snapshot); err != nil {
		t.Fatalf("the owner's record on a full log: %v", err)
	}
	if err := l.Purge(ctx, again); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Publish(ctx, frame); err != nil {
		t.Fatalf("after the purge: %v", err)
	}
}

// Snapshots come and go for years: nothing of a deleted or half-written one
// may stay.
func TestDeletedObjectsLeaveNothingBehind(t *testing.T) {
	ctx := t.Context()
	s := startAt(t, t.TempDir())
	o := openAt(t, s).Objects
	data := make([]byte, 300<<10)
	for _, name := range []string{"site.hq.1", "site.hq.2"} {
		if err := o.Put(ctx, name, data); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Delete(ctx, "site.hq.1"); err != nil {
		t.Fatal(err)
	}
	kept := objectMessages(t, s)
	// What a crash in Put leaves: chunks that no description names.
	if _, err := s.JetStream().Publish(ctx, "$O.snap_0.C.orphan", data); err != nil {
		t.Fatal(err)
	}
	o = openAt(t, s).Objects
	if err := o.Put(ctx, "site.hq.3", []byte("one chunk")); err != nil {
		t.Fatal(err)
	}
	if n := objectMessages(t, s); n != kept+2 {
		t.Fatalf("%d messages after the next Put's sweep, want %d", n, kept+2)
	}
	if err := o.Delete(ctx, "site.hq.3"); err != nil {
		t.Fatal(err)
	}
	if got, err := o.Get(ctx, "site.hq.2"); err != nil || len(got) != len(data) {
		t.Fatalf("the other object: %d bytes, %v", len(got), err)
	}
	if err := o.Delete(ctx, "site.hq.2"); err != nil {
		t.Fatal(err)
	}
	if n := objectMessages(t, s); n != 0 {
		t.Fatalf("%d messages in an empty bucket", n)
	}
}

// I5: on a slow disk a snapshot's time may be over again and again; what the
// tries leave must not fill the bucket until the node starts again.
func TestAPutThatTimedOutLeavesNothingBehind(t *testing.T) {
	s := startAt(t, t.TempDir())
	o := openAt(t, s).Objects
	for within := 10 * time.Millisecond; objectMessages(t, s) < 2; within *= 2 {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		err := o.Put(ctx, "site.hq.1", make([]byte, 30<<20))
		cancel()
		if err == nil {
			t.Skip("this disk takes everything in time")
		}
		// When this is stored, so is all that was sent before it.
		if _, err := s.JetStream().Publish(t.Context(), "$O.snap_0.C.orphan", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Put(t.Context(), "site.hq.2", []byte("small")); err != nil {
		t.Fatal(err)
	}
	if n := objectMessages(t, s); n != 2 { // one chunk and the description
		t.Fatalf("%d messages in a bucket of one small object", n)
	}
}

func objectMessages(t *testing.T, s *journal.Server) uint64 {
	t.Helper()
	st, err := s.JetStream().Stream(t.Context(), "OBJ_snap_0")
	if err != nil {
		t.Fatal(err)
	}
	return st.CachedInfo().State.Msgs
}
