package site

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// frames publishes one message per frame, from seq a to b, value = seq.
func (l *line) frames(a, b uint64) (last uint64) {
	l.t.Helper()
	for seq := a; seq <= b; seq++ {
		last = l.publish(frameOf(gw1, run(1), seq, 1, int64(seq)*100, int64(seq)))
	}
	return last
}

func (l *line) device() Device {
	l.t.Helper()
	d, err := l.shard.Device(l.t.Context(), dev1)
	if err != nil {
		l.t.Fatal(err)
	}
	return d
}

func TestAReadingGoesFromTheLogToItsTwinAndHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.reach(l.frames(1, 5))
		if d := l.device(); d.Liveness != twin.Live || d.Gateway != "gw1" || len(d.Points) != 1 || d.Points[0].Raw != 5 || d.Points[0].Order.Seq != 5 {
			t.Fatalf("device %+v", d)
		}
		if len(l.history.rows) != 5 {
			t.Fatalf("%d rows", len(l.history.rows))
		}
		sites, err := l.shard.Sites(t.Context())
		if err != nil || len(sites) != 1 || sites[0] != (Summary{Site: "hq", Gateways: 1, Devices: 1, Live: 1}) {
			t.Fatalf("sites %+v, %v", sites, err)
		}
		gws, err := l.shard.Gateways(t.Context(), "hq")
		if err != nil || len(gws) != 1 || gws[0].Runs[0].Next != 6 || gws[0].Count.Frames != 5 {
			t.Fatalf("gateways %+v, %v", gws, err)
		}
		if _, err := l.shard.Devices(t.Context(), "lab"); !errors.Is(err, ErrUnknown) {
			t.Fatalf("unknown site: %v", err)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.shard.Sites(t.Context()); !errors.Is(err, ErrEnded) {
			t.Fatalf("query after the end: %v", err)
		}
	})
}

// I1, I7: the power fails at every durable step in turn, snapshots and purges
// among them; what the next owner ends with is what a run without failures
// ends with.
func TestACrashAtAnyDurableStepChangesNothing(t *testing.T) {
	want := crashAt(t, 0, journaltest.None)
	for _, fault := range []journaltest.Fault{journaltest.CrashBefore, journaltest.CrashAfter} {
		for step := 1; ; step++ {
			got := crashAt(t, step, fault)
			if !maps.Equal(got.rows, want.rows) || !slices.Equal(got.ledger, want.ledger) || got.value != want.value {
				t.Fatalf("crash %d at step %d: %d rows, ledger %v, value %d; want %d, %v, %d", fault, step, len(got.rows), got.ledger, got.value, len(want.rows), want.ledger, want.value)
			}
			if !got.struck {
				break
			}
		}
	}
}

type outcome struct {
	rows   map[string]string
	ledger []string
	value  int64
	struck bool // the fault happened
}

// crashAt sends frames 1 to 30, some twice and with a hole, over a store that
// loses power at the given durable step.
func crashAt(t *testing.T, step int, fault journaltest.Fault) (o outcome) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		mem := journaltest.NewMem(journaltest.Config{Fault: func(s journaltest.Step) journaltest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if s.N == step && !o.struck {
				o.struck = true
				return fault
			}
			return journaltest.None
		}})
		h := newMemHistory(t)
		var l *line
		up := func() {
			for try := 0; l == nil; try++ {
				if try > 5 {
					t.Fatal("the store does not come back")
				}
				l, _ = tryStart(t, mem, h, "a", Config{SnapshotMessages: 7})
			}
		}
		send := func(recs ...journal.Record) {
			for {
				up()
				if _, err := l.log.Publish(context.Background(), recs); err == nil {
					return
				}
				_ = l.stop()
				l = nil
			}
		}
		send(opening(gw1, run(1), boot1, dev1)...)
		for seq := uint64(1); seq <= 30; seq++ {
			if seq == 13 {
				continue
			}
			send(frameOf(gw1, run(1), seq, 1, int64(seq)*100, int64(seq)))
			if seq%5 == 0 {
				send(frameOf(gw1, run(1), seq-1, 1, int64(seq-1)*100, int64(seq-1)))
			}
			synctest.Wait()
		}
		// Whoever lives at the end, a new owner recovers and says what is there.
		_ = l.stop()
		l = nil
		up()
		_, last, err := l.log.Bounds(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l.reach(last)
		o.value = l.device().Points[0].Raw
		_ = l.stop()
		o.rows = map[string]string{}
		for key := range h.rows {
			o.rows[key] = ""
		}
		o.ledger = h.reasons()
	})
	return o
}

