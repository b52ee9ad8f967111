package site

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// world makes up what gateways might journal: two gateways of two sites, runs
// that open, close and crash, frames that repeat, skip and break.
type world struct {
	t    *rapid.T
	gws  []*fakeGateway
	seq  uint64
	now  time.Time
	msgs []journal.Message
}

type fakeGateway struct {
	id    id.Gateway
	dev   id.Device
	board byte
	boots []id.Boot
	runs  []*fakeRun
	sent  []journal.Record // frames and gaps, for repetition
}

type fakeRun struct {
	id    id.Run
	boot  int
	next  uint64 // that the gateway sends next
	state wire.RunState
	tick  int64
}

func drawLog(t *rapid.T) []journal.Message {
	w := &world{t: t, now: time.UnixMilli(1_700_000_000_000)}
	w.add(journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "node"}.Record())
	for i, g := range []id.Gateway{gw1, gw2, {Site: "lab", Name: "gw1"}} {
		f := &fakeGateway{id: g, dev: id.Device{Site: g.Site, Name: "t1"}, board: byte(i + 1)}
		w.gws = append(w.gws, f)
		w.restart(f)
	}
	for range rapid.IntRange(5, 60).Draw(t, "steps") {
		w.step()
	}
	return w.msgs
}

// add appends one message of some records.
func (w *world) add(recs ...journal.Record) {
	w.seq++
	w.now = w.now.Add(time.Duration(rapid.IntRange(-50, 5000).Draw(w.t, "ms")) * time.Millisecond) // a leader's clock may step
	w.msgs = append(w.msgs, journal.Message{Seq: w.seq, Time: w.now, Records: recs})
}

func (w *world) step() {
	g := w.gws[rapid.IntRange(0, len(w.gws)-1).Draw(w.t, "gateway")]
	switch rapid.SampledFrom([]string{"frame", "frame", "frame", "frame", "again", "again", "jump", "gap", "broken", "restart", "reconnect", "bind", "tick", "barrier", "noise"}).Draw(w.t, "what") {
	case "frame":
		w.frame(g, 0)
	case "jump":
		w.frame(g, rapid.Uint64Range(1, 3).Draw(w.t, "by"))
	case "again":
		n := rapid.IntRange(1, 3).Draw(w.t, "n")
		w.add(g.sent[max(0, len(g.sent)-n):]...)
	case "gap":
		r := g.runs[rapid.IntRange(0, len(g.runs)-1).Draw(w.t, "run")]
		n := rapid.Uint64Range(0, 2).Draw(w.t, "n")
		w.send(g, gapOf(g.id, r.id, r.next, r.next+n, wire.GapQuota))
		r.next += n + 1
	case "broken":
		r := g.runs[rapid.IntRange(0, len(g.runs)-1).Draw(w.t, "run")]
		rec := frameOf(g.id, r.id, r.next, 1, r.tick, 1)
		rec.Body[len(rec.Body)-1] ^= 1
		w.send(g, rec)
		r.next++
	case "restart":
		w.restart(g)
	case "reconnect":
		w.hello(g)
	case "bind":
		w.add(bindTo(g.id, g.dev))
	case "tick":
		w.now = w.now.Add(time.Minute)
		w.add(journal.Record{Kind: journal.KindTick, Origin: "node", Site: g.id.Site, Body: journal.AppendTick(nil)})
	case "barrier":
		w.add(journal.Barrier{Incarnation: 1, Epoch: w.seq, Owner: "node"}.Record())
	case "noise":
		w.add(wireRecord(journal.KindFrame, g.id, []byte{0x80}), wireRecord(journal.KindBind, g.id, nil))
	}
}

func (w *world) send(g *fakeGateway, recs ...journal.Record) {
	g.sent = append(g.sent, recs...)
	w.add(recs...)
}

func (w *world) frame(g *fakeGateway, jump uint64) {
	r := g.runs[rapid.IntRange(0, len(g.runs)-1).Draw(w.t, "run")]
	r.next += jump
	var recs []journal.Record
	for range rapid.IntRange(1, 3).Draw(w.t, "frames") {
		r.tick += rapid.Int64Range(0, 5).Draw(w.t, "ticks")
		recs = append(recs, frameOf(g.id, r.id, r.next, 1, r.tick, int64(r.next), int64(r.next)+1))
		r.next++
		r.tick += 2
	}
	w.send(g, recs...)
}

