package gate

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// oracle knows which sequences are durable, and watches the acks.
type oracle struct {
	t      interface{ Fatalf(string, ...any) }
	s      *session
	queued []appended
	last   map[id.Run]uint64 // durable, with everything before it

	results []id.Command // durable, with everything before them, and not settled
}

type appended struct {
	ticket uint64
	run    id.Run
	last   uint64
	done   bool

	result  bool
	command id.Command
}

// put gives a message to the session and notes what it journals. It reports
// whether the connection goes on.
func (o *oracle) put(msg []byte, take func([]byte) (verdict, error)) bool {
	v, err := take(msg)
	var c *closing
	if err != nil {
		if !errors.As(err, &c) {
			o.t.Fatalf("an error that is not a close: %v", err)
		}
		return false
	}
	if v.ticket == 0 {
		return true
	}
	a := appended{ticket: v.ticket}
	if v.kind.IsFrame() || v.kind == wire.KindGap {
		run, _, last, err := wire.PeekSeq(msg)
		if err != nil {
			o.t.Fatalf("a %s was journaled that cannot be read: %v", v.kind, err)
		}
		a.run, a.last = run, last
	}
	if v.kind == wire.KindResult {
		m, err := wire.ParseResult(msg)
		if err != nil {
			o.t.Fatalf("a result was journaled that cannot be read: %v", err)
		}
		a.result, a.command = true, m.ID
	}
	o.queued = append(o.queued, a)
	return true
}

// land makes the i-th queued message durable.
func (o *oracle) land(i int) {
	o.queued[i].done = true
	o.s.durable(o.queued[i].ticket)
	for len(o.queued) > 0 && o.queued[0].done {
		a := o.queued[0]
		o.queued = o.queued[1:]
		if a.last > 0 {
			o.last[a.run] = max(o.last[a.run], a.last)
		}
		if a.result {
			o.results = append(o.results, a.command)
		}
	}
}

// sent checks the outbox: no ack passes what is durable, no reject is below
// an ack of its run (I2).
func (o *oracle) sent() {
	o.s.credit(0)
	for _, r := range o.s.out.acks {
		if r.acked > o.last[r.name] {
			o.t.Fatalf("run %s is acked to %d, durable to %d", r.name, r.acked, o.last[r.name])
		}
	}
	for _, m := range o.s.out.rejects {
		if m.Seq <= o.last[m.Run] && o.s.runs[m.Run].next > m.Seq {
			continue // a repeated frame that was damaged on its second way
		}
		if acked := o.s.runs[m.Run].acked; acked >= m.Seq {
			o.t.Fatalf("run %s: ack %d passes reject %d", m.Run, acked, m.Seq)
		}
	}
	for _, c := range o.s.out.settled {
		if len(o.results) == 0 || o.results[0] != c {
			o.t.Fatalf("%s is settled, durable and not settled are %v", c, o.results)
		}
		o.results = o.results[1:]
	}
	o.s.take(wire.Welcome{Version: 1}, time.Time{})
}

func newOracle(t interface{ Fatalf(string, ...any) }) *oracle {
	s := newSession(id.Gateway{Site: "hq", Name: "gw"}, func(r id.Run) bool { return r != runNamed("z") }, new(scratches))
	return &oracle{t: t, s: s, last: make(map[id.Run]uint64)}
}

func (o *oracle) greet() {
	var runs []wire.RunInfo
	for _, name := range []string{"a", "b", "z"} {
		runs = append(runs, wire.RunInfo{Run: runNamed(name), Class: 1, First: 1})
	}
	o.put(testHello(runs...), o.s.control)
	o.put((&wire.Bind{}).Append(nil), o.s.control)
	o.land(0)
	o.land(0)
	o.sent()
}