// The purge never removes what history has not made durable, nor what the
// previous snapshot needs, nor the fence.
func TestPurgeNeverRemovesWhatHistoryHasNotMadeDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newMemHistory(t)
		h.claimed = 3 // the store says that nothing after message 3 is durable
		l := start(t, journaltest.NewMem(journaltest.Config{}), h, "a", Config{SnapshotMessages: 3})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		for seq := uint64(1); seq <= 20; seq++ {
			l.reach(l.frames(seq, seq))
			synctest.Wait()
		}
		if first, _, _ := l.log.Bounds(t.Context()); first != 4 {
			t.Fatalf("the log begins at %d, history holds 1 to 3", first)
		}
		h.mu.Lock()
		h.claimed = 0
		h.mu.Unlock()
		for seq := uint64(21); seq <= 30; seq++ {
			l.reach(l.frames(seq, seq))
			synctest.Wait()
		}
		first, _, _ := l.log.Bounds(t.Context())
		previous := l.shard.keeper.manifests[0].Seq
		_, barrier, err := l.log.LastBarrier(t.Context())
		if err != nil || first <= 4 || first > previous+1 || first > barrier {
			t.Fatalf("the log begins at %d; previous snapshot %d, barrier %d (%v)", first, previous, barrier, err)
		}
	})
}

func TestThePurgeRuleIsTheLeastOfFour(t *testing.T) {
	for _, f := range []struct{ previous, history, parts, barrier, want uint64 }{
		{10, 20, 20, 30, 11},
		{20, 10, 20, 30, 11},
		{20, 20, 10, 30, 11},
		{20, 30, 30, 10, 10},
		{0, 0, 0, 5, 1},
		{10, 20, (*shelf)(nil).durable(), 30, 11}, // where no parts are kept
	} {
		if got := purgeBelow(f.previous, f.history, f.parts, f.barrier); got != f.want {
			t.Errorf("purgeBelow(%d, %d, %d, %d) = %d, want %d", f.previous, f.history, f.parts, f.barrier, got, f.want)
		}
	}
}

// I3: an owner stops at the barrier of another and applies nothing behind it.
func TestAnOwnerStopsAtAnothersBarrierAndAppliesNothingBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		h := newMemHistory(t)
		l := start(t, mem, h, "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.reach(l.frames(1, 3))
		if _, err := cluster.Claim(t.Context(), cluster.Config{Node: "b", Incarnation: 1}, mem.KV("cluster"), mem.Log(0), quiet(), nil); err != nil {
			t.Fatal(err)
		}
		l.frames(4, 6)
		<-l.shard.ended
		if err := l.stop(); !errors.Is(err, cluster.ErrLost) {
			t.Fatalf("Run ended with %v, want ErrLost", err)
		}
		if len(h.rows) != 3 {
			t.Fatalf("%d rows: the old owner applied frames behind the new barrier", len(h.rows))
		}
	})
}

// A record that makes its site fail is taken out, accounted for, and taken out
// again by whoever replays (I1, I7): from a snapshot and from the start, with
// the history of the first owner and with an empty one.
func TestARecordThatFailsItsSiteIsSkippedNowAndInReplay(t *testing.T) {
	for _, every := range []int{4, 1000} {
		synctest.Test(t, func(t *testing.T) { skipAndReplay(t, Config{SnapshotMessages: every}) })
	}
}

func skipAndReplay(t *testing.T, cfg Config) {
	mem := journaltest.NewMem(journaltest.Config{})
	h := newMemHistory(t)
	l := start(t, mem, h, "a", cfg)
	l.publish(opening(gw1, run(1), boot1, dev1)...)
	l.reach(l.frames(1, 6))
	synctest.Wait()
	if err := l.shard.ask(t.Context(), func() { l.shard.sites["hq"].twins["t1"].state = nil }); err != nil {
		t.Fatal(err)
	}
	l.reach(l.frames(7, 9))
	synctest.Wait()
	_, last, _ := l.log.Bounds(t.Context())
	l.reach(last)
	check := func(l *line) {
		t.Helper()
		if got, want := l.history.reasons(), []string{"skipped 7..7"}; !slices.Equal(got, want) {
			t.Fatalf("ledger %v, want %v", got, want)
		}
		if len(l.history.rows) != 8 || len(l.history.dead) != 1 {
			t.Fatalf("%d rows, %d dead letters; want 8 and 1", len(l.history.rows), len(l.history.dead))
		}
		if raw := l.device().Points[0].Raw; raw != 9 {
			t.Fatalf("twin at %d", raw)
		}
	}
	check(l)
	if got := l.metric("atrium_site_failures_total"); got != 1 {
		t.Fatalf("%v failures counted", got)
	}
	if got := l.metric("atrium_site_readings_total"); got != 8 {
		t.Fatalf("%v readings counted, of 8: those that were read again are no others", got)
	}
	before, err := l.shard.Gateways(t.Context(), "hq")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	// The next owner has no reason to fail on the record, and skips it all the
	// same.
	if cfg.SnapshotMessages == 1000 {
		h = newMemHistory(t)
	}
	second := start(t, mem, h, "b", cfg)
	check(second)
	after, err := second.shard.Gateways(t.Context(), "hq")
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Fatalf("replay gave another gateway: %v %s", err, diff)
	}
}

