package agent

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"

	"github.com/atrium-iot/atrium/hal/remote"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
	"github.com/atrium-iot/atrium/shared/wire"
)

// pins is a GPIO chip of one line, at 27, that counts how often it went high.
type pins struct {
	gpiotest.Pin
	mu   sync.Mutex
	high int
	held chan struct{} // Out to high waits for it to be closed
	rose chan struct{} // one for each high
}

func (p *pins) Line(offset int) (gpio.PinIO, error) {
	if offset != 27 {
		return nil, errors.New("no such line")
	}
	return p, nil
}

func (p *pins) Out(l gpio.Level) error {
	p.mu.Lock()
	held := p.held
	if l {
		p.high++
	}
	p.mu.Unlock()
	if l {
		select {
		case p.rose <- struct{}{}:
		default:
		}
		if held != nil {
			<-held
		}
	}
	return p.Pin.Out(l)
}

// lamp writes an edge.yaml with a relay, and serves its chip.
func (r *rig) lamp() *pins {
	r.t.Helper()
	p := &pins{rose: make(chan struct{}, 64)}
	l, err := net.Listen("unix", filepath.Join(r.dir, "board.sock"))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- remote.Serve(ctx, l, remote.Board{Chips: map[string]remote.Chip{"sim-gpio-0": p}}, slog.New(slog.DiscardHandler))
	}()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("board: %v", err)
		}
	})
	r.put("edge.yaml", `
gateway: hq/gw-1
state: state
identity: identity
cloud: ["127.0.0.1:9"]
http: ""
drain: 0s
buses: [{name: lines, type: gpio, board: board.sock, board-bus: sim-gpio-0}]
devices: [{name: lamp, profile: generic.relay, bus: lines, lines: {out: 27}, every: 1h}]
`)
	return p
}

// opened is a gateway that is not connected: what its uplink would do, a test
// does.
func (r *rig) opened() *agent {
	r.t.Helper()
	a := &agent{cfg: r.config(), log: slog.New(slog.NewTextHandler(r.log, nil)), reg: ops.NewRegistry()}
	if err := a.open(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	return a
}

func on(n byte) wire.Command {
	return wire.Command{
		ID: id.Command{n}, Device: id.Device{Site: "hq", Name: "lamp"}, Name: "set", Remaining: 60_000,
		Args: []wire.Arg{{Name: "on", Value: wire.Value{Kind: wire.KindBoolean, Number: 1}}},
	}
}

// result waits for the one result that is unsettled.
func (a *agent) result(t *testing.T) wire.Result {
	t.Helper()
	deadline := time.After(patience)
	for {
		changed := a.commands.Changed()
		if all := a.commands.Unsettled(); len(all) > 0 {
			return all[0]
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("no result")
		}
	}
}

func TestACommandDrivesALineOfTheBoardAndItsResultOutlivesTheProcess(t *testing.T) {
	r := newRig(t)
	lamp := r.lamp()
	a := r.opened()
	a.commands.Take(on(1))
	if got := a.result(t); got.State != wire.ResultDone || got.Confirmed != wire.ConfirmShadow || got.ID != (id.Command{1}) {
		t.Errorf("result %+v", got)
	}
	a.commands.Take(on(1))
	if s := a.status(); s.Commands != (CommandsStatus{Executed: 1, Unsettled: 1}) || s.Devices != 1 || s.Connected {
		t.Errorf("status %+v", s)
	}
	if err := a.release(); err != nil {
		t.Fatal(err)
	}

	a = r.opened()
	defer func() {
		if err := a.release(); err != nil {
			t.Error(err)
		}
	}()
	before := lamp.count()
	if got := a.result(t); got.State != wire.ResultDone {
		t.Errorf("result after a restart %+v", got)
	}
	a.commands.Settled([]id.Command{{1}})
	a.commands.Take(on(1)) // again: its result, and nothing else
	if got := a.result(t); got.State != wire.ResultDone {
		t.Errorf("result of a command that came again %+v", got)
	}
	if n := lamp.count(); n != before {
		t.Errorf("the line went high %d times more", n-before)
	}
}

func (p *pins) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.high
}

// The process ends while the command is in the kernel: the next one does it
// again, as the relay's profile calls it idempotent.
func TestACommandThatThePresentProcessDoesNotEndIsDoneAgainByTheNext(t *testing.T) {
	r := newRig(t)
	lamp := r.lamp()
	lamp.held = make(chan struct{})
	a := r.opened()
	a.commands.Take(on(1))
	<-lamp.rose
	// A death: the ledger is not told how it ended. The store is closed, so that
	// the next process may have it.
	a.commands.Close()
	if err := a.buf.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	a.buf, a.commands = nil, nil
	close(lamp.held)
	if err := a.release(); err != nil {
		t.Fatal(err)
	}
	lamp.mu.Lock()
	lamp.held = nil
	lamp.mu.Unlock()
	before := lamp.count()

	a = r.opened()
	if got := a.result(t); got.State != wire.ResultDone {
		t.Errorf("result %+v", got)
	}
	if lamp.count() == before {
		t.Error("the line was not driven again")
	}
	if err := a.release(); err != nil {
		t.Error(err)
	}
}
