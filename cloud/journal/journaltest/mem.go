package journaltest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// errNoSpace is what a Fail says, in the words of the server's store.
var errNoSpace = errors.New("no space left on device")

// Fault is what goes wrong with one durable step.
type Fault uint8

// The faults. What is stored is durable, unless the Mem syncs lazily.
const (
	None        Fault = iota
	Fail              // refused with an error, not stored
	LostAck           // stored, but no answer comes
	LostMessage       // not stored, and no answer comes
	Late              // no answer comes; stored after the caller gave up
	CrashBefore       // power cut; what was in flight is lost
	CrashAfter        // power cut after it was stored, before the answer
)

// Step is one durable step that a fault may strike.
type Step struct {
	N     int // counts all steps of a Mem, from 1
	Kind  StepKind
	Shard int    // of a log or an object
	Name  string // of an object or a key
}

// StepKind says what is about to be made durable.
type StepKind uint8

// The durable steps.
const (
	PublishData StepKind = iota + 1
	PublishOwn
	PublishBarrier
	PurgeLog
	PutObject
	DeleteObject
	PutKey
)

// Config of a Mem. The zero value has no faults and takes no time.
type Config struct {
	// Fault is asked before each durable step, one step at a time; nil means
	// never. Seeded makes one.
	Fault func(Step) Fault
	// Sync is how long a durable step takes.
	Sync time.Duration
	// AckTimeout is how long a caller waits for an answer; zero means 5 s.
	AckTimeout time.Duration
	// LazySync acks before the data is durable: only Mem.Sync makes it so.
	LazySync bool
	// Seed decides whether a step that a power cut strikes midway is kept.
	Seed uint64
}

// Rates are probabilities of faults, per durable step.
type Rates struct {
	Fail, LostAck, LostMessage, Late float64
}

// Seeded returns a Config.Fault that draws from seed.
func Seeded(seed uint64, r Rates) func(Step) Fault {
	rnd := rand.New(rand.NewPCG(seed, 0x6a6f75726e616c))
	return func(Step) Fault {
		p := rnd.Float64()
		for _, c := range []struct {
			rate  float64
			fault Fault
		}{{r.Fail, Fail}, {r.LostAck, LostAck}, {r.LostMessage, LostMessage}, {r.Late, Late}} {
			if p < c.rate {
				return c.fault
			}
			p -= c.rate
		}
		return None
	}
}

// Mem is the store of one node's journal server. It outlives its crashes; the
// handles that Log, Objects and KV return do not.
type Mem struct {
	cfg Config

	mu      sync.Mutex
	steps   int
	dead    chan struct{} // closed by a crash
	logs    map[int]*logState
	objects map[int]*table
	buckets map[string]*table
	midway  map[*write]struct{} // steps that a crash would strike midway
}

// NewMem returns an empty store.
func NewMem(cfg Config) *Mem {
	if cfg.AckTimeout == 0 {
		cfg.AckTimeout = 5 * time.Second
	}
	return &Mem{
		cfg:     cfg,
		dead:    make(chan struct{}),
		logs:    make(map[int]*logState),
		objects: make(map[int]*table),
		buckets: make(map[string]*table),
		midway:  make(map[*write]struct{}),
	}
}

// Dead is closed when the present life of the store ends in a crash.
func (m *Mem) Dead() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// Crash cuts the power: what was not durable is gone, steps midway are kept
// whole or lost whole, and every handle answers ErrClosed. Handles made
// afterwards see what is left.
func (m *Mem) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashLocked()
}

func (m *Mem) crashLocked() {
	for w := range m.midway {
		// A coin of the seed and the step alone: the map's order decides nothing.
		if rand.New(rand.NewPCG(m.cfg.Seed, uint64(w.step))).IntN(2) == 0 {
			w.apply()
		}
	}
	clear(m.midway)
	for _, l := range m.logs {
		l.crash()
	}
	for _, t := range m.objects {
		t.crash()
	}
	for _, t := range m.buckets {
		t.crash()
	}
	close(m.dead)
	m.dead = make(chan struct{})
}

