package command_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const second = 1_000_000 // in the state's microseconds

// TestCommandsFollowTheirScenarios scripts a site's commands as text: one line
// for what a step asks for, and one for each command that it ended.
func TestCommandsFollowTheirScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/commands", func(t *testing.T, path string) {
		var s command.State
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return run(t, &s, d)
		})
	})
}

// run performs one directive. Times are in seconds; a command is a letter.
func run(t *testing.T, s *command.State, d *datadriven.TestData) string {
	number := func(key string) (n int64) {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &n)
		}
		return n
	}
	word := func(key string) (w string) {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &w)
		}
		return w
	}
	now := number("at") * second
	var name string
	if len(d.CmdArgs) > 0 && len(d.CmdArgs[0].Vals) == 0 {
		name = d.CmdArgs[0].Key
	}
	in := command.Input{ID: commandID(name), Gateway: word("gw")}
	switch d.Cmd {
	case "intend": // intend C at=S [gw=G] [issued=S] until=S
		in.Kind, in.Intent = command.Intended, journal.Intent{ID: in.ID, Device: "relay-1", Name: "set", Issued: now, Deadline: number("until") * second, By: "ann"}
		if d.HasArg("issued") {
			in.Intent.Issued = number("issued") * second
		}
		in.Intent.Args = []wire.Arg{{Name: "on", Value: wire.Value{Kind: wire.KindBoolean, Number: 1}}}
	case "outbox": // outbox C at=S
		in.Kind = command.Opened
	case "result": // result C at=S gw=G state=STATE [confirmed=HOW] [ago=S] [text=T]
		in.Kind, in.Result = command.Answered, wire.Result{ID: in.ID, State: resultState(word("state")), Ago: uint64(number("ago")) * 1000, Text: word("text")}
		if word("confirmed") == "sensor" {
			in.Result.Confirmed = wire.ConfirmSensor
		}
	case "tick": // tick at=S
		in.Kind = command.Tick
	case "wire": // wire C at=S: what would be sent
		gw, m, ok := s.Wire(in.ID, "hq", now)
		if !ok {
			return "nothing"
		}
		return fmt.Sprintf("to %s: %s %s %+v, %d ms remain", gw, m.Device, m.Name, m.Args, m.Remaining)
	case "state":
		return show(s)
	default:
		d.Fatalf(t, "unknown command %s", d.Cmd)
	}
	return report(s, s.Step(now, in))
}

func report(s *command.State, out command.Output) string {
	var b strings.Builder
	for _, c := range out.Outbox {
		fmt.Fprintf(&b, "outbox %s\n", letter(c))
	}
	for _, c := range out.Send {
		fmt.Fprintf(&b, "send %s\n", letter(c))
	}
	for _, c := range out.Ended {
		got, _ := s.Get(c)
		fmt.Fprintf(&b, "ended %s\n", line(got))
	}
	if out.Problem != "" {
		fmt.Fprintf(&b, "problem: %s\n", out.Problem)
	}
	if b.Len() == 0 {
		return "nothing"
	}
	return b.String()
}

func show(s *command.State) string {
	var b strings.Builder
	for _, c := range s.List() {
		fmt.Fprintln(&b, line(c))
	}
	outbox, send := s.Pending()
	fmt.Fprintf(&b, "pending: %d outbox, %d send; due %d\n", len(outbox), len(send), s.Due()/second)
	return b.String()
}

func line(c command.Command) string {
	s := fmt.Sprintf("%s %v", letter(c.ID), c.Status)
	if c.Status.Ended() {
		s += fmt.Sprintf(" at %d", c.EndedAt/second)
	}
	if c.Confirmed != wire.ConfirmNone {
		s += fmt.Sprintf(" by %v", c.Confirmed)
	}
	if c.Text != "" {
		s += ": " + c.Text
	}
	return s
}

func commandID(letter string) (c id.Command) {
	copy(c[:], letter)
	return c
}

func letter(c id.Command) string { return strings.TrimRight(string(c[:]), "\x00") }

func resultState(s string) wire.ResultState {
	for r := wire.ResultDone; r <= wire.ResultExpired; r++ {
		if r.String() == s {
			return r
		}
	}
	return 0
}
