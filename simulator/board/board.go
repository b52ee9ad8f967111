// Package board is a simulated circuit board: buses of simulated chips, and GPIO
// chips with a relay or a motion detector at a line, in a simulated world,
// described by YAML and served over a unix socket, as a process of its own, so
// that killing an edge agent never kills its board.
//
// A transaction comes in through hal/remote, goes through chip.Bus to its chip,
// and its bytes go back. Only when the whole answer is written does the truth
// file get a line for a counter's number: what the line says, a host was given.
// What the host does with it is what a verification finds out. A request of a
// line comes in the same way and goes through chip.GPIO to its part; a relay's
// contacts switch a world.Load, which the chips of its room then feel.
//
// Faults are package fault's, which wraps chips and parts if it is asked to. The
// package knows neither profiles nor gateways.
package board

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"periph.io/x/conn/v3/i2c"

	"github.com/atrium-iot/atrium/hal/remote"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/simulator/chip"
	"github.com/atrium-iot/atrium/simulator/fault"
)

// Options say where a board is served and what it keeps.
type Options struct {
	Socket string // path of the unix socket
	Truth  string // path of the truth file; empty keeps none
	// Faults are those of the configuration's targets; nil leaves the chips whole.
	Faults *fault.Set
}

// Board is the chips of a configuration, powered on.
type Board struct {
	buses    map[string]i2c.Bus
	gpio     map[string]*chip.GPIO
	counters map[place]id.Device
}

// place is where a chip sits.
type place struct {
	bus  string
	addr uint16
}

// New powers on the chips of a configuration that ParseConfig accepted. last
// holds the number that each counter has reached before; absent is 0. faults may
// be nil.
func New(c *Config, last map[id.Device]uint32, faults *fault.Set) (*Board, error) {
	b := &Board{buses: map[string]i2c.Bus{}, gpio: map[string]*chip.GPIO{}, counters: map[place]id.Device{}}
	p := newPower(c, last)
	for _, bus := range c.Buses {
		if err := b.addBus(p, bus, faults); err != nil {
			return nil, fmt.Errorf("board: %w", err)
		}
	}
	for _, g := range c.GPIO {
		if err := b.addGPIO(p, g, faults); err != nil {
			return nil, fmt.Errorf("board: %w", err)
		}
	}
	return b, nil
}

func (b *Board) addBus(p *power, bus Bus, faults *fault.Set) error {
	chips := make(map[uint16]chip.Chip, len(bus.Chips))
	for _, one := range bus.Chips {
		powerOn, err := p.on(bus.Name, one)
		switch {
		case err != nil:
			return err
		case faults != nil:
			chips[one.Address] = faults.Wrap(fault.Place{Bus: bus.Name, Address: one.Address}, powerOn)
		default:
			chips[one.Address] = powerOn()
		}
		if one.Device != (id.Device{}) {
			b.counters[place{bus.Name, one.Address}] = one.Device
		}
	}
	made, err := chip.NewBus(bus.Name, chips)
	b.buses[bus.Name] = made
	return err
}

func (b *Board) addGPIO(p *power, g GPIO, faults *fault.Set) error {
	parts := make(map[int]chip.Part, len(g.Parts))
	for _, one := range g.Parts {
		powerOn := p.part(g.Name, one)
		if faults != nil {
			parts[one.Line] = faults.WrapPart(placeOfPart(g.Name, one), powerOn)
		} else {
			parts[one.Line] = powerOn()
		}
	}
	made, err := chip.NewGPIO(g.Name, parts)
	b.gpio[g.Name] = made
	return err
}

// Buses returns the board's buses by name, for use in this process.
func (b *Board) Buses() map[string]i2c.Bus { return b.buses }

// GPIO returns the board's GPIO chips by name, for use in this process.
func (b *Board) GPIO() map[string]*chip.GPIO { return b.gpio }

// Counted says whether a transaction that succeeded read a counter's number,
// which counter's, and which.
func (b *Board) Counted(bus string, addr uint16, w, r []byte) (dev id.Device, n uint32, ok bool) {
	dev, ok = b.counters[place{bus, addr}]
	if !ok || len(w) != 1 || w[0] != chip.CounterNumber || len(r) != 4 {
		return id.Device{}, 0, false
	}
	return dev, binary.BigEndian.Uint32(r), true
}

// Run serves a board until ctx ends, which is a clean stop and nil. ready is
// called once the socket accepts connections. It ends with an error when the
// socket or the truth file cannot be had, or when a line cannot be written to
// the truth file: from then on the file would not be the truth.
func Run(ctx context.Context, c *Config, o Options, ready func(), log *slog.Logger) (err error) {
	l, release, err := listen(ctx, o.Socket)
	if err != nil {
		return fmt.Errorf("board: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	defer l.Close() // again, for the ways out before Serve has it

	var t *truth
	var last map[id.Device]uint32
	if o.Truth != "" {
		if t, last, err = openTruth(o.Truth); err != nil {
			return fmt.Errorf("board: %w", err)
		}
		defer func() { err = errors.Join(err, t.close()) }()
	}
	b, err := New(c, last, o.Faults)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ready()
	served := remote.Board{Buses: b.buses, Chips: make(map[string]remote.Chip, len(b.gpio)), Delivered: b.recorder(t, stop)}
	for name, g := range b.gpio {
		served.Chips[name] = g
	}
	if err := remote.Serve(ctx, l, served, log); err != nil {
		return fmt.Errorf("board: %w", err)
	}
	if lost := (*truthError)(nil); errors.As(context.Cause(ctx), &lost) {
		return fmt.Errorf("board: %w", lost)
	}
	return nil
}

// truthError is why a board ends by itself.
type truthError struct{ error }

func (e *truthError) Unwrap() error { return e.error }

// recorder returns the hook that writes the truth; fail ends the board.
func (b *Board) recorder(t *truth, fail context.CancelCauseFunc) remote.Delivered {
	if t == nil {
		return nil
	}
	return func(bus string, addr uint16, w, r []byte) {
		dev, n, ok := b.Counted(bus, addr, w, r)
		if !ok {
			return
		}
		if err := t.add(dev, n); err != nil {
			fail(&truthError{err})
		}
	}
}
