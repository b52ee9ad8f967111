package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/journal"
)

const (
	// beats is the subject of every node's.
	beats = "members"
	// leaveWithin bounds how long a node that stops waits for the store to remove
	// its document. The others know already, and the document does no harm.
	leaveWithin = time.Second
	// nagEvery is the pause between two lines of log about the same trouble.
	nagEvery = 10 * time.Second
)

// Bus is where nodes hear each other: journal.Bus or its double.
type Bus interface {
	Publish(subject string, data []byte) error
	Subscribe(subject string, f func(journal.BusMessage)) (stop func(), err error)
}

// KV is the bucket of the nodes' documents: journal.KV or its double.
type KV interface {
	Get(ctx context.Context, key string) (journal.Entry, error)
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Delete(ctx context.Context, key string, revision uint64) error
	Watch(ctx context.Context, each func(journal.Entry), ready func()) error
}

// Config says as whom to take part.
type Config struct {
	Node string // of this node, unique in the cluster
	// Alone says that there are no others and will be none: nothing is sent or
	// written for their sake, and the node is never cut off.
	Alone bool
}

// Membership is one node's view of its cluster. Its methods may be called from
// any goroutine.
type Membership struct {
	cfg     Config
	boot    uint64
	kv      KV
	bus     Bus
	self    func() Member
	log     *slog.Logger
	metrics *metrics
	due     chan letter // to the writer, one at a time

	mu        sync.Mutex
	m         *machine
	mine      document // as it was last sent
	changed   chan struct{}
	committed time.Time            // when the last write of its own that was committed began
	nagged    map[string]time.Time // when each complaint was last made
}

// New returns a membership that is to Run. self says what this node is now; it
// is called four times a second and must not block. Name and StartedAt must not
// change.
func New(cfg Config, kv KV, bus Bus, self func() Member, log *slog.Logger, reg prometheus.Registerer) (*Membership, error) {
	if err := checkName(cfg.Node); err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	boot := rand.Uint64() | 1 // never 0
	m := &Membership{
		cfg: cfg, boot: boot, kv: kv, bus: bus, self: self, log: log.With("component", "membership"),
		due: make(chan letter, 1), m: newMachine(cfg.Node, boot, time.Now()),
		changed: make(chan struct{}), nagged: make(map[string]time.Time),
	}
	m.metrics = newMetrics(reg, m)
	if _, err := m.speak(); err != nil {
		return nil, fmt.Errorf("membership: this node's own document: %w", err)
	}
	return m, nil
}

// Run takes part until ctx ends, and then says that this node leaves: first hand
// over what it serves. An error means that it never took part.
func (m *Membership) Run(ctx context.Context) error {
	if m.cfg.Alone {
		m.run(ctx, m.watch, m.renew)
		return nil
	}
	stop, err := m.bus.Subscribe(beats, m.listen)
	if err != nil {
		return fmt.Errorf("membership: %w", err)
	}
	defer stop()
	m.run(ctx, m.watch, m.write, m.beat)
	m.leave(context.WithoutCancel(ctx))
	return nil
}

func (m *Membership) run(ctx context.Context, parts ...func(context.Context)) {
	var wg sync.WaitGroup
	for _, part := range parts {
		wg.Go(func() { part(ctx) })
	}
	wg.Wait()
}

// Members returns all nodes that are known, by name: this one, those that live,
// and those that are dead and were not forgotten. A node that owned a shard and
// is not among them is gone.
func (m *Membership) Members() []Member {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m.members(m.mine.member(), time.Now())
}

// Changed returns a channel that the next change closes: of who is there, and of
// what one says, but not of loads and counts. Who waits for changes takes it
// before it looks.
func (m *Membership) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// StableSince returns when a node last came or went, or this one was last cut off:
// what it missed meanwhile it needs time to hear.
func (m *Membership) StableSince() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m.stable
}

// CutOff reports whether no write of this node was committed by a majority that
// began within the last three seconds: others may have taken over what it holds,
// and what it says may be old. So it is until its first write.
func (m *Membership) CutOff() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ageLocked() >= cutOffAfter
}

// ageLocked is how long ago the last write began that a majority has committed.
func (m *Membership) ageLocked() time.Duration {
	switch {
	case m.cfg.Alone:
		return 0
	case m.committed.IsZero():
		return cutOffAfter
	}
	return time.Since(m.committed)
}