// A gateway that sends anything in any order, with damage, never gets an ack
// for what is not durable, and never makes the gate panic (I2, I6).
func TestNoAckPassesWhatIsDurable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOracle(t)
		o.greet()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			run := rapid.SampledFrom([]string{"a", "b", "z"}).Draw(t, "run")
			seq := rapid.Uint64Range(1, 6).Draw(t, "seq")
			n := rapid.Uint32Range(1, 2).Draw(t, "n")
			var msg []byte
			take := o.s.lane
			switch rapid.IntRange(0, 8).Draw(t, "what") {
			case 0:
				msg = testSchema(run, n, "hq/c1", 10)
			case 1:
				msg = testClock(run, n, 100)
			case 2, 3:
				msg = testFrame(run, seq, n, 1)
			case 4:
				msg = testGap(run, seq, seq+uint64(n))
			case 5:
				if len(o.queued) > 0 {
					o.land(rapid.IntRange(0, len(o.queued)-1).Draw(t, "durable"))
				}
				continue
			case 6:
				o.sent()
				continue
			case 7:
				msg, take = testResult(run, wire.ResultDone), o.s.control
			case 8:
				if err := o.s.command(testCommand(run, seq), time.Time{}); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if rapid.IntRange(0, 4).Draw(t, "damage") == 0 {
				msg[rapid.IntRange(0, len(msg)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			}
			if !o.put(msg, take) {
				return
			}
		}
		o.sent()
	})
}

func FuzzSessionNeverPanics(f *testing.F) {
	f.Add(testHello(), testSchema("a", 1, "hq/c1", 1), testFrame("a", 1, 1, 1))
	f.Add((&wire.Bind{}).Append(nil), testClock("a", 1, 1), testGap("a", 1, 2))
	f.Add(testResult("r", wire.ResultDone), testFrame("a", 1, 1, 1), testFrame("a", 2, 1, 1))
	f.Fuzz(func(t *testing.T, control, first, second []byte) {
		o := newOracle(t)
		o.put(control, o.s.control)
		o = newOracle(t)
		o.greet()
		if !o.put(control, o.s.control) {
			return
		}
		for _, msg := range [][]byte{testSchema("a", 1, "hq/c1", 1), testClock("a", 1, 1), first, second, first} {
			if !o.put(msg, o.s.lane) {
				return
			}
		}
		for len(o.queued) > 0 {
			o.land(0)
		}
		o.sent()
	})
}

// Every prefix of a frame is refused with a typed answer; the connection goes
// on wherever run and sequence can be read.
func TestAFrameTruncatedAtAnyByteIsRejected(t *testing.T) {
	frame := testFrame("a", 1, 1, 1)
	kept := 0
	for n := range frame {
		o := newOracle(t)
		o.greet()
		o.put(testSchema("a", 1, "hq/c1", 1), o.s.lane)
		o.put(testClock("a", 1, 1), o.s.lane)
		v, err := o.s.lane(frame[:n])
		_, _, _, unreadable := wire.PeekSeq(frame[:n])
		var c *closing
		switch {
		case unreadable != nil:
			if !errors.As(err, &c) || c.code != wire.CloseProtocol {
				t.Fatalf("%d bytes: %v, %v; want a close", n, v, err)
			}
		case err != nil || v.rejected == 0:
			t.Fatalf("%d bytes: %v, %v; want a reject", n, v, err)
		default:
			kept++
			if !o.put(frame, o.s.lane) || len(o.queued) != 3 {
				t.Fatalf("%d bytes: the whole frame was not taken afterwards", n)
			}
		}
	}
	if kept == 0 {
		t.Fatal("no prefix was rejected")
	}
}

func TestAClaimIsForgottenOnlyWhenTheTableIsFull(t *testing.T) {
	c := newClaims(2)
	g1, g2 := id.Gateway{Site: "hq", Name: "a"}, id.Gateway{Site: "hq", Name: "b"}
	if !c.take(runNamed("1"), g1) || c.take(runNamed("1"), g2) || !c.take(runNamed("1"), g1) {
		t.Fatal("a run is not its first gateway's")
	}
	c.take(runNamed("2"), g1)
	c.take(runNamed("1"), g1) // used: "2" is now the oldest
	c.take(runNamed("3"), g1)
	if c.take(runNamed("1"), g2) {
		t.Fatal("the latest used was forgotten")
	}
	if !c.take(runNamed("2"), g2) {
		t.Fatal("the oldest was kept beyond the limit")
	}
}
