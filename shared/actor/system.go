package actor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/actor/wheel"
)

// Config names this node.
type Config struct {
	// Address is the host name or IP address by which other nodes reach this
	// one. With Port it is the address of every PID made here; nothing listens
	// on it.
	Address string
	// Port is 0 to 65535.
	Port int
	// ClusterName is the cluster that the node belongs to; it marks the log.
	ClusterName string
}

// Validate reports the first field that cannot name a node.
func (c Config) Validate() error {
	if c.Address == "" {
		return errors.New("actor: Address: want a host name or an IP address, got none")
	}
	if c.Port < 0 || c.Port > 65535 {
		return fmt.Errorf("actor: Port: want 0 to 65535, got %d", c.Port)
	}
	return nil
}

// Option changes how a system is made.
type Option func(*ActorSystem)

// WithMetrics registers the system's metrics with reg. Without it they are
// counted and not exposed. A registry takes one system.
func WithMetrics(reg prometheus.Registerer) Option {
	return func(s *ActorSystem) { s.registerer = reg }
}

// WithTurnGuard makes a group's turn detectable by its goroutine, so that
// Tell, TellBatch and Ask from inside a turn are refused with ErrOutsideGroup
// whatever reference they use. It costs about a microsecond per send while
// turns run, so tests set it and production does not.
func WithTurnGuard() Option {
	return func(s *ActorSystem) { s.guard = newTurnGuard() }
}

// ActorSystem owns the dispatchers and the actors of one node. It starts no
// goroutine before an actor has work.
type ActorSystem struct {
	address    string
	log        *slog.Logger
	registerer prometheus.Registerer
	metrics    *metrics
	guard      *turnGuard // nil unless WithTurnGuard
	transport  Transport  // nil unless WithTransport
	engine     *Engine
	courier    *courier // nil without a transport
	stepper    *Stepper // nil unless WithStepper
	events     Events
	pipes      pipes

	pool    *pool
	storage *storage
	epoch   time.Time
	clock   *wheel.Clock

	abandons atomic.Bool // what waits for others is abandoned: Stop ran out of time

	mu          sync.Mutex
	dispatchers map[string]*dispatcher
	halted      bool
}

// NewActorSystem makes a system with the default dispatcher. A nil logger
// discards. It logs only failures of actors. Stop must be called for its
// goroutines to end.
func NewActorSystem(cfg Config, logger *slog.Logger, opts ...Option) *ActorSystem {
	s := &ActorSystem{
		address:     net.JoinHostPort(cfg.Address, strconv.Itoa(cfg.Port)),
		epoch:       time.Now(),
		clock:       wheel.NewClock(),
		dispatchers: make(map[string]*dispatcher),
	}
	s.pool = newPool(runtime.GOMAXPROCS(0), s.now, func(d *dispatcher) { s.publish(Stalled{Dispatcher: d.name}) })
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s.log = logger.With("cluster", cfg.ClusterName, "node", s.address)
	for _, o := range opts {
		o(s)
	}
	s.storage = newStorage(s)
	s.engine = newEngine(s)
	if s.transport != nil {
		s.courier = newCourier(s.engine, s.transport)
	}
	s.metrics = newMetrics(s)
	if err := s.RegisterDispatcher(DefaultDispatcherName, DefaultDispatcher()); err != nil {
		panic("BUG: the default dispatcher is refused: " + err.Error())
	}
	return s
}

// RegisterDispatcher adds a dispatcher that props can name. A name is used
// once; the error of a bad setting names the field and what it allows.
func (s *ActorSystem) RegisterDispatcher(name string, cfg DispatcherConfig) error {
	if name == "" {
		return errors.New("actor: register dispatcher: the name is empty")
	}
	if err := cfg.Check(); err != nil {
		return fmt.Errorf("actor: register dispatcher %q: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted {
		return fmt.Errorf("actor: register dispatcher %q: %w", name, ErrSystemStopped)
	}
	if s.dispatchers[name] != nil {
		return fmt.Errorf("actor: register dispatcher %q: the name is in use", name)
	}
	d := &dispatcher{
		name:        name,
		throughput:  int32(cfg.Throughput),
		mailboxSize: int32(cfg.MailboxSize),
		most:        int32(cfg.MaxConcurrency),
	}
	if cfg.Kind != Pool || s.stepper != nil {
		d.own = s.newQueue(cfg.MaxConcurrency, cfg.Kind == Pinned)
	} else if err := s.pool.add(d, cfg.Weight); err != nil {
		return fmt.Errorf("actor: register dispatcher %q: %w", name, err)
	}
	s.dispatchers[name] = d
	return nil
}

// newQueue makes what runs tasks beside the pool.
func (s *ActorSystem) newQueue(most int, pinned bool) queue {
	if s.stepper != nil {
		return &row{stepper: s.stepper}
	}
	return newCrew(s.now, most, pinned)
}

// now is the monotonic time since the system was made, in nanoseconds, and
// never 0, which says that a time was not recorded.
func (s *ActorSystem) now() int64 { return int64(time.Since(s.epoch)) + 1 }

// Engine spawns the system's actors.
func (s *ActorSystem) Engine() *Engine { return s.engine }

// Stop ends all actors as Ref.Stop does, children before their parents and else
// in no order, and then the workers: nothing can be spawned any more, what was
// accepted is handled, what actors send to one another meanwhile is refused and
// counted. Stop in an order of your own first where that matters. The contexts
// of PipeTo's functions end at once, and Stop waits for the functions.
//
// When ctx ends before that, the rest is abandoned: no turn begins any more,
// messages become dead letters, Stopped hooks do not run. A worker that is
// inside a turn finishes it, up to Throughput messages, and ends. The error
// then says how many actors were left.
// Groups belong to their callers and are not touched. Calling Stop again waits
// again. An actor must not call it: it would wait for itself.
func (s *ActorSystem) Stop(ctx context.Context) error {
	piped, ended := s.pipes.close(), s.engine.close()
	if s.stepper != nil {
		s.stepper.drain(ctx, ended)
	}
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = fmt.Errorf("actor: stop: %d actors had not ended: %w", s.engine.live.Load(), ctx.Err())
	}
	if s.courier != nil {
		if left := s.courier.stop(ctx); left != nil && err == nil {
			err = fmt.Errorf("actor: stop: %w", left)
		}
	}
	s.mu.Lock()
	s.halted = true
	all := make([]*dispatcher, 0, len(s.dispatchers))
	for _, d := range s.dispatchers {
		all = append(all, d)
	}
	s.mu.Unlock()
	executors := []executor{s.pool, s.storage}
	for _, d := range all {
		if d.own != nil {
			executors = append(executors, d.own)
		}
	}
	for _, e := range executors {
		e.halt()
	}
	s.clock.Stop()
	if err != nil {
		s.abandons.Store(true)
		s.engine.abandonSuspended()
		return err
	}
	for _, e := range executors {
		e.wait()
	}
	select {
	case <-piped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("actor: stop: %d functions of PipeTo had not ended: %w", s.pipes.running(), ctx.Err())
	}
}

func (s *ActorSystem) dispatcher(name string) (*dispatcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dispatchers[name]
	if d == nil {
		return nil, fmt.Errorf("no dispatcher %q is registered", name)
	}
	return d, nil
}

// eachDispatcher calls f with each dispatcher.
func (s *ActorSystem) eachDispatcher(f func(*dispatcher)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.dispatchers {
		f(d)
	}
}
