package device

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/profile"
)

// Device is what is sampled: *regmap.Bound or *line.Bound. Read begins a
// reading; if it returns nil, done is called once when the sample is complete,
// in another goroutine.
type Device interface {
	Read(into *profile.Sample, done func(error)) error
}

// Series takes the rows of one device: *buffer.Series. Append copies v.
type Series interface {
	Append(tick int64, q uint64, v []int64, suppressed int) error
}

// message is what a device actor receives.
type message struct {
	event Event         // Tick, Sampled for the end of a read, Stop
	due   time.Duration // Tick
	at    time.Duration // Sampled: since boot
	err   error         // Sampled: why the read failed
}

// deviceActor is the shell around one device's State.
type deviceActor struct {
	state  *State
	device Device
	sample profile.Sample // the bus writes it while a read is in flight
	series Series
	tick   time.Duration // of the series
	clock  func() time.Duration
	log    *slog.Logger
	m      *metrics
	ticked *atomic.Bool // a tick waits in the mailbox
	done   func(error)  // made once: a read allocates nothing
}

// Started makes the function that ends a read.
func (d *deviceActor) Started(ctx *actor.ContextOf[message]) {
	self := ctx.Self()
	d.done = func(err error) { // runs in the bus owner's goroutine
		// The mailbox has room: it holds at most a tick, this and a stop.
		if self.Tell(message{event: Sampled, at: d.clock(), err: err}) != nil {
			d.m.dropped[dropStopped].Inc()
		}
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
		if e.Read {
			d.m.overruns.Add(float64(e.Overruns))
			if err := d.device.Read(&d.sample, d.done); err != nil {
				e = d.ended(d.clock(), err)
			} else {
				e = Effects{}
			}
		}
	case Sampled:
		e = d.ended(m.at, m.err)
	default:
		e = d.state.Step(Input{Event: m.event})
	}
	d.m.overruns.Add(float64(e.Overruns))
	if e.Ended {
		ctx.Stop()
	}
}

// ended takes the end of a read that was made or refused.
func (d *deviceActor) ended(at time.Duration, err error) Effects {
	in := Input{Event: Sampled, V: d.sample.V, Q: d.sample.Q}
	switch kind := bus.Kind(err); {
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
