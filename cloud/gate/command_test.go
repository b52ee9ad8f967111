package gate

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

var hqGateway = id.Gateway{Site: "hq", Name: "gw"}

// outcomes returns the counts of commands by what became of them.
func (w *world) outcomes() map[string]int {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	counts := make(map[string]int)
	for _, f := range families {
		if f.GetName() == "atrium_gate_commands_total" {
			for _, m := range f.GetMetric() {
				counts[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
			}
		}
	}
	return counts
}

// wantCommand reads the next command.
func (e *edge) wantCommand() wire.Command {
	e.t.Helper()
	m, err := wire.ParseCommand(e.want(wire.KindCommand))
	if err != nil {
		e.t.Fatal(err)
	}
	return m
}

// wantSettled reads the next settled.
func (e *edge) wantSettled() string {
	e.t.Helper()
	m, err := wire.ParseSettled(e.want(wire.KindSettled))
	if err != nil {
		e.t.Fatal(err)
	}
	var names []string
	for _, c := range m.IDs {
		names = append(names, strings.TrimRight(string(c[:]), "\x00"))
	}
	return strings.Join(names, " ")
}

func TestACommandGoesToTheNewestConnectionAfterItsWelcome(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if err := w.gate.Command(hqGateway, testCommand("c1", 1000)); !errors.Is(err, ErrNotConnected) {
			t.Fatalf("without a connection: %v", err)
		}
		old := w.connect("hq/gw")
		old.want(wire.KindWelcome)
		if err := w.gate.Command(hqGateway, testCommand("c2", 1000)); err != nil {
			t.Fatal(err)
		}
		if m := old.wantCommand(); m.ID != testCommand("c2", 0).ID || m.Name != "set" || m.Device.Name != "r1" || m.Remaining == 0 || m.Remaining > 1000 {
			t.Fatalf("%+v", m)
		}
		w.journal.set(func() { w.journal.hold = true })
		e := w.connect("hq/gw")
		old.wantClose(wire.CloseSuperseded, "connected again")
		time.Sleep(time.Second)
		if err := w.gate.Command(hqGateway, testCommand("c3", 1000)); !errors.Is(err, ErrNotConnected) {
			t.Fatalf("before welcome: %v", err)
		}
		w.journal.flush()
		for err := ErrNotConnected; err != nil; err = w.gate.Command(hqGateway, testCommand("c4", 1000)) {
			time.Sleep(time.Microsecond)
		}
		e.want(wire.KindWelcome) // fails if the command is ahead of it
		if m := e.wantCommand(); m.ID != testCommand("c4", 0).ID {
			t.Fatalf("%+v", m)
		}
		if msg, err := old.r.Next(); err == nil {
			t.Fatalf("the old connection was sent %x", msg)
		}
		if got := w.outcomes(); got["sent"] != 2 || got["not-connected"] < 2 {
			t.Fatalf("%v", got)
		}
	})
}

func TestAResultIsSettledOnlyAfterItIsDurable(t *testing.T) { // I2
	inWorld(t, nil, func(w *world) {
		e := w.connect("hq/gw")
		e.want(wire.KindWelcome)
		w.journal.set(func() { w.journal.hold = true })
		result := testResult("c1", wire.ResultDone)
		e.say(result)
		e.say(testResult("c2", wire.ResultFailed))
		time.Sleep(time.Second)
		if err := w.gate.Command(hqGateway, testCommand("c3", 1000)); err != nil { // something to say
			t.Fatal(err)
		}
		e.wantCommand() // fails if a settled is ahead of it
		e.control.SetReadDeadline(time.Now().Add(10 * time.Second))
		if msg, err := e.r.Next(); err == nil {
			t.Fatalf("the gate said %x before the journal did", msg)
		}
		if got := w.journal.kinds(); got != "hello bind result result" {
			t.Fatalf("journaled: %s", got)
		}
		if rec := w.journal.recs[2]; rec.Kind != journal.KindResult || rec.Origin != "hq/gw" || rec.Site != "hq" || string(rec.Body) != string(result) {
			t.Fatalf("journaled: %+v", rec)
		}
		e.control.SetReadDeadline(time.Time{})
		e.r = wire.NewReader(e.control, wire.MaxControl)
		w.journal.flush()
		if got := e.wantSettled(); got != "c1 c2" {
			t.Fatalf("settled: %s", got)
		}
	})
}

func TestAFailedJournalSettlesNoResult(t *testing.T) { // I2
	inWorld(t, nil, func(w *world) {
		e := w.connect("hq/gw")
		e.want(wire.KindWelcome)
		w.journal.set(func() { w.journal.fault = journal.ErrClosed })
		e.say(testResult("c1", wire.ResultDone))
		if msg, err := e.r.Next(); err == nil {
			t.Fatalf("the gate said %x", msg)
		}
		e.wantClose(wire.CloseInternal, "journal")
	})
}

