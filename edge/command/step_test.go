package command

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// ledgerOf is a ledger that a test writes.
type ledgerOf map[id.Command]Record

// keep writes what effects ask for, by their bytes, as a store would.
func (l ledgerOf) keep(t interface{ Fatal(...any) }, e *Effects) (ids []id.Command) {
	for _, k := range e.Keep {
		b, err := k.Record.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if l[k.ID], err = ParseRecord(b); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, k.ID)
	}
	for _, c := range e.Forget {
		delete(l, c)
	}
	return ids
}

func (l ledgerOf) found() []Found {
	var all []Found
	for c, r := range l {
		all = append(all, Found{ID: c, Record: r})
	}
	slices.SortFunc(all, func(a, b Found) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return all
}

func at(name string) id.Device { return id.Device{Site: "hq", Name: name} }

// script runs a scenario of testdata/step. Each line of "run" is one event:
//
//	12s ...          the time since boot from here on
//	came 1 lamp 30s [idempotent] [no such device]
//	kept | lost | torn | full  the write that was asked for: done, failed, failed but done, no room
//	ended 1 done | ended 1 failed: words
//	settle 1 2 | retry
//	crash | reboot             what is not in the ledger is gone
type script struct {
	t      *testing.T
	now    time.Duration
	boot   byte
	ledger ledgerOf
	state  *State
	asked  Effects // the write that waits
}

func TestStep(t *testing.T) {
	datadriven.Walk(t, "testdata/step", func(t *testing.T, path string) {
		s := &script{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			switch d.Cmd {
			case "new":
				*s = script{t: t, boot: 1, ledger: ledgerOf{}}
				s.state, _ = Recover(0, id.Boot{1}, nil)
				return ""
			case "run":
				var out strings.Builder
				for line := range strings.Lines(d.Input) {
					fmt.Fprintf(&out, "%s: %s\n", strings.TrimSpace(line), s.do(strings.Fields(line)))
				}
				return out.String()
			case "unsettled":
				var out strings.Builder
				for _, r := range s.state.Unsettled(s.now, wire.MaxSettled) {
					fmt.Fprintf(&out, "%d %s %s, %d ms ago: %s\n", r.ID[0], r.State, r.Confirmed, r.Ago, r.Text)
				}
				return out.String()
			}
			t.Fatalf("%s: unknown command %q", d.Pos, d.Cmd)
			return ""
		})
	})
}

func (s *script) do(f []string) string {
	if now, err := time.ParseDuration(f[0]); err == nil {
		s.now, f = now, f[1:]
	}
	in := Input{}
	switch f[0] {
	case "came":
		remaining, err := time.ParseDuration(f[3])
		if err != nil {
			s.t.Fatal(err)
		}
		in.Command = wire.Command{ID: s.id(f[1]), Device: at(f[2]), Name: "set", Remaining: uint64(remaining.Milliseconds())}
		rest := f[4:]
		if in.Idempotent = len(rest) > 0 && rest[0] == "idempotent"; in.Idempotent {
			rest = rest[1:]
		}
		in.Problem = strings.Join(rest, " ")
	case "kept", "lost", "torn", "full":
		in.Event = Kept
		asked := s.asked
		s.asked = Effects{}
		for _, k := range asked.Keep {
			in.IDs = append(in.IDs, k.ID)
		}
		if f[0] == "kept" || f[0] == "torn" {
			s.ledger.keep(s.t, &asked)
		}
		switch f[0] {
		case "lost", "torn":
			in.Err = errors.New("flash says no")
		case "full":
			in.Err = buffer.ErrFull
		}
	case "ended":
		in.Event = Ended
		in.Result = wire.Result{ID: s.id(f[1]), State: wire.ResultDone, Confirmed: wire.ConfirmShadow}
		if f[2] != "done" {
			in.Result = wire.Result{ID: s.id(f[1]), State: wire.ResultFailed, Text: strings.Join(f[3:], " ")}
		}
	case "settle":
		in.Event = Settle
		for _, w := range f[1:] {
			in.IDs = append(in.IDs, s.id(w))
		}
	case "retry":
		in.Event = Retry
	case "crash", "reboot":
		if f[0] == "reboot" {
			s.boot++
		}
		var e Effects
		s.state, e = Recover(s.now, id.Boot{s.boot}, s.ledger.found())
		s.asked = e
		return describe(e)
	default:
		s.t.Fatalf("unknown event %q", f)
	}
	e := s.state.Step(s.now, in)
	s.asked.Keep = append(s.asked.Keep, e.Keep...)
	s.asked.Forget = append(s.asked.Forget, e.Forget...)
	return describe(e)
}

