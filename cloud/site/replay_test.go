package site

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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

	revision uint64       // of the documents
	commands []id.Command // asked for
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

var worldBegin = time.UnixMilli(1_700_000_000_000)

func drawLog(t *rapid.T) []journal.Message {
	w := &world{t: t, now: worldBegin}
	w.add(journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "node"}.Record())
	for i, g := range []id.Gateway{gw1, gw2, {Site: "lab", Name: "gw1"}} {
		f := &fakeGateway{id: g, dev: id.Device{Site: g.Site, Name: "t1"}, board: byte(i + 1)}
		w.gws = append(w.gws, f)
		w.restart(f)
		for range rapid.IntRange(0, 5).Draw(t, "documents") {
			w.document(g.Site)
		}
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
	switch rapid.SampledFrom([]string{"frame", "frame", "frame", "frame", "again", "again", "jump", "gap", "broken", "restart", "reconnect", "bind", "tick", "barrier", "noise", "document", "document", "command", "outbox", "result"}).Draw(w.t, "what") {
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
	case "document":
		w.document(g.id.Site)
	case "command":
		in := journal.Intent{ID: id.Command{byte(len(w.commands)), g.board}, Device: g.dev.Name, Name: "set", Issued: w.now.UnixMicro()}
		in.Deadline = in.Issued + rapid.Int64Range(0, 60_000_000).Draw(w.t, "life")
		w.commands = append(w.commands, in.ID)
		w.add(ownerOf(journal.KindIntent, g.id.Site, in.Append(nil)))
		if rapid.Bool().Draw(w.t, "sent") {
			w.add(ownerOf(journal.KindOutbox, g.id.Site, journal.AppendOutbox(nil, in.ID)))
		}
	case "outbox", "result":
		if len(w.commands) == 0 {
			return
		}
		c := rapid.SampledFrom(w.commands).Draw(w.t, "command")
		if rapid.Bool().Draw(w.t, "outbox") {
			w.add(ownerOf(journal.KindOutbox, g.id.Site, journal.AppendOutbox(nil, c)))
			return
		}
		r := wire.Result{ID: c, State: rapid.SampledFrom([]wire.ResultState{wire.ResultDone, wire.ResultFailed}).Draw(w.t, "state")}
		w.add(wireRecord(journal.KindResult, g.id, r.Append(nil)))
	case "noise":
		w.add(ownerOf(journal.KindDocument, g.id.Site, []byte{0x80}), ownerOf(journal.KindIntent, g.id.Site, nil))
		w.add(wireRecord(journal.KindFrame, g.id, []byte{0x80}), wireRecord(journal.KindBind, g.id, nil))
	}
}

// document applies one, perhaps an old one again, or takes one away.
func (w *world) document(site id.Site) {
	all := map[string]string{
		"room a":       "devices: [t1, t2]",
		"room a/b":     "devices: [t1]",
		"room broken":  "devices: [T]",
		"pipeline win": "points: [count]\nstages:\n- window: {every: 1s}\n- alarm: {of: max, above: 5, severity: warning, text: high}",
		"pipeline off": "from: {rooms: [a]}\npoints: [count]\nstages:\n- filter: \"count > 1\"\n- alarm: {of: count, above: 3, clear: 2, severity: info, text: three}",
	}
	what := rapid.SampledFrom(slices.Sorted(maps.Keys(all))).Draw(w.t, "document")
	kind, name, _ := strings.Cut(what, " ")
	w.revision++
	d := journal.Document{Kind: kind, Name: name, Revision: w.revision}
	if rapid.IntRange(0, 3).Draw(w.t, "old") == 0 {
		d.Revision--
	}
	if d.Deleted = rapid.IntRange(0, 3).Draw(w.t, "deleted") == 0; !d.Deleted {
		d.Text = fmt.Appendf(nil, "kind: %s\nname: %s/%s\n%s\n", kind, site, name, all[what])
	}
	w.add(ownerOf(journal.KindDocument, site, d.Append(nil)))
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
		r.tick += rapid.Int64Range(0, 800).Draw(w.t, "ticks")
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
		recs = append(recs, schemaOf(g.id, r.id, 1, g.dev), clockOf(g.id, r.id, 1, g.boots[r.boot], worldBegin.UnixMicro()+int64(r.boot)*1_000_000_000))
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
		if r.sites[name], err = r.codec.restore(e, data, r.actors, &r.marks, &r.work); err != nil {
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
	windows, alarms, sent := 0, 0, 0 // that there were, after a snapshot
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
		for key, e := range h2.windows {
			if h1.windows[key] != e {
				t.Fatalf("window %s differs", key)
			}
		}
		for key, e := range h2.alarms {
			if h1.alarms[key] != e {
				t.Fatalf("alarm entry %s differs:\n%+v\n%+v", key, h1.alarms[key], e)
			}
		}
		if diff := cmp.Diff(derived(whole), derived(second), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("rooms and indexes differ: %s", diff)
		}
		windows, alarms = windows+len(h2.windows), alarms+len(h2.alarms)
		for _, st := range second.sites {
			for _, c := range st.commands.state.List() {
				if c.SentAt != 0 {
					sent++
				}
			}
		}
	})
	if windows == 0 || alarms == 0 || sent == 0 {
		t.Fatalf("%d windows, %d alarm entries, %d commands: the logs are too tame", windows, alarms, sent)
	}
	t.Logf("%d windows, %d alarm entries, %d commands", windows, alarms, sent)
}

// derived is what no snapshot holds and a restart makes again.
func derived(s *Shard) (all []any) {
	for _, name := range s.names() {
		st := s.sites[name]
		for _, room := range st.rooms.plan.Rooms() {
			all = append(all, st.rooms.actors[room].view())
		}
		all = append(all, st.summary(), maps.Clone(st.pipelines.active), st.pipelines.states, len(st.pipelines.ordered))
		for _, device := range []string{"t1", "t2"} {
			var readers []string
			for _, a := range st.pipelines.readersOf(device) {
				readers = append(readers, a.def.Name.Name)
			}
			all = append(all, readers)
		}
	}
	return all
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
