package device

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
)

// Dispatcher is the dispatcher that device actors run on. Its owner registers
// it, usually with actor.DeviceDispatcher.
const Dispatcher = "device-dispatcher"

// Errors of Add, Remove and Execute.
var (
	ErrExists  = errors.New("the device is sampled already")
	ErrUnknown = errors.New("the device is not sampled")
	ErrStopped = errors.New("the sampler has stopped")
	// ErrNotBegun is a command that touched nothing.
	ErrNotBegun = errors.New("not begun")
	// ErrLate is one whose time had passed; it comes with ErrNotBegun.
	ErrLate = errors.New("its time has passed")
)

// Sampler samples the devices of a gateway. Its methods are safe for
// concurrent use.
type Sampler struct {
	system *actor.ActorSystem
	clock  func() time.Duration
	keep   func() int
	log    *slog.Logger
	m      *metrics

	changed chan struct{} // capacity 1: there is a device with an earlier tick
	halt    chan struct{} // closed to end the schedule
	ended   chan struct{} // closed when it has

	mu      sync.Mutex
	stopped bool
	devices map[id.Device]*sampled
}

// sampled is a device, seen from the schedule.
type sampled struct {
	ref     actor.Ref[message]
	profile *profile.Profile
	every   time.Duration
	due     time.Duration // the next tick
	ticked  *atomic.Bool  // the last one still waits in the mailbox
	lost    bool          // its actor has stopped by itself, and this was logged
}

// New starts a sampler without devices. clock returns CLOCK_BOOTTIME. keep
// returns how many rows that are due one is to be kept of, 1 for all; nil keeps
// all. reg may be nil. The caller must call Stop.
func New(system *actor.ActorSystem, clock func() time.Duration, keep func() int, log *slog.Logger, reg prometheus.Registerer) *Sampler {
	if keep == nil {
		keep = func() int { return 1 }
	}
	s := &Sampler{
		system: system, clock: clock, keep: keep, log: log, m: newMetrics(reg),
		changed: make(chan struct{}, 1), halt: make(chan struct{}), ended: make(chan struct{}),
		devices: make(map[id.Device]*sampled),
	}
	go s.schedule()
	return s
}

// Add samples a device from its next tick on. Its rows go to series, and changes
// of its health to events. The device belongs to the sampler until Remove or
// Stop has returned.
func (s *Sampler) Add(cfg Config, dev Device, series Series, events Events) error {
	if err := s.add(cfg, dev, series, events); err != nil {
		return fmt.Errorf("device: add %s: %w", cfg.Device, err)
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
	return nil
}

func (s *Sampler) add(cfg Config, dev Device, series Series, events Events) error {
	rules, err := cfg.rules()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return ErrStopped
	}
	if s.devices[cfg.Device] != nil {
		return ErrExists
	}
	d := &sampled{profile: cfg.Profile, every: rules.Every, due: next(s.clock(), rules.Every), ticked: new(atomic.Bool)}
	d.ref, err = actor.Spawn(s.system.Engine(), actor.PropsOf(func() actor.ReceiverOf[message] {
		return &deviceActor{
			state: NewState(rules), device: dev, series: series, events: events,
			tick: cfg.Profile.Tick, clock: s.clock, keep: s.keep, log: s.log.With("device", cfg.Device.String()), m: s.m, ticked: d.ticked,
		}
	}).WithDispatcher(Dispatcher), cfg.Device.String())
	if err != nil {
		return err
	}
	s.devices[cfg.Device] = d
	s.m.devices.Inc()
	return nil
}

// Profile returns the profile of a device that is sampled.
func (s *Sampler) Profile(device id.Device) (*profile.Profile, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.devices[device]
	if d == nil {
		return nil, false
	}
	return d.profile, true
}

