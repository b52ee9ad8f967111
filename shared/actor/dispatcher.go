package actor

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
)

// DefaultDispatcherName is the dispatcher of props that name none. It is
// always registered.
const DefaultDispatcherName = "default"

// maxSetting bounds each number of a DispatcherConfig, far above any use, so
// that sums of them fit in 32 bits.
const maxSetting = 1 << 30

// maxWeight bounds the ratio between two dispatchers of the pool.
const maxWeight = 1000

// Kind says who runs the actors of a dispatcher.
type Kind uint8

const (
	// Pool shares the node's workers, one a core, with the other dispatchers of
	// this kind, by weight. For handlers that compute.
	Pool Kind = iota
	// Pinned has MaxConcurrency operating system threads of its own. For
	// handlers that need a thread, or must not wait for other dispatchers.
	Pinned
	// Blocking has up to MaxConcurrency goroutines of its own, started when
	// needed. For handlers that wait for files, devices or the network.
	Blocking
)

// kinds are the names in configuration files.
var kinds = [...]string{Pool: "pool", Pinned: "pinned", Blocking: "blocking"}

// String is the name that configuration files use.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// UnmarshalText reads the name of a kind.
func (k *Kind) UnmarshalText(name []byte) error {
	i := slices.Index(kinds[:], string(name))
	if i < 0 {
		return fmt.Errorf("want one of %q, got %q", kinds[:], name)
	}
	*k = Kind(i)
	return nil
}

// DispatcherConfig says how a dispatcher runs its actors.
type DispatcherConfig struct {
	// Throughput is how many messages one actor handles before the next actor
	// has its turn.
	Throughput int
	// MailboxSize is how many messages an actor may have accepted and not yet
	// handled, the one in hand included. Props may say otherwise.
	MailboxSize int
	// MaxConcurrency is how many actors are processed at once.
	MaxConcurrency int
	// Kind is Pool unless said otherwise.
	Kind Kind
	// Weight is the dispatcher's part of the pool's time while others want it
	// too, relative to theirs. Zero is 1. The other kinds have none.
	Weight int
}

// DefaultDispatcher is the configuration of the default dispatcher: as many
// actors at once as the process may use cores.
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

// Check names the first field that cannot be used.
func (c DispatcherConfig) Check() error {
	for _, f := range []struct {
		name            string
		value, min, max int
	}{
		{"Throughput", c.Throughput, 1, maxSetting},
		{"MailboxSize", c.MailboxSize, 1, maxSetting},
		{"MaxConcurrency", c.MaxConcurrency, 1, maxSetting},
		{"Weight", c.Weight, 0, maxWeight},
	} {
		if f.value < f.min || f.value > f.max {
			return fmt.Errorf("%s: want %d to %d, got %d", f.name, f.min, f.max, f.value)
		}
	}
	if c.Kind > Blocking {
		return fmt.Errorf("field Kind: want Pool, Pinned or Blocking, got %s", c.Kind)
	}
	if c.Kind != Pool && c.Weight != 0 {
		return fmt.Errorf("field Weight: only dispatchers of kind pool share their time, and this one is %s", c.Kind)
	}
	return nil
}

// task is a cell of any message type, seen from a run queue.
type task interface {
	turn(w *worker) (again bool)
	abandon()
	queued() *link
}

// dispatcher is a name, a configuration and what runs its actors: the node's
// pool, or a crew of its own, or the stepper of a test.
type dispatcher struct {
	name        string
	throughput  int32
	mailboxSize int32
	most        int32 // MaxConcurrency

	pool    *pool // nil for other kinds
	number  int   // in the pool
	running atomic.Int32
	stalls  atomic.Int64 // in the pool
	queues  []runQueue   // in the pool: one a slot, or fewer

	own queue // of a dispatcher outside the pool
}

// executor ends: halt lets each of its workers end after its turn and abandons
// what waits; wait returns when they have.
type executor interface {
	halt()
	wait()
}

// queue runs the tasks of one dispatcher: a crew or a stepper.
type queue interface {
	executor
	push(t task) bool // false when nobody will ever run it
	depth() int
}

// push hands a scheduled task over; false when nobody will ever run it. Within
// a turn, w is its worker.
func (d *dispatcher) push(w *worker, t task, home uint8) bool {
	if d.pool != nil {
		return d.pool.push(d, w, t, home)
	}
	return d.own.push(t)
}

// depth is the number of tasks that wait.
func (d *dispatcher) depth() int {
	if d.pool == nil {
		return d.own.depth()
	}
	n := 0
	for i := range d.queues {
		n += d.queues[i].depth()
	}
	return n
}
