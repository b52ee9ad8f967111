// Package buffer keeps readings between the sampler and the cloud: rows become
// frames, frames wait in memory, go to flash if they wait too long, and leave
// when the cloud has acked them. It holds the edge's half of I1 (no committed
// reading is lost) and I5 for the gateway's memory and disk; DESIGN.md says by
// which rules.
//
// It knows nothing of the network: the uplink reads runs through cursors, and
// reports acks and rejects. It does not schedule, decode or interpret readings.
//
// How a row passes: Series.Append puts it into the columns of the open frame;
// the cut (cut.go) encodes the frame and gives it a sequence; the committer
// writes what waits for too long as segments (plan.go, segment.go) to a Store;
// a Cursor hands each frame out once per connection; Ack lets it go. core.go
// decides when, without I/O. Three goroutines: the cutter encodes frames whose
// time has come, the committer is alone in waiting for fsync, so that neither
// sampling nor live frames ever wait behind one, and the observer looks at what
// others do to the file system. What is held becomes a Pressure (pressure.go),
// by which the sampler sends less before anything must be dropped.
package buffer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Mode is when frames become durable.
type Mode uint8

// The modes.
const (
	// Spill sends a frame at once and writes to flash only what is not acked
	// within the commit interval.
	Spill Mode = iota
	// Always sends a frame only after it is fsynced.
	Always
)

// ParseMode reads what Mode.String wrote.
func ParseMode(s string) (Mode, error) {
	for _, m := range [...]Mode{Spill, Always} {
		if s == m.String() {
			return m, nil
		}
	}
	return 0, fmt.Errorf("mode %q: want spill or always", s)
}

func (m Mode) String() string {
	if m == Always {
		return "always"
	}
	return "spill"
}

// Config says how a buffer works. Zero means the default where one is named.
type Config struct {
	Mode           Mode
	CommitInterval time.Duration // what a crash may take, at most; default 1 s
	Linger         time.Duration // how long a frame waits for more rows on a live link in Spill; default 50 ms
	Limit          int64         // bytes of telemetry segments in the store; default 512 MiB
	EventLimit     int64         // bytes of segments of events in the store; default 16 MiB, at least MaxMemory
	Reserve        int64         // bytes that the file system keeps free; default 32 MiB
	MaxMemory      int64         // bytes of frames that are not committed; default 4 MiB
	Board          id.Board      // of this gateway
	Boot           id.Boot       // of this kernel
	// Now returns the time since boot, CLOCK_BOOTTIME on Linux: the clock that
	// the rows' ticks count. Required.
	Now  func() time.Duration
	Rand io.Reader // names runs; default crypto/rand
	// Written returns the bytes that the process has written to storage:
	// ProcessWritten. Without it there is no budget and no write amplification.
	Written     func() (int64, error)
	WriteBudget int64 // bytes that may be written in a day; 0 for any
}

// Defaults and bounds of Config.
const (
	DefaultCommitInterval = time.Second
	DefaultLinger         = 50 * time.Millisecond
	DefaultLimit          = 512 << 20
	DefaultEventLimit     = 16 << 20
	DefaultReserve        = 32 << 20
	DefaultMaxMemory      = 4 << 20
	// MinMaxMemory holds two frames of the largest size, one of them being
	// written.
	MinMaxMemory = 2*wire.MaxFrame + 2*itemOverhead
	// MinCommitInterval: flash wears by commits.
	MinCommitInterval = 10 * time.Millisecond
	// MaxCommitInterval: a crash must not take more than a minute.
	MaxCommitInterval = time.Minute
)

// ErrClosed is returned by everything that needs an open buffer after Close.
var ErrClosed = errors.New("buffer: closed")

// ErrFull is a file system at its reserve with nothing left to drop.
var ErrFull = errors.New("buffer: the file system is at its reserve and nothing is left to drop")

// Buffer is the readings that a gateway holds. Its methods are safe for
// concurrent use.
type Buffer struct {
	cfg   Config
	store Store
	log   *slog.Logger

	// write, when filled, is the right to write to the store. It is held across
	// fsyncs and taken before mu. It is a channel because whoever waits for it
	// waits for I/O, which synctest knows of a channel and not of a mutex.
	write     chan struct{}
	stuck     *plan // failed and to be written again before anything else
	reclaimed time.Duration

	// mu guards the following and is never held across I/O.
	mu      sync.Mutex
	core    core
	series  map[seriesKey]*Series
	changed chan struct{} // closed when cursors should look again
	waiting bool          // someone waits for changed
	sealed  bool          // no rows are taken any more
	closed  bool

	cutWake, commitWake chan struct{}
	stop                context.CancelFunc
	running             sync.WaitGroup
}

