package command_test

import (
	"fmt"
	"testing"

	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// I5: whoever asks, the state stays within its bounds and says what it refused.
func TestTheStateIsBoundedAndARefusalSaysWhy(t *testing.T) {
	var s command.State
	intend := func(n int, now int64) command.Output {
		return s.Step(now, command.Input{Kind: command.Intended, Gateway: "gw-1", Intent: journal.Intent{ID: numbered(n), Device: "d", Name: "set", Issued: now, Deadline: 100}})
	}
	for n := range command.MaxOpen {
		if out := intend(n, 1); len(out.Outbox) != 1 {
			t.Fatalf("command %d: %+v", n, out)
		}
	}
	intend(command.MaxOpen, 1)
	if c, ok := s.Get(numbered(command.MaxOpen)); !ok || c.Status != command.Refused || c.Text != "too many: the site has 1024 commands that have not ended" {
		t.Fatalf("one more: %+v", c)
	}
	// With the refused one, one more has ended than is remembered.
	if out := s.Step(200, command.Input{Kind: command.Tick}); len(out.Ended) != command.MaxOpen {
		t.Fatalf("%d ended", len(out.Ended))
	}
	if len(s.Open) != 0 || len(s.Ended) != command.MaxEnded || len(s.List()) != command.MaxEnded {
		t.Fatalf("%d open, %d ended", len(s.Open), len(s.Ended))
	}
	if _, ok := s.Get(numbered(command.MaxOpen)); ok {
		t.Fatal("the oldest ended command is still known")
	}
	if last := s.List()[0]; last.ID != numbered(command.MaxOpen-1) {
		t.Fatalf("the latest is %s", last.ID)
	}
}

// A command that arrives with nothing left would only be refused.
func TestACommandIsNotSentWithLessThanAMillisecondLeft(t *testing.T) {
	var s command.State
	c := commandID("a")
	s.Step(1, command.Input{Kind: command.Intended, Gateway: "gw-1", Intent: journal.Intent{ID: c, Device: "d", Name: "set", Deadline: second}})
	s.Step(1, command.Input{Kind: command.Opened, ID: c})
	for _, f := range []struct {
		left int64
		want uint64
	}{{1999, 1}, {1000, 1}, {999, 0}, {1, 0}, {0, 0}, {-1, 0}} {
		if _, m, ok := s.Wire(c, "hq", second-f.left); ok != (f.want > 0) || m.Remaining != f.want {
			t.Errorf("%d us left: %v, %d ms", f.left, ok, m.Remaining)
		}
	}
}

func numbered(n int) (c id.Command) {
	copy(c[:], fmt.Sprintf("%016d", n))
	return c
}

func TestAStateThatContradictsItselfIsRefused(t *testing.T) {
	open := &command.Command{ID: commandID("a"), Status: command.Sent}
	ended := &command.Command{ID: commandID("a"), Status: command.Done}
	for _, s := range []command.State{
		{Open: []*command.Command{nil}},
		{Open: []*command.Command{open}, Ended: []*command.Command{ended}},
		{Open: []*command.Command{ended}},
		{Ended: []*command.Command{open}},
	} {
		if s.Check() == nil {
			t.Errorf("accepted %+v", s)
		}
	}
}

// A command's whole way, with as many open and ended ones as a site keeps.
func BenchmarkCommand(b *testing.B) {
	var s command.State
	step := func(n int) {
		c := numbered(n)
		s.Step(1, command.Input{Kind: command.Intended, Gateway: "gw-1", Intent: journal.Intent{ID: c, Device: "d", Name: "set", Deadline: second}})
		s.Step(1, command.Input{Kind: command.Opened, ID: c})
		if n >= command.MaxOpen-1 {
			s.Step(2, command.Input{Kind: command.Answered, Gateway: "gw-1", Result: wire.Result{ID: numbered(n - command.MaxOpen + 1), State: wire.ResultDone}})
		}
	}
	n := 0
	for ; n < command.MaxOpen+command.MaxEnded; n++ {
		step(n)
	}
	b.ReportAllocs()
	for b.Loop() {
		step(n)
		n++
	}
	if len(s.Open) != command.MaxOpen-1 || len(s.Ended) != command.MaxEnded {
		b.Fatalf("%d open, %d ended", len(s.Open), len(s.Ended))
	}
}