// A gateway's third message on the control stream is not a greeting that goes
// on.
func TestAResultDoesNotWaitForAnotherHello(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		e := w.open("hq/gw")
		e.say(testResult("c1", wire.ResultDone))
		if got := e.wantSettled(); got != "c1" {
			t.Fatalf("settled: %s", got)
		}
		time.Sleep(greetTimeout + time.Second)
		e.send(testFrame("a", 1, 1, 1))
		e.wantAck(1)
	})
}

func TestAGatewayThatAnswersOutsideTheProtocolHarmsOnlyItself(t *testing.T) { // I5, I6
	many := func(e *edge, n int) {
		for i := range n {
			e.say(testResult(fmt.Sprint(i), wire.ResultDone))
		}
	}
	for name, c := range map[string]struct {
		do       func(e *edge)
		text     string
		journals int // results of the gateway that are journaled
	}{
		"65 unsettled":   {func(e *edge) { many(e, wire.MaxSettled+1) }, "more than 64", wire.MaxSettled},
		"trailing bytes": {func(e *edge) { e.say(append(testResult("r", wire.ResultDone), 0)) }, "1 bytes after", 0},
		"unknown state":  {func(e *edge) { e.say(testResult("r", 9)) }, "state", 0},
		"a command":      {func(e *edge) { m := testCommand("r", 1); e.say(m.Append(nil)) }, "command on the control", 0},
		"a settled":      {func(e *edge) { m := wire.Settled{IDs: []id.Command{{}}}; e.say(m.Append(nil)) }, "settled on the control", 0},
		"on a lane":      {func(e *edge) { e.send(testResult("r", wire.ResultDone)) }, "result on a lane", 0},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				bad, good := w.open("hq/gw"), w.open("hq/gw-2")
				w.journal.set(func() { w.journal.hold = true })
				c.do(bad)
				bad.wantClose(wire.CloseProtocol, c.text)
				if got := strings.Count(w.journal.kinds(), "result"); got != c.journals {
					t.Errorf("%d results were journaled, want %d", got, c.journals)
				}
				w.journal.flush()
				good.say(testResult("c1", wire.ResultDone))
				if got := good.wantSettled(); got != "c1" {
					t.Errorf("settled to the other gateway: %s", got)
				}
			})
		})
	}
}

// I5: a gateway that does not read holds a bounded number of commands, for a
// bounded time; every command is sent, refused or counted as lost.
func TestCommandsTowardsAGatewayThatReadsNothingAreBounded(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.quic = &quic.Config{InitialStreamReceiveWindow: 4 << 10, MaxStreamReceiveWindow: 4 << 10, KeepAlivePeriod: 10 * time.Second}
		deaf := w.connect("hq/gw")
		deaf.want(wire.KindWelcome)
		other := w.open("hq/gw-2")
		began := time.Now()
		var all sync.WaitGroup
		var queued atomic.Int64
		for side := range 4 {
			all.Go(func() {
				for i := 0; time.Since(began) < writeTimeout/2; i++ {
					err := w.gate.Command(hqGateway, testCommand(fmt.Sprint(side, i), 3_600_000))
					if err == nil {
						queued.Add(1)
					} else if !errors.Is(err, ErrBusy) {
						t.Errorf("while the gateway is connected: %v", err)
					}
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		all.Wait()
		if got := w.outcomes(); got["sent"] > 4<<10/len(testResult("r", 1)) || got["busy"] == 0 {
			t.Errorf("sent to a gateway that reads nothing: %v", got)
		}
		if err := w.gate.Command(id.Gateway{Site: "hq", Name: "gw-2"}, testCommand("c1", 1000)); err != nil {
			t.Error(err)
		}
		other.wantCommand()
		deaf.wantClose(wire.CloseProtocol, "takes no acks")
		synctest.Wait()
		if took := time.Since(began); took > 2*writeTimeout {
			t.Errorf("closed after %s", took)
		}
		// Beside what was queued the blocked write held at most as much.
		got := w.outcomes()
		if got["lost"] < maxOrders || got["lost"] > 2*maxOrders || int64(got["sent"]-1+got["lost"]) != queued.Load() {
			t.Errorf("%d commands were queued, the connection ended with %v", queued.Load(), got)
		}
		if err := w.gate.Command(hqGateway, testCommand("c2", 1000)); !errors.Is(err, ErrNotConnected) {
			t.Errorf("after the end: %v", err)
		}
	})
}

// I6: what the gateway would close its connection over is the caller's error.
func TestACommandThatNoGatewayTakesIsNotQueued(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		e := w.open("hq/gw")
		for want, change := range map[string]func(m *wire.Command){
			"name":      func(m *wire.Command) { m.Name = "Set On" },
			"remaining": func(m *wire.Command) { m.Remaining = wire.MaxRemaining + 1 },
			"site hq":   func(m *wire.Command) { m.Device.Site = "lab" },
		} {
			m := testCommand("c1", 1000)
			change(&m)
			if err := w.gate.Command(hqGateway, m); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want an error with %q", err, want)
			}
		}
		if err := w.gate.Command(hqGateway, testCommand("c2", 1000)); err != nil {
			t.Fatal(err)
		}
		if m := e.wantCommand(); m.ID != testCommand("c2", 0).ID {
			t.Fatalf("%+v", m)
		}
	})
}