func (s *script) id(w string) id.Command {
	n, err := strconv.ParseUint(w, 10, 8)
	if err != nil {
		s.t.Fatal(err)
	}
	return id.Command{byte(n)}
}

func describe(e Effects) string {
	var out []string
	for _, k := range e.Keep {
		out = append(out, fmt.Sprintf("keep %d %s", k.ID[0], k.Record.Phase))
	}
	for _, c := range e.Forget {
		out = append(out, fmt.Sprintf("forget %d", c[0]))
	}
	for i := range e.Execute {
		out = append(out, fmt.Sprintf("execute %d", e.Execute[i].ID[0]))
	}
	for _, r := range e.Results {
		out = append(out, fmt.Sprintf("%d is %s", r.ID[0], r.State))
	}
	if e.Offer {
		out = append(out, "offer")
	}
	if e.Full {
		out = append(out, "full")
	}
	if out == nil {
		return "-"
	}
	return strings.Join(out, ", ")
}

// I5: what is remembered is bounded; what may still begin is never forgotten
// for it.
func TestAFullLedgerTakesNothingUntilACommandCanNoLongerBegin(t *testing.T) {
	s, _ := Recover(0, id.Boot{1}, nil)
	ledger := ledgerOf{}
	send := func(now time.Duration, n int) Effects {
		c := wire.Command{ID: id.Command{byte(n >> 8), byte(n)}, Device: at("lamp"), Name: "set", Remaining: 60_000}
		e := s.Step(now, Input{Event: Came, Command: c, Problem: "no such device"})
		s.Step(now, Input{Event: Kept, IDs: ledger.keep(t, &e)})
		e2 := s.Step(now, Input{Event: Settle, IDs: []id.Command{c.ID}})
		s.Step(now, Input{Event: Kept, IDs: ledger.keep(t, &e2)})
		return e
	}
	for n := range MaxEntries {
		if e := send(time.Duration(n)*time.Millisecond, n); e.Full {
			t.Fatalf("full with %d", n)
		}
	}
	if e := send(30*time.Second, MaxEntries); !e.Full || len(s.entries) != MaxEntries {
		t.Errorf("%s with %d entries", describe(e), len(s.entries))
	}
	// The oldest can no longer begin; it alone goes.
	if e := send(time.Minute, MaxEntries); e.Full || len(e.Forget) != 1 || e.Forget[0] != (id.Command{}) {
		t.Errorf("a full state after a minute: %s", describe(e))
	}
	if e := send(2*time.Hour, MaxEntries+1); len(e.Forget) != MaxEntries || len(ledger) != 1 {
		t.Errorf("%d forgotten after two hours, the ledger keeps %d", len(e.Forget), len(ledger))
	}
}

func TestADamagedRecordBeginsNothingAndIsAnsweredWhenItsCommandComesAgain(t *testing.T) {
	c := id.Command{1}
	s, e := Recover(time.Second, id.Boot{1}, []Found{{ID: c, Damaged: true}})
	if describe(e) != "-" || len(s.Unsettled(time.Second, 9)) != 0 {
		t.Errorf("recovery: %s", describe(e))
	}
	e = s.Step(time.Second, Input{Event: Came, Command: wire.Command{ID: c, Device: at("lamp"), Name: "set", Remaining: 1000}, Idempotent: true})
	if got := s.Unsettled(time.Second, 9); describe(e) != "offer" || len(got) != 1 || got[0].State != wire.ResultUnknown {
		t.Errorf("%s, unsettled %v", describe(e), got)
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, r := range []Record{
		{Phase: Executing, Message: (&wire.Command{ID: id.Command{1}, Device: at("lamp"), Name: "set"}).Append(nil)},
		{Phase: Settled, Boot: id.Boot{1}, Until: 1, Span: 2, Ended: 3, Idempotent: true, Message: (&wire.Result{ID: id.Command{1}, State: wire.ResultDone}).Append(nil)},
	} {
		b, err := r.Append(nil)
		if err != nil {
			f.Fatal(err)
		}
		if back, err := ParseRecord(b); err != nil || fmt.Sprint(back) != fmt.Sprint(r) {
			f.Fatalf("%v came back as %v, %v", r, back, err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		s, _ := Recover(time.Hour, id.Boot{1}, []Found{{Record: r}})
		s.Unsettled(time.Hour, 1)
	})
}
