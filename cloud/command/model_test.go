package command_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// world is a site's log, the owner that applies it, and the gateways. Owners
// die, messages are late, results come again, and a wrong gateway speaks.
type world struct {
	now  int64
	log  []entry
	s    *command.State
	snap []byte // of the state after the first at entries
	at   int

	asked  map[id.Command]string // the gateway that it was first asked for
	opened map[id.Command]bool   // its outbox record is in the log
	ends   map[id.Command]command.Status
	flight []flight
	edges  map[string]map[id.Command]*done // by gateway
}

type entry struct {
	now int64
	in  command.Input
}

type flight struct {
	gateway string
	m       wire.Command
}

// done is what a gateway remembers of a command.
type done struct {
	state    wire.ResultState
	at       int64
	executed int
}

func newWorld() *world {
	return &world{
		now: 1000 * second, s: new(command.State), snap: encode(new(command.State)),
		asked: map[id.Command]string{}, opened: map[id.Command]bool{}, ends: map[id.Command]command.Status{},
		edges: map[string]map[id.Command]*done{"gw-1": {}, "gw-2": {}},
	}
}

func encode(s *command.State) []byte {
	opt := cbor.CoreDetEncOptions()
	opt.NilContainers = cbor.NilContainerAsEmpty
	mode, err := opt.EncMode()
	if err != nil {
		panic(err)
	}
	b, err := mode.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}

func decode(t *rapid.T, b []byte) *command.State {
	var s command.State
	if err := cbor.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return &s
}

// record appends to the log and applies.
func (w *world) record(t *rapid.T, in command.Input) {
	w.log = append(w.log, entry{w.now, in})
	if in.Kind == command.Opened {
		w.opened[in.ID] = true
	}
	out := w.s.Step(w.now, in)
	for _, c := range out.Send {
		if !w.opened[c] {
			t.Fatalf("%s is sent before its outbox record", letter(c))
		}
	}
	for _, c := range out.Ended {
		got, _ := w.s.Get(c)
		before, again := w.ends[c]
		if !got.Status.Ended() || again && (before != command.Unanswered || got.Status == command.Unanswered) {
			t.Fatalf("%s ended as %v, then as %v", letter(c), before, got.Status)
		}
		w.ends[c] = got.Status
	}
}

func (w *world) ask(t *rapid.T) {
	c := commandID(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}).Draw(t, "id"))
	gw := rapid.SampledFrom([]string{"gw-1", "gw-2", ""}).Draw(t, "gateway")
	life := rapid.Int64Range(0, 60).Draw(t, "life") * second
	if _, ok := w.asked[c]; !ok {
		w.asked[c] = gw
	}
	w.record(t, command.Input{Kind: command.Intended, Gateway: gw, Intent: journal.Intent{ID: c, Device: "relay-1", Name: "set", Issued: w.now, Deadline: w.now + life}})
}

// publish commits an outbox record that is missing, or one that is there: an
// owner that lost its memory did not know.
func (w *world) publish(t *rapid.T) {
	outbox, send := w.s.Pending()
	if all := slices.Concat(outbox, send); len(all) > 0 {
		w.record(t, command.Input{Kind: command.Opened, ID: rapid.SampledFrom(all).Draw(t, "outbox")})
	}
}

// send puts a command on its way, if the owner may send it.
func (w *world) send(t *rapid.T) {
	if _, send := w.s.Pending(); len(send) > 0 {
		if gw, m, ok := w.s.Wire(rapid.SampledFrom(send).Draw(t, "send"), "hq", w.now); ok {
			w.flight = append(w.flight, flight{gw, m})
		}
	}
}

// deliver gives a gateway a command, maybe late; it executes an id once.
func (w *world) deliver(t *rapid.T) {
	if len(w.flight) == 0 {
		return
	}
	i := rapid.IntRange(0, len(w.flight)-1).Draw(t, "flight")
	f := w.flight[i]
	w.flight = slices.Delete(w.flight, i, i+1)
	if w.edges[f.gateway][f.m.ID] != nil {
		return
	}
	d := &done{at: w.now, state: rapid.SampledFrom([]wire.ResultState{wire.ResultDone, wire.ResultFailed, wire.ResultRefused, wire.ResultUnknown, wire.ResultExpired}).Draw(t, "result")}
	if d.state != wire.ResultRefused && d.state != wire.ResultExpired {
		d.executed++
	}
	w.edges[f.gateway][f.m.ID] = d
}