// restart ends the runs and begins a new one, perhaps after a reboot.
func (w *world) restart(g *fakeGateway) {
	for _, r := range g.runs {
		if r.state == wire.RunOpen {
			r.state = rapid.SampledFrom([]wire.RunState{wire.RunClosed, wire.RunUnclean}).Draw(w.t, "end")
		}
	}
	if len(g.boots) == 0 || rapid.Bool().Draw(w.t, "reboot") {
		g.boots = append(g.boots, id.Boot{g.board, byte(len(g.boots) + 1)})
	}
	r := &fakeRun{id: id.Run{g.board, byte(len(g.runs) + 1), byte(w.seq)}, boot: len(g.boots) - 1, next: 1}
	if len(g.runs) > 3 {
		g.runs = g.runs[1:] // let go of: the hello no longer names it
	}
	g.runs = append(g.runs, r)
	w.hello(g)
}

func (w *world) hello(g *fakeGateway) {
	m := wire.Hello{Min: 1, Max: 1, Agent: "test", Board: id.Board{g.board}, Interval: 1000, Now: uint64(w.seq), Boots: g.boots}
	for _, r := range g.runs {
		last := r.next - 1
		if rapid.Bool().Draw(w.t, "more") {
			last++ // committed and not sent yet
		}
		m.Runs = append(m.Runs, wire.RunInfo{Run: r.id, Class: wire.Telemetry, Boot: r.boot, First: 1, Last: last, State: r.state})
	}
	recs := []journal.Record{wireRecord(journal.KindHello, g.id, m.Append(nil)), bindTo(g.id, g.dev)}
	for _, r := range g.runs {
		recs = append(recs, schemaOf(g.id, r.id, 1, g.dev), clockOf(g.id, r.id, 1, g.boots[r.boot], int64(r.boot)*1_000_000_000))
	}
	w.add(recs...)
}

// play applies messages and keeps what history would get.
func (s *Shard) play(t interface{ Fatalf(string, ...any) }, msgs []journal.Message) {
	for _, m := range msgs {
		if err := s.apply(context.Background(), m); err != nil {
			t.Fatalf("apply %d: %v", m.Seq, err)
		}
	}
	if err := s.flush(); err != nil {
		t.Fatalf("flush: %v", err)
	}
}

func (s *Shard) done() {
	s.closeSites()
	_ = s.actors.Stop(context.Background())
}

// fromSnapshot makes a second shard from s's snapshot, through its bytes.
func (s *Shard) fromSnapshot(t *rapid.T) *Shard {
	r := offline(t, "other")
	r.applied, r.now, r.incarnation, r.epoch = s.applied, s.now, s.incarnation, s.epoch
	for name, st := range s.sites {
		data, err := s.codec.encode(st, s.applied)
		if err != nil {
			t.Fatalf("%v", err)
		}
		e := manifestEntry{Site: name, Object: objectName(name, s.applied), Seq: s.applied, Digest: sha256.Sum256(data)}
		if r.sites[name], err = r.codec.restore(e, data, r.actors, &r.marks); err != nil {
			t.Fatalf("%v", err)
		}
		back, err := r.codec.encode(r.sites[name], s.applied)
		if err != nil || !bytes.Equal(back, data) {
			t.Fatalf("site %s: the snapshot read back has other bytes (%v)", name, err)
		}
	}
	return r
}

// I7: snapshot + the rest of the log gives the same bytes and the same
// projections as the whole log.
func TestReplayFromAnySnapshotGivesTheSameBytesAsFromTheStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msgs := drawLog(t)
		at := rapid.IntRange(0, len(msgs)).Draw(t, "snapshot at")
		whole := offline(t, "node")
		defer whole.done()
		whole.play(t, msgs[:at])
		second := whole.fromSnapshot(t)
		defer second.done()
		before := len(whole.history.(*memHistory).rows)
		whole.play(t, msgs[at:])
		second.play(t, msgs[at:])
		if a, b := whole.bytes(), second.bytes(); !maps.Equal(a, b) {
			t.Fatalf("states differ after a snapshot at %d of %d messages", at, len(msgs))
		}
		h1, h2 := whole.history.(*memHistory), second.history.(*memHistory)
		if len(h1.rows) != before+len(h2.rows) {
			t.Fatalf("rows: %d from the start, %d + %d with the snapshot", len(h1.rows), before, len(h2.rows))
		}
		for key, row := range h2.rows {
			if h1.rows[key] != row {
				t.Fatalf("row %s differs", key)
			}
		}
		for key, e := range h2.ledger {
			if h1.ledger[key] != e {
				t.Fatalf("ledger entry %s differs", key)
			}
		}
	})
}