// Execute has a device do a command of its profile, between two reads; a read
// follows at once. args are what Bind of the command returned; until is the time
// since boot before which it may begin, after which it ends with ErrLate. If
// Execute returns nil, done is called once at the end, in another goroutine: it
// must not block. An error, also of done, that wraps ErrNotBegun says that
// nothing was touched.
func (s *Sampler) Execute(device id.Device, c *profile.Command, args []float64, until time.Duration, done func(error)) error {
	s.mu.Lock()
	d := s.devices[device]
	s.mu.Unlock()
	if d == nil {
		return fmt.Errorf("device: %s: %w: %w", device, ErrNotBegun, ErrUnknown)
	}
	if err := d.ref.Tell(message{event: Order, order: &order{c, args, until, done}}); err != nil {
		return fmt.Errorf("device: %s: %w: %w", device, ErrNotBegun, err)
	}
	return nil
}

// Remove stops sampling a device. A read in flight is finished and its row
// appended before Remove returns; if ctx ends first, that row is dropped when
// it comes, and counted.
func (s *Sampler) Remove(ctx context.Context, device id.Device) error {
	s.mu.Lock()
	d := s.devices[device]
	delete(s.devices, device)
	s.mu.Unlock()
	if d == nil {
		return fmt.Errorf("device: remove %s: %w", device, ErrUnknown)
	}
	d.stop()
	if err := s.await(ctx, d); err != nil {
		return fmt.Errorf("device: remove %s: %w", device, err)
	}
	return nil
}

// Stop ends the schedule and removes all devices, as Remove does. Calling it
// again is allowed.
func (s *Sampler) Stop(ctx context.Context) error {
	s.mu.Lock()
	if !s.stopped {
		s.stopped = true
		close(s.halt)
	}
	devices := s.devices
	s.devices = make(map[id.Device]*sampled)
	s.mu.Unlock()
	<-s.ended
	for _, d := range devices {
		d.stop()
	}
	var failed []error
	for _, device := range slices.SortedFunc(maps.Keys(devices), func(a, b id.Device) int { return strings.Compare(a.String(), b.String()) }) {
		if err := s.await(ctx, devices[device]); err != nil {
			failed = append(failed, fmt.Errorf("device: stop %s: %w", device, err))
		}
	}
	return errors.Join(failed...)
}

// stop asks the actor to end after the read in flight. An actor that refuses
// has ended.
func (d *sampled) stop() {
	if d.ref.Tell(message{event: Stop}) != nil {
		_ = d.ref.Stop() // it is no group's member, so this cannot fail
	}
}

func (s *Sampler) await(ctx context.Context, d *sampled) error {
	defer s.m.devices.Dec()
	select {
	case <-d.ref.Stopped():
		return nil
	case <-ctx.Done():
		_ = d.ref.Stop()
		return fmt.Errorf("a read is in flight: %w", context.Cause(ctx))
	}
}

// schedule ticks the devices. It sleeps until the earliest tick.
func (s *Sampler) schedule() {
	defer close(s.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.changed:
		case <-s.halt:
			return
		}
		timer.Reset(s.tick())
	}
}

// tick sends the ticks that are due and returns the time to the next one.
func (s *Sampler) tick() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	wait := time.Hour // without devices; Add ends it
	for device, d := range s.devices {
		if d.due <= now {
			s.send(device, d, last(now, d.every))
			d.due = next(now, d.every)
		}
		wait = min(wait, d.due-now)
	}
	return wait
}

// send gives a device its tick, unless the one before still waits; the actor
// sees the gap and counts it.
func (s *Sampler) send(device id.Device, d *sampled, due time.Duration) {
	if !d.ticked.CompareAndSwap(false, true) {
		return
	}
	err := d.ref.Tell(message{event: Tick, due: due})
	if err == nil {
		return
	}
	d.ticked.Store(false)
	if !d.lost {
		d.lost = true
		s.log.Error("device is no longer sampled", "device", device.String(), "err", err)
	}
}

// last returns the latest multiple of every up to now, next the one after.
func last(now, every time.Duration) time.Duration { return now - now%every }

func next(now, every time.Duration) time.Duration { return last(now, every) + every }
