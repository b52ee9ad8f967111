package actor

import (
	"fmt"
	"runtime"
	"sync"
)

// DefaultDispatcherName is the dispatcher of props that name none. It is
// always registered.
const DefaultDispatcherName = "default"

// maxSetting bounds each number of a DispatcherConfig, far above any use, so
// that sums of them fit in 32 bits.
const maxSetting = 1 << 30

// DispatcherConfig says how a dispatcher runs its actors.
type DispatcherConfig struct {
	// Throughput is how many messages one actor handles before the next actor
	// has its turn.
	Throughput int
	// MailboxSize is how many messages an actor may have accepted and not yet
	// handled, the one in hand included. Beyond it senders are refused.
	MailboxSize int
	// MaxConcurrency is how many actors are processed at once: the number of
	// workers, started when they are first needed.
	MaxConcurrency int
}

// DefaultDispatcher is the configuration of the default dispatcher: as many
// workers as the process may use cores.
func DefaultDispatcher() DispatcherConfig {
	return DispatcherConfig{Throughput: 100, MailboxSize: 1000, MaxConcurrency: runtime.GOMAXPROCS(0)}
}

// DeviceDispatcher is the configuration for device actors: many small messages.
func DeviceDispatcher() DispatcherConfig {
	return DispatcherConfig{Throughput: 100, MailboxSize: 1000, MaxConcurrency: 4}
}

// RoomDispatcher is the configuration for room actors: fewer, heavier messages.
func RoomDispatcher() DispatcherConfig {
	return DispatcherConfig{Throughput: 50, MailboxSize: 500, MaxConcurrency: 2}
}

func (c DispatcherConfig) check() error {
	for _, f := range []struct {
		name  string
		value int
	}{
		{"Throughput", c.Throughput},
		{"MailboxSize", c.MailboxSize},
		{"MaxConcurrency", c.MaxConcurrency},
	} {
		if f.value < 1 || f.value > maxSetting {
			return fmt.Errorf("%s: want 1 to %d, got %d", f.name, maxSetting, f.value)
		}
	}
	return nil
}

// runnable is an actor of any message type, seen from its dispatcher.
type runnable interface {
	turn() (again bool)
	abandon()
	link() *runnable
}

// dispatcher is a run queue and its workers. Actors that have work stand in
// the queue once; each worker takes the oldest, runs one turn, and puts it
// back at the tail if it wants another.
//
// No wake-up is lost: a worker looks at the queue under mu before it parks,
// and whoever leaves something in the queue under mu calls wakeLocked. waking
// keeps a burst of pushes from signalling more than one worker at a time; the
// woken one wakes the next.
type dispatcher struct {
	name           string
	throughput     int32
	mailboxSize    int32
	maxConcurrency int

	mu         sync.Mutex
	ready      sync.Cond
	head, tail runnable
	length     int
	workers    int
	parked     int
	waking     bool
	halted     bool
	ended      sync.WaitGroup // workers
}

func newDispatcher(name string, cfg DispatcherConfig) *dispatcher {
	d := &dispatcher{
		name:           name,
		throughput:     int32(cfg.Throughput),
		mailboxSize:    int32(cfg.MailboxSize),
		maxConcurrency: cfg.MaxConcurrency,
	}
	d.ready.L = &d.mu
	return d
}

// push appends a scheduled actor; false when no worker will ever run it.
func (d *dispatcher) push(r runnable) bool {
	d.mu.Lock()
	if d.halted {
		d.mu.Unlock()
		return false
	}
	d.appendLocked(r)
	d.wakeLocked()
	d.mu.Unlock()
	return true
}

func (d *dispatcher) appendLocked(r runnable) {
	if d.tail == nil {
		d.head = r
	} else {
		*d.tail.link() = r
	}
	d.tail = r
	d.length++
}

func (d *dispatcher) popLocked() runnable {
	r := d.head
	next := r.link()
	d.head, *next = *next, nil
	if d.head == nil {
		d.tail = nil
	}
	d.length--
	return r
}

// wakeLocked sees to it that what is in the queue has a worker coming.
func (d *dispatcher) wakeLocked() {
	switch {
	case d.head == nil || d.waking || d.halted:
	case d.parked > 0:
		d.waking = true
		d.ready.Signal()
	case d.workers < d.maxConcurrency:
		d.waking = true
		d.workers++
		d.ended.Add(1)
		go d.work()
	}
}

func (d *dispatcher) work() {
	d.mu.Lock()
	d.waking = false
	running := false
	defer func() {
		if running { // a Receive ended this goroutine
			d.mu.Lock()
		}
		d.workers--
		d.wakeLocked()
		d.mu.Unlock()
		d.ended.Done()
	}()
	for {
		for d.head == nil && !d.halted {
			d.parked++
			d.ready.Wait()
			d.parked--
			d.waking = false
		}
		if d.halted {
			return
		}
		r := d.popLocked()
		d.wakeLocked()
		running = true
		d.mu.Unlock()
		again := r.turn()
		d.mu.Lock()
		running = false
		switch {
		case !again:
		case !d.halted:
			d.appendLocked(r)
		default:
			d.mu.Unlock()
			r.abandon()
			d.mu.Lock()
		}
	}
}

// depth is the number of actors in the run queue.
func (d *dispatcher) depth() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.length
}

// halt lets every worker end after its turn and abandons what stands in the
// queue.
func (d *dispatcher) halt() {
	d.mu.Lock()
	d.halted = true
	var left []runnable
	for d.head != nil {
		left = append(left, d.popLocked())
	}
	d.ready.Broadcast()
	d.mu.Unlock()
	for _, r := range left {
		r.abandon()
	}
}
