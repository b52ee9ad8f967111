package site

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// reel is a log of so many messages: an opening, and then a frame each.
func reel(n uint64) []journal.Message {
	msgs := []journal.Message{{Seq: 1, Time: time.UnixMilli(1), Records: opening(gw1, run(1), boot1, dev1)}}
	for seq := uint64(2); seq <= n; seq++ {
		msgs = append(msgs, journal.Message{Seq: seq, Time: time.UnixMilli(int64(seq)), Records: []journal.Record{
			frameOf(gw1, run(1), seq-1, 1, int64(seq)*100, int64(seq)),
		}})
	}
	return msgs
}

// keptBy runs an owner over n messages of a reel, with a snapshot after every
// so many, and then takes its power.
func (r *roundabout) keptBy(t *testing.T, h *movable, n, every int, partBytes int) *life {
	t.Helper()
	r.tape.end = 1
	l := r.own(t, h, partBytes)
	for l.applied < uint64(n) && l.goOn(t) {
		if l.applied%uint64(every) == 0 {
			if err := l.keep(t); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.drained(t).end()
	return l
}

// drained waits until what was cut is put.
func (l *life) drained(t *testing.T) *life {
	t.Helper()
	if err := l.shelf.reach(t.Context(), l.shelf.after); err != nil {
		t.Fatal(err)
	}
	return l
}

func newCarousel(t *testing.T, n uint64) *roundabout {
	t.Helper()
	r := newRoundabout(reel(n))
	t.Cleanup(func() { _ = r.system.Stop(context.Background()) })
	return r
}

func (r *roundabout) held(t *testing.T) holding {
	t.Helper()
	all, err := r.parts.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return holdingOf(all, 1<<40)
}

// filled fills a hole whole.
func (l *life) filled(t *testing.T) *life {
	t.Helper()
	for n := 0; l.step(t, nil); n++ {
		if n > 1000 {
			t.Fatalf("the hole %v does not get smaller", l.held.Hole(0))
		}
	}
	return l
}

// I1: a manifest says that everything below it is somewhere. Until its parts
// are durable the next node could not have their rows.
func TestAManifestWaitsForItsParts(t *testing.T) {
	r := newCarousel(t, 10)
	r.tape.end = 1
	l := r.own(t, newMovable(t), 1<<20)
	for range 5 {
		l.goOn(t)
	}
	r.parts.fail(0)
	if err := l.keep(t); !errors.Is(err, errPower) {
		t.Fatalf("keep = %v without parts", err)
	}
	l.end()
	all, err := r.snapshots.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if _, ok := manifestSeq(o.Name); ok {
			t.Fatalf("%s is there, its parts are not", o.Name)
		}
	}
	if counted(l.metrics.partErrors) == 0 {
		t.Fatal("no error was counted")
	}
}

// I7: a replay after a crash cuts the messages at the same places, to the same
// bytes.
func TestAReplayPutsTheSamePartsAgain(t *testing.T) {
	r := newCarousel(t, 60)
	r.keptBy(t, newMovable(t), 60, 1000, 700)
	contents := func() map[string]string {
		all := map[string]string{}
		for _, s := range r.held(t).parts {
			data, err := r.parts.Get(t.Context(), s.name())
			if err != nil {
				t.Fatal(err)
			}
			all[s.name()] = string(data)
		}
		return all
	}
	first := contents()
	r.own(t, newMovable(t), 700).drained(t).end()
	if second := contents(); len(first) < 3 || fmt.Sprint(first) != fmt.Sprint(second) {
		t.Fatalf("%d parts, again %d", len(first), len(second))
	}
}

// I1: what a damaged part held is lost, loudly, and all others are filled in.
func TestADamagedPartIsRefusedAndTheOthersAreFilledIn(t *testing.T) {
	for _, damage := range []string{"bytes", "name", "absence"} {
		t.Run(damage, func(t *testing.T) {
			r := newCarousel(t, 40)
			r.keptBy(t, newMovable(t), 40, 10, 1<<20)
			held := r.held(t).parts
			if len(held) != 4 {
				t.Fatalf("%d parts", len(held))
			}
			bad := held[1]
			data, err := r.parts.Get(t.Context(), bad.name())
			if err != nil {
				t.Fatal(err)
			}
			switch damage {
			case "bytes":
				data[len(data)/2] ^= 1
			case "name": // whole, but of other messages
				if data, err = r.parts.Get(t.Context(), held[2].name()); err != nil {
					t.Fatal(err)
				}
			}
			if damage == "absence" {
				err = r.parts.Delete(t.Context(), bad.name())
			} else {
				err = r.parts.Objects.Put(t.Context(), bad.name(), data)
			}
			if err != nil {
				t.Fatal(err)
			}
			h := newMovable(t)
			l := r.own(t, h, 1<<20).filled(t)
			defer l.end()
			if lost := counted(l.metrics.lost); lost != float64(bad.to-bad.after) || len(h.rows) != 39-int(lost) {
				t.Fatalf("%v messages lost of part %v, %d rows", lost, bad, len(h.rows))
			}
			if n := counted(l.metrics.badParts); (n == 1) != (damage != "absence") {
				t.Fatalf("%v parts counted as damaged", n)
			}
		})
	}
}

// A part of a newer program is not damaged: its rows are not given up.
func TestAPartOfANewerVersionKeepsTheHole(t *testing.T) {
	r := newCarousel(t, 10)
	r.keptBy(t, newMovable(t), 10, 10, 1<<20)
	h := newMovable(t)
	l := r.own(t, h, 1<<20)
	defer l.end()
	newer := errors.New("newer")
	h.stop = newer
	if err := l.fill.step(t.Context(), h.Hole(0)); !errors.Is(err, newer) || !h.Hole(0).Open() {
		t.Fatalf("step = %v, the hole is %v", err, h.Hole(0))
	}
	if counted(l.metrics.lost) != 0 || counted(l.metrics.badParts) != 0 {
		t.Fatal("something was given up")
	}
	if l.filled(t); len(h.rows) != 9 {
		t.Fatalf("%d rows", len(h.rows))
	}
}

// I5: the oldest parts of a full bucket give way, counted; the next owner
// counts their messages as lost and has all others.
func TestTheOldestPartsOfAFullBucketGiveWay(t *testing.T) {
	r := newCarousel(t, 80)
	r.parts.size = 3000
	l := r.keptBy(t, newMovable(t), 80, 5, 1<<20)
	held := r.held(t).parts
	given := counted(l.metrics.partsGiven)
	if given == 0 || int(given)+len(held) != 16 || held[len(held)-1].to != 80 {
		t.Fatalf("%v parts gave way, %d are left, up to %d", given, len(held), held[len(held)-1].to)
	}
	h := newMovable(t)
	next := r.own(t, h, 1<<20).filled(t)
	defer next.end()
	if lost := counted(next.metrics.lost); lost != float64(held[0].after) || len(h.rows) != 80-int(held[0].after) {
		t.Fatalf("%v messages lost, %d rows; the first part begins after %d", lost, len(h.rows), held[0].after)
	}
}

// A bucket that is too small for one part takes none, and says so.
func TestABucketWithoutRoomForAPartIsAnError(t *testing.T) {
	r := newCarousel(t, 10)
	r.parts.size = 10
	r.tape.end = 1
	l := r.own(t, newMovable(t), 1<<20)
	defer l.end()
	l.goOn(t)
	if err := l.keep(t); !errors.Is(err, journal.ErrFull) {
		t.Fatalf("keep = %v", err)
	}
}

// What has aged away is not lost.
func TestPartsThatHaveAgedAreNotMissed(t *testing.T) {
	r := newCarousel(t, 20)
	l := r.keptBy(t, newMovable(t), 20, 5, 1<<20)
	held := r.held(t).parts
	for _, before := range []time.Time{held[0].at.Add(-time.Hour), held[1].at.Add(1), held[2].at.Add(1)} {
		if err := l.shelf.age(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	if left := r.held(t); len(left.parts) != 1 || left.aged != 15 {
		t.Fatalf("left: %+v", left)
	}
	all, err := r.parts.List(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v: want a part and how far they have aged", all, err)
	}
	h := newMovable(t)
	next := r.own(t, h, 1<<20).filled(t)
	defer next.end()
	if lost := counted(next.metrics.lost); lost != 0 || len(h.rows) != 5 {
		t.Fatalf("%v messages lost, %d rows", lost, len(h.rows))
	}
}

// I5: a quiet shard leaves a small part a snapshot. They must not become
// thousands, which take a second to list each.
func TestSmallPartsAreJoined(t *testing.T) {
	const n = 200
	r := newCarousel(t, n)
	l := r.keptBy(t, newMovable(t), n, 1, 1<<20)
	if left := r.held(t).parts; len(left) > 2*joinParts || counted(l.metrics.partsJoined) == 0 {
		t.Fatalf("%d parts are left", len(left))
	}
	h := newMovable(t)
	next := r.own(t, h, 1<<20).filled(t)
	defer next.end()
	if lost := counted(next.metrics.lost); lost != 0 || len(h.rows) != n-1 {
		t.Fatalf("%v messages lost, %d rows", lost, len(h.rows))
	}
}

func TestOnlySmallPartsThatFollowEachOtherAreJoined(t *testing.T) {
	small := func(n int) (all []span) {
		for i := range uint64(n) {
			all = append(all, span{after: i, to: i + 1, size: 100})
		}
		return all
	}
	if got := joinable(small(joinParts - 1)); got != nil {
		t.Errorf("too few are joined: %v", got)
	}
	gap := small(2 * joinParts)
	gap = append(gap[:5:5], gap[6:]...)
	if got := joinable(gap); len(got) != joinParts || got[0].after != 6 {
		t.Errorf("over a gap: %v", got)
	}
	large := small(2 * joinParts)
	large[7].size = joinBelow
	if got := joinable(large); len(got) != joinParts || got[0].after != 8 {
		t.Errorf("over a large one: %v", got)
	}
}

func TestPartsCoverWhatLiesBetweenTwoMessages(t *testing.T) {
	h := holdingOf([]journal.Object{
		{Name: "rows.20.30"},
		{Name: "rows.0.10"},
		{Name: "rows.8.15"},
		{Name: "rows.0.4"},
		{Name: "rows.30.99"},
		{Name: "rows.5.5"},
		{Name: "rows.+1.9"},
		{Name: "site.hq.3"},
		{Name: "aged.2"},
		{Name: "aged.x"},
	}, 50)
	if len(h.parts) != 4 || h.aged != 2 {
		t.Fatalf("%+v", h)
	}
	for _, f := range []struct {
		after, to uint64
		want      bool
	}{{0, 15, true}, {0, 1, true}, {3, 12, true}, {14, 15, true}, {0, 16, false}, {15, 20, false}, {21, 30, true}, {30, 31, false}, {7, 7, true}} {
		if got := h.cover(f.after, f.to); got != f.want {
			t.Errorf("after %d to %d: %t", f.after, f.to, got)
		}
	}
	if s, ok := h.over(9); !ok || s.to != 15 {
		t.Errorf("over 9: %v", s)
	}
}

// A manifest below the position is of no use if the log was purged above it:
// the state would lack messages, which weighs more than history.
func TestANewerManifestIsTakenWhereTheLogNoLongerReachesTheOlder(t *testing.T) {
	r := newCarousel(t, 20)
	h := newMovable(t)
	r.keptBy(t, h, 20, 10, 1<<20)
	behind := newMovable(t)
	behind.position = 12
	r.tape.first = 18
	if err := r.parts.Delete(t.Context(), "rows.10.20"); err != nil {
		t.Fatal(err)
	}
	l := r.own(t, behind, 1<<20).filled(t)
	defer l.end()
	if l.applied != 20 || l.sites["hq"].twins["t1"] == nil || counted(l.metrics.lost) != 8 {
		t.Fatalf("at %d, lost %v", l.applied, counted(l.metrics.lost))
	}
}

// I1: where parts lack something the log still has, it is replayed.
func TestAnOlderManifestIsTakenWherePartsLackWhatTheLogHas(t *testing.T) {
	r := newCarousel(t, 20)
	r.keptBy(t, newMovable(t), 20, 10, 1<<20)
	behind := newMovable(t)
	behind.position = 10
	r.tape.first = 1
	if err := r.parts.Delete(t.Context(), "rows.10.20"); err != nil {
		t.Fatal(err)
	}
	l := r.own(t, behind, 1<<20)
	defer l.end()
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	if l.origin != 10 || behind.Hole(0).Open() || len(behind.rows) != 10 {
		t.Fatalf("from %d, hole %v, %d rows", l.origin, behind.Hole(0), len(behind.rows))
	}
}

func TestPartsNeedAHistoryWithHoles(t *testing.T) {
	_, err := New(Config{Node: "node"}, Parts{History: newMemHistory(t), Parts: journaltest.NewMem(journaltest.Config{}).Objects(0)}, quiet(), nil)
	if err == nil || !strings.Contains(err.Error(), "parts are kept") {
		t.Fatalf("New = %v", err)
	}
}

// I5: while the bucket takes nothing the shard reads no more of its log, and
// still answers; then it goes on.
func TestPartsThatWaitHoldUpTheLogAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		parts := &bucket{Objects: mem.Objects(7), puts: manyPuts}
		h := newMovable(t)
		l, err := startOn(t, mem, h.memHistory, "a", Config{}, func(l Log) Log { return l }, newFakeDocuments(), func(p *Parts) {
			p.History, p.Parts = h, parts
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.shard.ask(t.Context(), func() { l.shard.shelf.partBytes = 1 }); err != nil {
			t.Fatal(err)
		}
		l.reach(l.publish(opening(gw1, run(1), boot1, dev1)...))
		parts.fail(0)
		last := l.frames(1, 50)
		synctest.Wait()
		p, err := l.shard.Progress(t.Context())
		if err != nil || p.Applied+40 > last {
			t.Fatalf("at %d of %d, %v", p.Applied, last, err)
		}
		time.Sleep(time.Minute)
		if again, err := l.shard.Progress(t.Context()); err != nil || again.Applied != p.Applied {
			t.Fatalf("at %d, then at %d, %v", p.Applied, again.Applied, err)
		}
		parts.fail(manyPuts)
		l.reach(last)
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// I1, I7: over a running shard: it serves at once, with its state whole, and its
// history is filled in meanwhile.
func TestAnOwnerServesWhileItsHistoryIsFilledIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := journaltest.NewMem(journaltest.Config{})
		parts := &bucket{Objects: mem.Objects(7), puts: manyPuts}
		var nodes [2]*movable
		var last uint64
		for i := range nodes {
			nodes[i] = newMovable(t)
			l, err := startOn(t, mem, nodes[i].memHistory, fmt.Sprint(i), Config{SnapshotMessages: 10}, func(l Log) Log { return l }, newFakeDocuments(), func(p *Parts) {
				p.History, p.Parts = nodes[i], parts
			})
			if err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				l.publish(opening(gw1, run(1), boot1, dev1)...)
				for seq := uint64(1); seq <= 45; seq++ {
					last = l.frames(seq, seq)
					l.reach(last)
					synctest.Wait()
				}
			} else if d := l.device(); d.Points[0].Raw != 45 {
				t.Fatalf("the twin is at %d", d.Points[0].Raw)
			}
			time.Sleep(time.Minute)
			if err := l.stop(); err != nil {
				t.Fatal(err)
			}
		}
		if h := nodes[1]; h.hole.Open() || len(h.rows) != 45 || !h.equal(nodes[0].memHistory) {
			t.Fatalf("the hole is %v, %d rows", h.hole, len(h.rows))
		}
	})
}