func (cfg *Config) check() error {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def((*int64)(&cfg.CommitInterval), int64(DefaultCommitInterval))
	def((*int64)(&cfg.Linger), int64(DefaultLinger))
	def(&cfg.Limit, DefaultLimit)
	def(&cfg.Reserve, DefaultReserve)
	def(&cfg.MaxMemory, DefaultMaxMemory)
	def(&cfg.EventLimit, max(DefaultEventLimit, cfg.MaxMemory))
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	switch {
	case cfg.Now == nil:
		return errors.New("config: Now is required")
	case cfg.CommitInterval < MinCommitInterval || cfg.CommitInterval > MaxCommitInterval:
		return fmt.Errorf("commit interval %s: want %s to %s", cfg.CommitInterval, MinCommitInterval, MaxCommitInterval)
	case cfg.Linger < 0 || cfg.Reserve < 0 || cfg.WriteBudget < 0:
		return fmt.Errorf("linger %s, reserve %d, write budget %d: want no negative value", cfg.Linger, cfg.Reserve, cfg.WriteBudget)
	case cfg.MaxMemory < MinMaxMemory:
		return fmt.Errorf("memory of %d bytes: want at least %d", cfg.MaxMemory, MinMaxMemory)
	case cfg.Limit < cfg.MaxMemory:
		return fmt.Errorf("limit of %d bytes: want at least the memory, %d", cfg.Limit, cfg.MaxMemory)
	case cfg.EventLimit < cfg.MaxMemory:
		return fmt.Errorf("limit of %d bytes for events: want at least the memory, %d", cfg.EventLimit, cfg.MaxMemory)
	}
	return nil
}

// Open recovers what a previous process left in the store, opens a new run of
// each class and starts the buffer. Runs that were not closed become unclean; what is missing
// or damaged becomes a gap. Close closes the store too; after an error the
// caller still has to.
func Open(ctx context.Context, cfg Config, store Store, log *slog.Logger, reg prometheus.Registerer) (*Buffer, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("buffer: open: %w", err)
	}
	b := &Buffer{
		cfg: cfg, store: store, log: log,
		core:   newCore(cfg),
		series: map[seriesKey]*Series{}, changed: make(chan struct{}),
		write: make(chan struct{}, 1), cutWake: make(chan struct{}, 1), commitWake: make(chan struct{}, 1),
	}
	if err := b.recover(); err != nil {
		return nil, fmt.Errorf("buffer: open: %w", err)
	}
	if err := register(reg, b); err != nil {
		return nil, fmt.Errorf("buffer: open: %w", err)
	}
	ctx, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	b.running.Go(func() { b.cutter(ctx) })
	b.running.Go(func() { b.committer(ctx) })
	b.running.Go(func() { b.observer(ctx) })
	return b, nil
}

// SetClock gives the mapping of the boot's clock to UTC for the rows from now
// on: utc0 is Unix microseconds at the boot's zero, uncertainty microseconds
// either way. A frame has one clock: the open frames are cut. Before the first
// call frames carry an estimated clock with utc0 0.
func (b *Buffer) SetClock(utc0us int64, uncertaintyUS uint64, src wire.ClockSource) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := clockMapping{utc0us, uncertaintyUS, src}
	if b.closed || c == b.core.clock {
		return
	}
	b.cutAllLocked()
	b.core.clock = c
}

// newRuns names a run of each class.
func (b *Buffer) newRuns() (names [len(classes)]id.Run, err error) {
	for i := range names {
		if names[i], err = id.NewRun(b.cfg.Rand); err != nil {
			return names, err
		}
	}
	return names, nil
}

// cutAllLocked cuts the open frames.
func (b *Buffer) cutAllLocked() {
	for i := range b.core.in {
		b.cutLocked(&b.core.in[i])
	}
}

// cutLocked cuts the open frame of a class and tells who may want to know.
func (b *Buffer) cutLocked(in *intake) {
	if in.frame.rows == 0 {
		return
	}
	b.core.cut(in)
	b.notifyLocked()
	wake(b.commitWake)
}

// notifyLocked lets cursors look again.
func (b *Buffer) notifyLocked() {
	if b.waiting {
		close(b.changed)
		b.changed, b.waiting = make(chan struct{}), false
	}
}

// wake leaves a note for a goroutine that may be busy.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// cutter cuts open frames whose time has come.
func (b *Buffer) cutter(ctx context.Context) {
	b.loop(ctx, b.cutWake, func() (wait time.Duration, ok bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		now := b.cfg.Now()
		if at, ok := b.core.cutDue(); ok && at <= now {
			b.cutAllLocked()
		}
		at, ok := b.core.cutDue()
		return at - now, ok
	})
}

// loop calls step at once, when woken, and when the time has passed that step
// asked for, until the context ends.
func (b *Buffer) loop(ctx context.Context, woken <-chan struct{}, step func() (time.Duration, bool)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if wait, ok := step(); ok {
			timer.Reset(max(wait, 0))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-timer.C:
		}
	}
}