// I1: frames and gaps that are journaled again, in any number and at any later
// place, change no row, no ledger entry and no reported value.
func TestDuplicatesAndRedeliveriesNeverChangeHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msgs := drawLog(t)
		once := offline(t, "node")
		defer once.done()
		once.play(t, msgs)

		again := offline(t, "other")
		defer again.done()
		var sent []journal.Record
		var more []journal.Message
		for _, m := range msgs {
			more = append(more, journal.Message{Seq: uint64(len(more)) + 1, Time: m.Time, Records: m.Records})
			for i := range m.Records {
				if k := m.Records[i].Kind; k == journal.KindFrame || k == journal.KindGap {
					sent = append(sent, m.Records[i])
				}
			}
			if n := rapid.IntRange(0, 4).Draw(t, "redelivered"); n > 0 && len(sent) > 0 {
				from := rapid.IntRange(0, len(sent)-1).Draw(t, "from")
				recs := slices.Clone(sent[from:min(len(sent), from+n)])
				more = append(more, journal.Message{Seq: uint64(len(more)) + 1, Time: m.Time, Records: recs})
			}
		}
		again.play(t, more)
		h1, h2 := once.history.(*memHistory), again.history.(*memHistory)
		if !maps.Equal(h1.rows, h2.rows) {
			t.Fatalf("rows differ: %d once, %d with redeliveries", len(h1.rows), len(h2.rows))
		}
		if a, b := ranges(h1), ranges(h2); !slices.Equal(a, b) {
			t.Fatalf("ledgers differ:\n%v\n%v", a, b)
		}
		for name, st := range once.sites {
			for dev, tw := range st.twins {
				a, b := tw.view(), again.sites[name].twins[dev].view()
				if fmt.Sprint(a.Points) != fmt.Sprint(b.Points) {
					t.Fatalf("%s/%s differs:\n%v\n%v", name, dev, a.Points, b.Points)
				}
			}
		}
	})
}

// ranges is a ledger without the positions of its entries, and without what
// repetition rightly repeats: frames of runs that nobody announced.
func ranges(h *memHistory) []string {
	var all []string
	for _, e := range h.ledger {
		if e.Reason == history.UnknownRun {
			continue
		}
		all = append(all, fmt.Sprintf("%s/%s %s %d..%d %s", e.Site, e.Gateway, e.Run, e.A, e.B, e.Reason))
	}
	slices.Sort(all)
	return all
}

// I1: of each run every sequence up to next is in history, in the ledger, or
// both never: nothing is lost in silence and nothing is there twice.
func TestEverySequenceIsEitherAppliedOrInTheLedger(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := offline(t, "node")
		defer s.done()
		s.play(t, drawLog(t))
		h := s.history.(*memHistory)
		seen := map[id.Run]map[uint64]string{}
		note := func(r id.Run, seq uint64, what string) {
			if seen[r] == nil {
				seen[r] = map[uint64]string{}
			}
			if had, ok := seen[r][seq]; ok {
				t.Fatalf("run %s seq %d is %s and %s", r, seq, had, what)
			}
			seen[r][seq] = what
		}
		for _, row := range h.rowsBySeq() {
			note(row.run, row.seq, "applied")
		}
		for _, e := range h.ledger {
			for seq := e.A; seq <= e.B && e.Reason != history.Crash && e.Reason != history.IdentityTwice; seq++ {
				note(e.Run, seq, e.Reason.String())
			}
		}
		check := func(r id.Run, next uint64) {
			for seq := uint64(1); seq < next; seq++ {
				if _, ok := seen[r][seq]; !ok {
					t.Fatalf("run %s seq %d of %d is nowhere", r, seq, next-1)
				}
			}
		}
		for _, st := range s.sites {
			for _, g := range st.gateways {
				for r, state := range g.gateway.state.Runs {
					check(r, state.Next)
				}
				for _, tomb := range g.gateway.state.Tombs {
					check(tomb.Run, tomb.Next)
				}
			}
		}
	})
}

type runSeq struct {
	run id.Run
	seq uint64
}

func (h *memHistory) rowsBySeq() []runSeq {
	var all []runSeq
	for key := range h.rows {
		var dev, schema, run string
		var from int64
		var seq uint64
		if _, err := fmt.Sscanf(key, "%s %s %d %s %d", &dev, &schema, &from, &run, &seq); err != nil {
			panic(err)
		}
		r, err := id.ParseRun(run)
		if err != nil {
			panic(err)
		}
		all = append(all, runSeq{r, seq})
	}
	return all
}
