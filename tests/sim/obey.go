package sim

import (
	"sync"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/command"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// commandStep is a moment in a command's life at its gateway.
type commandStep int

// The moments: three writes of the ledger, and the execution itself.
const (
	keepsExecuting commandStep = iota
	keepsResult
	keepsSettled
	executes
	commandSteps
)

// writeTakes is how far a write of the ledger comes before the power is cut.
const writeTakes = 2 * time.Millisecond

// heard is what a gateway was told of a command, and what it said.
type heard struct {
	until   time.Time // the latest moment at which a copy let it begin
	offered time.Time // when its result could first be sent; zero for never
}

// ears is a gateway's commands as its uplink sees them. It is made anew with
// each process; what was heard belongs to the gateway.
type ears struct {
	*command.Executor
	process *process
}

var _ uplink.Commands = ears{}

// Take implements uplink.Commands. A command that comes before its outbox
// record is in the log has an effect that no owner had a right to (I3).
func (e ears) Take(c wire.Command) {
	g := e.process.gw
	g.tap.arrived(g.name, c.ID)
	g.heard.note(c.ID, func(h *heard) {
		if until := time.Now().Add(time.Duration(c.Remaining) * time.Millisecond); until.After(h.until) {
			h.until = until
		}
	})
	e.Executor.Take(c)
}

// Unsettled implements uplink.Commands.
func (e ears) Unsettled() []wire.Result {
	all := e.Executor.Unsettled()
	if e.process.isCrashed() {
		return all // they go nowhere
	}
	for i := range all {
		e.process.gw.heard.note(all[i].ID, func(h *heard) {
			if h.offered.IsZero() {
				h.offered = time.Now()
			}
		})
	}
	return all
}

// hearsay is what a gateway heard and said.
type hearsay struct {
	mu  sync.Mutex
	all map[id.Command]*heard
}

func (s *hearsay) note(c id.Command, f func(*heard)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[c] == nil {
		if s.all == nil {
			s.all = map[id.Command]*heard{}
		}
		s.all[c] = &heard{}
	}
	f(s.all[c])
}

func (s *hearsay) of(c id.Command) heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.all[c]; h != nil {
		return *h
	}
	return heard{}
}

// commandCrash is a power cut that waits for a step.
type commandCrash struct {
	step  commandStep
	after bool // the step is durable
}

// mortalLedger is a ledger whose writes may meet a power cut.
type mortalLedger struct {
	*buffer.Ledger
	process *process
}

// Write implements command.Ledger.
func (l mortalLedger) Write(put []buffer.LedgerValue, gone []id.Command) error {
	cut := l.process.gw.meets(put)
	if cut != nil && !cut.after {
		time.Sleep(writeTakes) // what does not wait for it has happened
		l.process.die()
	}
	var err error
	if !l.process.gw.forgets {
		err = l.Ledger.Write(put, gone)
	}
	if cut != nil && cut.after {
		l.process.die()
	}
	return err
}

// meets returns the power cut that waits for what is to be written.
func (g *gateway) meets(put []buffer.LedgerValue) *commandCrash {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut == nil {
		return nil
	}
	phase := map[commandStep]command.Phase{keepsExecuting: command.Executing, keepsResult: command.Offered, keepsSettled: command.Settled}[g.cut.step]
	for _, v := range put {
		if r, err := command.ParseRecord(v.Value); err == nil && r.Phase == phase {
			cut := g.cut
			g.cut = nil
			if g.isSparedLocked() {
				return nil
			}
			return cut
		}
	}
	return nil
}

// crashAtCommand cuts the power when a command is next at a step.
func (g *gateway) crashAtCommand(step commandStep, after bool) {
	if g.isSpared() {
		return
	}
	if step == executes {
		g.board.panel.whenPressed(func() {
			if p := g.current(); p != nil && !g.isSpared() {
				p.die()
			}
		})
		return
	}
	g.mu.Lock()
	g.cut = &commandCrash{step, after}
	g.mu.Unlock()
}

// spareCommands takes back what crashAtCommand armed.
func (g *gateway) spareCommands() {
	g.board.panel.whenPressed(nil)
	g.mu.Lock()
	g.cut = nil
	g.mu.Unlock()
}

// die cuts the power of a process and its disk.
func (p *process) die() {
	p.powerCut()
	p.gw.disk.Crash()
}
