// Package bus gives each bus one owner: the only one that touches it. Devices
// hand it tasks; the owner runs them a step at a time, so that one device's
// conversion time is another's turn, and never two tasks of one address at
// once. What kind of bus it is does not matter: an I2C bus (hal/regmap) and a
// GPIO chip (hal/line) have the same owner. The package knows no device and
// decodes nothing.
//
//	Submit -> jobs (bounded) -> run: picks a job -> worker: one Step -> done
//	               ^------------- a wait between steps --------'
//
// periph's calls cannot be cancelled and hold a mutex during the ioctl, so a
// stuck device can hold the kernel for seconds. Therefore steps run in a
// worker goroutine and the owner watches it from outside. A step beyond the
// deadline is a stall: its task ends at once with ErrStalled, everything else
// that was accepted ends with ErrQuarantined, and while the ioctl is stuck the
// bus accepts nothing. When the ioctl returns, the bus works again, but the
// device stays in quarantine for a time that doubles with each stall. Then one
// task of that device is let through as a probe; if it ends without a stall,
// whatever its result, the quarantine is over.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Address names a device's place on its bus, as people read it: "0x48",
// "line 27". Devices whose tasks must not interleave have one address.
type Address string

// Task is work on one device, in steps. Step is called by one goroutine at a
// time. The task is owned by the Owner from Submit until done is called; after
// ErrStalled a step of it may still be in the kernel, until a later Submit of
// any task to the bus is accepted. B is what the owner owns: i2c.Bus, or
// hal/line's Chip.
type Task[B any] interface {
	// Step does at most one transaction, and is counted and timed as one: only
	// a program that begins with a wait has a step without. It returns done, or
	// how long to wait before the next step; with an error the task ends. It
	// must not block outside b and not keep b.
	Step(b B) (wait time.Duration, done bool, err error)

	// Abandon says that the step in progress stalls: the task ends now, with
	// ErrStalled, and what the step brings later must change nothing that the
	// task's submitter sees. It is called at most once, in the owner's
	// goroutine, while Step runs or is about to in another, and must not wait
	// for it.
	Abandon()
}

// Errors of Submit and of the done functions. They come wrapped with the name
// of the bus and the address.
var (
	ErrQuarantined = errors.New("in quarantine after a stall")
	ErrStalled     = errors.New("transaction beyond its deadline")
	ErrQueueFull   = errors.New("queue is full")
	ErrClosed      = errors.New("bus is closed")
)

// Config tunes an Owner; zero fields take the defaults.
type Config struct {
	// Deadline bounds one step. The default is 2 s: i2c-imx takes 344 ms to
	// say that an address is absent, and a loaded Pi may pause as long again.
	Deadline time.Duration
	// Queue bounds the tasks that are accepted and not done. The default is
	// 256, two for each 7-bit address of an I2C bus.
	Queue int
	// MinQuarantine is a device's first quarantine, which doubles up to
	// MaxQuarantine. The defaults are 1 s and 5 min: a device that was
	// repaired is back within 5 min, and one that is stuck costs the bus at
	// most one deadline in 5 min.
	MinQuarantine, MaxQuarantine time.Duration
}

func (c Config) withDefaults() Config {
	pick := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	pick(&c.Deadline, 2*time.Second)
	pick(&c.MinQuarantine, time.Second)
	pick(&c.MaxQuarantine, 5*time.Minute)
	if c.Queue <= 0 {
		c.Queue = 256
	}
	return c
}

// Owner is the one owner of a bus. Its methods are safe for several
// goroutines.
type Owner[B any] struct {
	name string
	bus  B // the worker's alone
	cfg  Config
	log  *slog.Logger
	m    *metrics

	wake     chan struct{} // capacity 1: something was submitted or closed
	work     chan Task[B]
	results  chan result
	finished chan struct{} // run has ended
	gone     sync.Once     // the metrics are unregistered

	mu          sync.Mutex
	jobs        []*job[B] // accepted and not done, in the order of Submit
	quarantines map[Address]*quarantine
	stuck       bool // the worker is beyond its deadline
	closed      bool
}

// job is an accepted task. run alone changes it after Submit.
type job[B any] struct {
	addr    Address
	task    Task[B]
	done    func(error)
	started bool
	due     time.Time // of the next step, when started
}

type result struct {
	wait time.Duration
	done bool
	err  error
}

// New starts the owner of a bus. The owner does not close b. reg may be nil;
// the metrics carry the label bus. The caller must call Close.
func New[B any](name string, b B, cfg Config, log *slog.Logger, reg prometheus.Registerer) *Owner[B] {
	o := &Owner[B]{
		name: name, bus: b, cfg: cfg.withDefaults(), log: log.With("bus", name),
		wake: make(chan struct{}, 1), work: make(chan Task[B]), results: make(chan result, 1),
		finished: make(chan struct{}), quarantines: make(map[Address]*quarantine),
	}
	o.m = newMetrics(name, reg, o.depth, o.inQuarantine)
	go o.worker()
	go o.run()
	return o
}

// Submit accepts a task for the device at an address. If it returns nil, done
// is called exactly once, in the owner's goroutine: it must not block. If it
// returns an error, which wraps ErrQuarantined, ErrQueueFull or ErrClosed,
// done is never called.
func (o *Owner[B]) Submit(addr Address, t Task[B], done func(error)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return o.refuse(addr, ErrClosed)
	case o.stuck || o.quarantines[addr].refuses(time.Now()):
		return o.refuse(addr, ErrQuarantined)
	case len(o.jobs) >= o.cfg.Queue:
		return o.refuse(addr, ErrQueueFull)
	}
	if q := o.quarantines[addr]; q != nil {
		q.probing = true
	}
	o.jobs = append(o.jobs, &job[B]{addr: addr, task: t, done: done})
	o.signal()
	return nil
}

// Close refuses new tasks, ends those that have not begun with ErrClosed,
// finishes those that have, and returns after the last done. It does not touch
// the bus then, so that the caller may close it. If ctx ends first, because a
// step is stuck in the kernel, Close returns its cause and the bus must not be
// used again.
func (o *Owner[B]) Close(ctx context.Context) error {
	o.mu.Lock()
	o.closed = true
	o.signal()
	o.mu.Unlock()
	select {
	case <-o.finished:
		o.gone.Do(o.m.unregister)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bus: close %s: %w", o.name, context.Cause(ctx))
	}
}

func (o *Owner[B]) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *Owner[B]) refuse(addr Address, err error) error {
	o.m.refused[err].Inc()
	return o.wrap(addr, err)
}

func (o *Owner[B]) wrap(addr Address, err error) error {
	return fmt.Errorf("bus: %s: device at %s: %w", o.name, addr, err)
}

func (o *Owner[B]) depth() float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return float64(len(o.jobs))
}

func (o *Owner[B]) inQuarantine() float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return float64(len(o.quarantines))
}