func TestAHistoryThatLacksWhatTheLogNoLongerHasIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		l := start(t, mem, newMemHistory(t), "a", Config{SnapshotMessages: 3})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		for seq := uint64(1); seq <= 12; seq++ {
			l.reach(l.frames(seq, seq))
			synctest.Wait()
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		// The node's disk is new: the twins are whole, the rows are not.
		second := start(t, mem, newMemHistory(t), "b", Config{})
		if second.device().Points[0].Raw != 12 || second.metric("atrium_site_lost_messages_total") == 0 {
			t.Fatalf("twin at %d, %v messages reported", second.device().Points[0].Raw, second.metric("atrium_site_lost_messages_total"))
		}
	})
}

func TestADeviceFallsSilentByATickRecordAndNotWhileNobodyOwnsTheShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		h := newMemHistory(t)
		cfg := Config{SnapshotEvery: 24 * time.Hour}
		l := start(t, mem, h, "a", cfg)
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.reach(l.frames(1, 1))
		time.Sleep(9 * time.Second)
		if d := l.device(); d.Liveness != twin.Live {
			t.Fatalf("%s after 9 s", d.Liveness)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		l = start(t, mem, h, "b", cfg)
		time.Sleep(9 * time.Second)
		if d := l.device(); d.Liveness != twin.Live {
			t.Fatalf("%s although the shard was without an owner", d.Liveness)
		}
		time.Sleep(3 * time.Second)
		if d := l.device(); d.Liveness != twin.Silent {
			t.Fatalf("%s 12 s after the activation", d.Liveness)
		}
		_, last, _ := l.log.Bounds(t.Context())
		time.Sleep(time.Minute)
		if _, now, _ := l.log.Bounds(t.Context()); now != last {
			t.Fatalf("%d records without a due timer", now-last)
		}
	})
}

func TestADamagedSnapshotGivesWayToTheOneBefore(t *testing.T) {
	for _, damaged := range []string{"manifest.", "site."} {
		synctest.Test(t, func(t *testing.T) {
			mem := journaltest.NewMem(journaltest.Config{})
			h := newMemHistory(t)
			l := start(t, mem, h, "a", Config{SnapshotMessages: 4})
			l.publish(opening(gw1, run(1), boot1, dev1)...)
			for seq := uint64(1); seq <= 12; seq++ {
				l.reach(l.frames(seq, seq))
				synctest.Wait()
			}
			_, last, _ := l.log.Bounds(t.Context())
			l.reach(last)
			want := l.state()
			newest := l.shard.last.Seq
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
			objects := mem.Objects(0)
			all, _ := objects.List(t.Context())
			for _, o := range all {
				if strings.HasPrefix(o.Name, damaged) && strings.HasSuffix(o.Name, "."+itoa(newest)) {
					data, _ := objects.Get(t.Context(), o.Name)
					data[len(data)/2] ^= 0x10
					if err := objects.Put(t.Context(), o.Name, data); err != nil {
						t.Fatal(err)
					}
				}
			}
			second := start(t, mem, newMemHistory(t).at(h), "b", Config{})
			if got := second.metric("atrium_site_bad_snapshots_total"); got != 1 {
				t.Fatalf("%v bad snapshots counted", got)
			}
			if d := second.device(); d.Points[0].Raw != 12 {
				t.Fatalf("twin at %d", d.Points[0].Raw)
			}
			if len(want) != len(second.state()) {
				t.Fatal("a site is missing")
			}
		})
	}
}

// at is a history that holds what another one does.
func (h *memHistory) at(o *memHistory) *memHistory {
	h.position, h.rows, h.ledger, h.dead, h.windows, h.alarms = o.position, o.rows, o.ledger, o.dead, o.windows, o.alarms
	return h
}

func TestALogThatBeginsBehindTheSnapshotIsALossThatIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		l := start(t, mem, newMemHistory(t), "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.reach(l.frames(1, 10))
		if _, err := l.owner.Refence(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := l.log.Purge(t.Context(), 8); err != nil { // too early, and without a snapshot
			t.Fatal(err)
		}
		_ = l.stop()
		second := start(t, mem, newMemHistory(t), "b", Config{})
		if got := second.metric("atrium_site_lost_messages_total"); got != 7 {
			t.Fatalf("%v lost messages reported, want 7", got)
		}
		second.publish(opening(gw1, run(1), boot1, dev1)...)
		second.reach(second.frames(11, 12))
	})
}

func TestARecordOfANewerWriterStopsTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.publish(journal.Record{Kind: 99, Origin: "newer", Site: "hq", Body: []byte{0x80}})
		<-l.shard.ended
		if err := l.stop(); err == nil || !strings.Contains(err.Error(), "upgrade this node") {
			t.Fatalf("Run ended with %v", err)
		}
	})
}

func TestAHistoryThatFailsStopsTheShardAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		h := newMemHistory(t)
		l := start(t, mem, h, "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.reach(l.frames(1, 2))
		h.mu.Lock()
		h.fail = errors.New("disk failure")
		h.mu.Unlock()
		l.frames(3, 5)
		<-l.shard.ended
		if err := l.stop(); !errors.Is(err, h.fail) {
			t.Fatalf("Run ended with %v", err)
		}
		h.fail = nil
		second := start(t, mem, h, "b", Config{})
		_, last, _ := second.log.Bounds(t.Context())
		second.reach(last)
		if len(h.rows) != 5 {
			t.Fatalf("%d rows after recovery", len(h.rows))
		}
	})
}

func TestSitesBeyondTheLimitsAreDeadLetters(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	for i := range MaxGateways + 1 {
		gw := gw1
		gw.Name = "gw" + itoa(uint64(i))
		m := journal.Message{Seq: uint64(i) + 1, Time: time.UnixMilli(1), Records: []journal.Record{hello(gw, 1, []id.Boot{boot1}, wire.RunInfo{Run: run(1), Class: wire.Telemetry, First: 1})}}
		if err := s.apply(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.sites["hq"].gateways); n != MaxGateways {
		t.Fatalf("%d gateways", n)
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	if n := len(s.history.(*memHistory).dead); n != 1 {
		t.Fatalf("%d dead letters, want 1", n)
	}
}

// gapOnce is a log whose reader finds a hole once, as after a purge that raced
// with it.
type gapOnce struct {
	Log
	mu   sync.Mutex
	left int // messages until the hole
}

func (g *gapOnce) Read(ctx context.Context, from uint64) (journal.Reader, error) {
	r, err := g.Log.Read(ctx, from)
	return &gapReader{r, g}, err
}

type gapReader struct {
	journal.Reader
	g *gapOnce
}

func (r *gapReader) Next(ctx context.Context) (journal.Message, error) {
	m, err := r.Reader.Next(ctx)
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	if r.g.left--; r.g.left == 0 {
		return journal.Message{}, &journal.GapError{Want: m.Seq, Got: m.Seq + 5}
	}
	return m, err
}

func TestAHoleInTheLogMeansANewRecoveryAndNeverASilentSkip(t *testing.T) {
	for left := 1; left <= 12; left++ { // in recovery's passes, and while serving
		synctest.Test(t, func(t *testing.T) {
			mem := journaltest.NewMem(journaltest.Config{})
			h := newMemHistory(t)
			l := start(t, mem, h, "a", Config{})
			l.publish(opening(gw1, run(1), boot1, dev1)...)
			l.reach(l.frames(1, 2))
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
			second, err := startOver(t, mem, h, "b", Config{}, func(log Log) Log { return &gapOnce{Log: log, left: left} })
			if err != nil {
				t.Fatal(err)
			}
			second.reach(second.frames(3, 6))
			if len(h.rows) != 6 || second.device().Points[0].Raw != 6 {
				t.Fatalf("hole at read %d: %d rows, twin at %d", left, len(h.rows), second.device().Points[0].Raw)
			}
		})
	}
}

// A manifest above history's position would make a crash lose what lies
// between: nobody replays it (I1).
func TestASnapshotIsTakenOnlyOfWhatHistoryHolds(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	s.cfg.SnapshotMessages, s.snapAt = 3, time.Now()
	recs := opening(gw1, run(1), boot1, dev1)
	for seq := uint64(1); seq <= 3; seq++ {
		m := journal.Message{Seq: seq, Time: time.UnixMilli(1), Records: recs}
		if err := s.arrived(t.Context(), arrival{msg: m}, false); err != nil { // more wait: no flush by itself
			t.Fatal(err)
		}
		recs = []journal.Record{frameOf(gw1, run(1), seq, 1, int64(seq), 1)}
	}
	if s.storing == nil || s.storing.manifest.Seq != 3 || s.history.Position(0) < 3 {
		t.Fatalf("snapshot %+v with history at %d", s.storing, s.history.Position(0))
	}
}