// answer sends a result, again and again; wrong ones come from a gateway that
// never had the command.
func (w *world) answer(t *rapid.T) {
	c := commandID(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h"}).Draw(t, "id"))
	gw := rapid.SampledFrom([]string{"gw-1", "gw-2"}).Draw(t, "from")
	r := wire.Result{ID: c, State: wire.ResultDone}
	switch d := w.edges[gw][c]; {
	case d != nil:
		r.State, r.Ago = d.state, uint64(w.now-d.at)/1000
	case w.asked[c] == gw:
		return // an honest gateway says nothing of what it never had
	}
	w.record(t, command.Input{Kind: command.Answered, Gateway: gw, Result: r})
}

// crash lets a new owner begin from the snapshot. I7: it ends in the same
// bytes, whatever the one before did and sent.
func (w *world) crash(t *rapid.T) {
	want := encode(w.s)
	for _, begin := range []struct {
		s  *command.State
		at int
	}{{new(command.State), 0}, {decode(t, w.snap), w.at}} {
		for _, e := range w.log[begin.at:] {
			begin.s.Step(e.now, e.in)
		}
		if got := encode(begin.s); !bytes.Equal(got, want) {
			t.Fatalf("replay from %d of %d entries:\n%s\nwant\n%s", begin.at, len(w.log), show(begin.s), show(w.s))
		}
		w.s = begin.s
	}
}

func (w *world) invariants(t *rapid.T) {
	if err := w.s.Check(); err != nil {
		t.Fatal(err)
	}
	for c, gw := range w.asked {
		got, ok := w.s.Get(c)
		if !ok {
			t.Fatalf("%s is lost", letter(c))
		}
		to, m, ok := w.s.Wire(c, "hq", w.now)
		if ok && (!w.opened[c] || got.Status != command.Sent || w.now >= got.Deadline || to != gw || m.Remaining == 0) {
			t.Fatalf("%s may be sent to %s: %+v, outbox record %v", letter(c), to, got, w.opened[c])
		}
		if err := w.truth(got); err != nil {
			t.Fatal(err)
		}
	}
	if due := w.s.Due(); (due == 0) != (len(w.s.Open) == 0) {
		t.Fatalf("due %d with %d open", due, len(w.s.Open))
	}
}

// truth says whether what the state tells of a command is what its gateway
// did.
func (w *world) truth(c command.Command) error {
	executed, said := 0, wire.ResultState(0)
	for _, edge := range w.edges {
		if d := edge[c.ID]; d != nil {
			executed, said = executed+d.executed, d.state
		}
	}
	bad := executed > 1
	switch c.Status {
	case command.Accepted:
		bad = bad || said != 0
	case command.Done:
		bad = bad || said != wire.ResultDone
	case command.Failed:
		bad = bad || said != wire.ResultFailed
	case command.Unknown:
		bad = bad || said != wire.ResultUnknown
	case command.Refused, command.Expired:
		bad = bad || executed != 0
	}
	if bad {
		return fmt.Errorf("%s, but the gateway executed it %d times and says %v", line(c), executed, said)
	}
	return nil
}

// Every accepted command ends exactly once, or as unanswered and then by its
// late result; nothing is sent before its outbox record (I3); what is told is
// true; and an owner that dies at any point changes none of it (I7).
func TestEveryCommandEndsOnceWhoeverDies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		t.Repeat(map[string]func(*rapid.T){
			"ask": w.ask, "publish": w.publish, "send": w.send, "deliver": w.deliver, "answer": w.answer, "crash": w.crash,
			"tick": func(t *rapid.T) { w.record(t, command.Input{Kind: command.Tick}) },
			"wait": func(t *rapid.T) { w.now += rapid.Int64Range(1, 20*second).Draw(t, "wait") },
			"snapshot": func(*rapid.T) {
				w.snap, w.at = encode(w.s), len(w.log)
			},
			"": w.invariants,
		})
		for len(w.s.Open) > 0 { // nothing comes any more but ticks
			due := w.s.Due()
			if due > w.now+(60*second+command.Grace.Microseconds()) {
				t.Fatalf("due %d at %d", due, w.now)
			}
			w.now = max(w.now, due)
			w.record(t, command.Input{Kind: command.Tick})
		}
		w.invariants(t)
		for c := range w.asked {
			if got, _ := w.s.Get(c); got.Status != w.ends[c] {
				t.Fatalf("%s is %v, it ended as %v", letter(c), got.Status, w.ends[c])
			}
		}
	})
}
