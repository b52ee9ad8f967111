package device

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/profile"
)

// Device is what is sampled and told what to do: *regmap.Bound or *line.Bound.
// Read begins a reading and Do a command; if they return nil, done is called
// once at the end, in another goroutine, and otherwise nothing was touched. One
// of them is in flight at a time.
type Device interface {
	Read(into *profile.Sample, done func(error)) error
	Do(c *profile.Command, args []float64, done func(error)) error
}

// Series takes the rows of one device: *buffer.Series. Append copies v.
type Series interface {
	Append(tick int64, q uint64, v []int64, suppressed int) error
}

// Events takes what happens to a device: *buffer.Series of HealthBody.
type Events interface {
	AppendText(tick int64, text string) error
}

// message is what a device actor receives.
type message struct {
	event Event         // Tick, Sampled for the end of a read, Order, Done, Stop
	due   time.Duration // Tick
	at    time.Duration // Sampled: since boot
	err   error         // Sampled: why the read failed; Done: why the command did
	order *order        // Order
}

// order is a command on its way.
type order struct {
	command *profile.Command
	args    []float64
	until   time.Duration // since boot: it may begin before
	done    func(error)
}

// deviceActor is the shell around one device's State.
type deviceActor struct {
	state  *State
	device Device
	sample profile.Sample // the bus writes it while a read is in flight
	series Series
	events Events
	told   string        // the health that was told last; empty before
	tick   time.Duration // of the series
	clock  func() time.Duration
	keep   func() int
	log    *slog.Logger
	m      *metrics
	ticked *atomic.Bool // a tick waits in the mailbox
	done   func(error)  // made once: a read allocates nothing
	order  *order       // the command that waits or is in flight
}

// Started makes the function that ends a read.
func (d *deviceActor) Started(ctx *actor.ContextOf[message]) {
	self := ctx.Self()
	d.done = func(err error) { // runs in the bus owner's goroutine
		// The mailbox has room: it holds at most a tick, this, an order or two
		// and a stop.
		if self.Tell(message{event: Sampled, at: d.clock(), err: err}) != nil {
			d.m.dropped[dropStopped].Inc()
		}
	}
}

// Stopped ends a command that still waited when time ran out. One that is in
// flight ends by itself.
func (d *deviceActor) Stopped(_ *actor.ContextOf[message], _ error) {
	if d.order != nil && !d.state.doing {
		d.order.done(fmt.Errorf("%w: the device stops", ErrNotBegun))
	}
}

// Receive implements actor.ReceiverOf.
func (d *deviceActor) Receive(ctx *actor.ContextOf[message]) {
	m := ctx.Message()
	var e Effects
	switch m.event {
	case Tick:
		d.ticked.Store(false)
		e = d.state.Step(Input{Event: Tick, Due: m.due})
	case Sampled:
		e = d.ended(m.at, m.err)
	case Order:
		if e = d.state.Step(Input{Event: Order}); e.Busy {
			m.order.done(fmt.Errorf("%w: the device is busy with another command, or stops", ErrNotBegun))
		} else {
			d.order = m.order
		}
	case Done:
		e = d.obeyed(m.err)
	default:
		e = d.state.Step(Input{Event: m.event})
	}
	// A read or command that the bus refuses ends at once, which may begin the
	// next: at most a command and the read after it.
	for d.m.overruns.Add(float64(e.Overruns)); e.Read || e.Do; d.m.overruns.Add(float64(e.Overruns)) {
		if e.Read {
			if err := d.device.Read(&d.sample, d.done); err != nil {
				e = d.ended(d.clock(), err)
				continue
			}
		} else if err := d.obey(ctx.Self()); err != nil {
			e = d.obeyed(fmt.Errorf("%w: %w", ErrNotBegun, err))
			continue
		}
		return
	}
	if e.Ended {
		ctx.Stop()
	}
}

// obey starts the command that was ordered, unless it waited for too long.
func (d *deviceActor) obey(self actor.Ref[message]) error {
	o := d.order
	if d.clock() >= o.until {
		return ErrLate
	}
	return d.device.Do(o.command, o.args, func(err error) { // runs in the bus owner's goroutine
		// The mailbox has room, as for the end of a read.
		if self.Tell(message{event: Done, err: err}) != nil {
			d.m.dropped[dropStopped].Inc()
			o.done(err)
		}
	})
}

// obeyed takes the end of a command that was made or refused.
func (d *deviceActor) obeyed(err error) Effects {
	o := d.order
	d.order = nil
	switch {
	case err == nil:
		d.m.commands[commandDone].Inc()
	case errors.Is(err, ErrNotBegun):
		d.m.commands[commandRefused].Inc()
	default:
		d.m.commands[commandFailed].Inc()
	}
	o.done(err)
	return d.state.Step(Input{Event: Done})
}

// ended takes the end of a read that was made or refused.
func (d *deviceActor) ended(at time.Duration, err error) Effects {
	in := Input{Event: Sampled, V: d.sample.V, Q: d.sample.Q, Keep: d.keep()}
	kind := bus.Kind(err)
	switch {
	case err == nil:
		d.m.samples.Inc()
	case errors.Is(err, bus.ErrQueueFull):
		d.m.errors.WithLabelValues(queueFull).Inc()
		in.Event = Unread
	case kind == bus.KindClosed:
		d.m.errors.WithLabelValues(string(kind)).Inc()
		in.Event = Unread
	default:
		d.m.errors.WithLabelValues(string(kind)).Inc()
		in.Event = Failed
	}
	e := d.state.Step(in)
	if in.Event != Unread {
		d.tell(at, kind)
	}
	switch e.Health {
	case Fell:
		d.log.Warn("device cannot be read", "err", err)
	case Recovered:
		d.log.Info("device can be read again")
	case Unchanged:
	}
	switch {
	case e.Withheld:
		d.m.suppressed.Inc()
		if e.Thinned {
			d.m.thinned.Inc()
		}
	case e.Row:
		d.append(at, e)
	}
	return e
}

func (d *deviceActor) append(at time.Duration, e Effects) {
	err := d.series.Append(int64(at/d.tick), e.Q, e.V, e.Suppressed)
	if err == nil {
		d.m.rows.Inc()
		return
	}
	d.m.dropped[dropRefused].Inc()
	d.log.Debug("row dropped", "err", err)
	d.state.Step(Input{Event: Refused})
}