// beat says four times a second that this node lives, and looks who does not.
func (m *Membership) beat(ctx context.Context) {
	every := time.NewTicker(beatEvery)
	defer every.Stop()
	for n := 0; ; n++ {
		began := time.Now()
		b, err := m.speak()
		m.blame(err, "this node's document is invalid: the one before is said again")
		if n%beatsPerWrite == 0 {
			m.hand(letter{b, began})
		}
		m.blame(m.bus.Publish(beats, b), "no beat was sent")
		m.look()
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// look lets the machine see who is silent.
func (m *Membership) look() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.takeLocked(event{kind: tick, own: m.ageLocked()})
}

// hand gives the writer a document to write, in place of one that still waits:
// an older one would say less, of an earlier time.
func (m *Membership) hand(l letter) {
	select {
	case <-m.due:
	default:
	}
	m.due <- l
}

// renew keeps a node alone up to date with itself.
func (m *Membership) renew(ctx context.Context) {
	every := time.NewTicker(beatEvery)
	defer every.Stop()
	for ctx.Err() == nil {
		_, err := m.speak()
		m.blame(err, "this node's document is invalid: the one before is said again")
		select {
		case <-every.C:
		case <-ctx.Done():
		}
	}
}

// speak returns what this node says of itself now. While that is invalid it is
// the document before, with an error: the node lives.
func (m *Membership) speak() ([]byte, error) {
	d := documentOf(m.self())
	d.Boot, d.Name = m.boot, m.cfg.Node
	m.mu.Lock()
	defer m.mu.Unlock()
	d.Seq = m.mine.Seq + 1
	b, err := d.encode()
	if err != nil && m.mine.Seq == 0 {
		return nil, err
	}
	if err != nil {
		d = m.mine
		d.Seq++
		b, _ = d.encode() // it was valid before
	}
	if !d.sameBut(m.mine) {
		m.announceLocked()
	}
	m.mine = d
	return b, err
}

// leave tells everybody that this node stops.
func (m *Membership) leave(ctx context.Context) {
	m.mu.Lock()
	d := m.mine
	m.mu.Unlock()
	d.Seq++
	d.Leaving = true
	b, err := d.encode()
	if err = errors.Join(err, m.bus.Publish(beats, b)); err != nil {
		m.log.Warn("the others were not told that this node leaves", "err", err)
	}
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	if err := m.removeOwn(ctx); err != nil {
		m.log.Warn("this node's document stays in the store", "err", err)
	}
}

// listen takes a beat.
func (m *Membership) listen(msg journal.BusMessage) {
	d, err := parseDocument(msg.Data)
	if err != nil {
		m.metrics.malformed.Inc()
		m.blame(err, "a beat was not understood")
		return
	}
	m.take(event{kind: beat, doc: d})
}

// take gives the machine an event and tells what it changed.
func (m *Membership) take(e event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.takeLocked(e)
}

func (m *Membership) takeLocked(e event) {
	for _, o := range m.m.step(time.Now(), e) {
		m.metrics.count(o)
		m.tellLocked(o)
		if o.moves() || o.change == said || o.change == gone {
			m.announceLocked()
		}
	}
}

// announceLocked wakes who waits for changes.
func (m *Membership) announceLocked() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Membership) tellLocked(o outcome) {
	switch o.change {
	case came, returned, left, gone:
		m.log.Info("node "+o.change.String(), "node", o.name)
	case died:
		m.log.Warn("node is silent and taken for dead", "node", o.name)
	case refused:
		m.nagLocked("a node too many is not known", "node", o.name, "most", MaxMembers)
	case twice:
		m.nagLocked("another node has this one's name: give one of them another", "node", o.name)
	}
}

// blame logs an error, if it is one, and not the same again at once.
func (m *Membership) blame(err error, what string) {
	if err == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nagLocked(what, "err", err)
}

func (m *Membership) nagLocked(what string, args ...any) {
	if now := time.Now(); m.nagged[what].IsZero() || now.Sub(m.nagged[what]) >= nagEvery {
		m.nagged[what] = now
		m.log.Warn(what, args...)
	}
}