// Sync makes everything durable, as the server's periodic sync does.
func (m *Mem) Sync() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.logs {
		l.sync()
	}
	for _, t := range m.objects {
		t.sync()
	}
	for _, t := range m.buckets {
		t.sync()
	}
}

// Log returns a handle to a shard's log, made when it is first asked for.
func (m *Mem) Log(shard int) *Log {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.logs[shard] == nil {
		m.logs[shard] = &logState{changed: make(chan struct{}), writer: make(chan struct{}, 1)}
	}
	return &Log{m: m, st: m.logs[shard], shard: shard, dead: m.dead}
}

// Objects returns a handle to a shard's bucket of objects.
func (m *Mem) Objects(shard int) *Objects {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects[shard] == nil {
		m.objects[shard] = newTable()
	}
	return &Objects{m: m, t: m.objects[shard], shard: shard, dead: m.dead}
}

// KV returns a handle to a bucket of documents.
func (m *Mem) KV(bucket string) *KV {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.buckets[bucket] == nil {
		m.buckets[bucket] = newTable()
	}
	return &KV{m: m, t: m.buckets[bucket], dead: m.dead}
}

// write is a durable step on its way. allowed is asked when the store comes to
// it, apply stores it; both under Mem.mu.
type write struct {
	step    int
	allowed func() error
	apply   func()
}

// durable performs a step with its fault. writer serialises a store's steps.
func (m *Mem) durable(ctx context.Context, dead <-chan struct{}, writer chan struct{}, s Step, w *write) error {
	select {
	case writer <- struct{}{}:
	case <-dead:
		return journal.ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", journal.ErrAmbiguous, ctx.Err())
	}
	fault, err := m.perform(dead, writer, s, w)
	<-writer
	if err != nil || fault == None {
		return err
	}
	return m.silence(ctx, dead)
}

func (m *Mem) perform(dead <-chan struct{}, writer chan struct{}, s Step, w *write) (Fault, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if isClosed(dead) {
		return None, journal.ErrClosed
	}
	if err := w.allowed(); err != nil {
		return None, err
	}
	m.steps++
	s.N, w.step = m.steps, m.steps
	fault := None
	if m.cfg.Fault != nil {
		fault = m.cfg.Fault(s)
	}
	switch fault {
	case Fail:
		return fault, errNoSpace
	case LostMessage:
		return fault, nil
	case Late:
		time.AfterFunc(m.cfg.AckTimeout+m.cfg.Sync, func() { m.arriveLate(dead, writer, w) })
		return fault, nil
	case CrashBefore:
		m.crashLocked()
		return fault, journal.ErrClosed
	}
	if m.cfg.Sync > 0 && !m.syncing(w, dead) {
		return fault, journal.ErrClosed
	}
	w.apply()
	if fault == CrashAfter {
		m.crashLocked()
		return fault, journal.ErrClosed
	}
	return fault, nil
}

// syncing lets the time of a sync pass without the lock, and reports whether
// the store survived it.
func (m *Mem) syncing(w *write, dead <-chan struct{}) bool {
	m.midway[w] = struct{}{}
	m.mu.Unlock()
	t := time.NewTimer(m.cfg.Sync)
	select {
	case <-t.C:
	case <-dead:
	}
	t.Stop()
	m.mu.Lock()
	delete(m.midway, w)
	return !isClosed(dead)
}

// arriveLate performs a step that nobody waits for any more, in its turn: a
// step that is in the middle of its sync was allowed before this one.
func (m *Mem) arriveLate(dead <-chan struct{}, writer chan struct{}, w *write) {
	select {
	case writer <- struct{}{}:
		defer func() { <-writer }()
	case <-dead:
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !isClosed(dead) && w.allowed() == nil {
		w.apply()
	}
}

// silence is a caller waiting for an answer that does not come.
func (m *Mem) silence(ctx context.Context, dead <-chan struct{}) error {
	t := time.NewTimer(m.cfg.AckTimeout)
	defer t.Stop()
	select {
	case <-t.C:
		return journal.ErrAmbiguous
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", journal.ErrAmbiguous, ctx.Err())
	case <-dead:
		return journal.ErrClosed
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
