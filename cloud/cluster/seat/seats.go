package seat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/site"
)

const (
	// every is how often this node decides although nothing was heard: loads
	// change, and pauses end.
	every = time.Second
	// restFirst and restMost bound the pause after a seat that failed: a leader's
	// election takes seconds, a full disk minutes.
	restFirst = 250 * time.Millisecond
	restMost  = 30 * time.Second
	// claimTime bounds a claim: of a node that was cut off for longer than this,
	// no claim is left that would take a shard from whoever has it by then.
	claimTime = 10 * time.Second
	// handOverTime bounds a hand-over, the snapshot of a large shard included.
	handOverTime = 2 * time.Minute
	// takeTime is how long an offer waits for its node, which needs a claim and a
	// barrier. Then the shard is offered to the owner itself, so that nobody
	// thinks of it as leaving.
	takeTime = 10 * time.Second
	// tiredTime is how long nothing is offered after an offer that was not taken:
	// the node is slow or ill, and a snapshot a try is a burden.
	tiredTime = 30 * time.Second
)

// Peers is what is known of the cluster's nodes: membership, or of a node alone
// itself.
type Peers interface {
	// Nodes returns every node that is known, this one among them.
	Nodes() []placement.Node
	// Rate is a shard's readings/s, as its owner measured them.
	Rate(shard int) float64
	// Changed returns a channel that is closed when a node comes or goes.
	Changed() <-chan struct{}
	// StableSince is when one last did.
	StableSince() time.Time
}

// Config says whose seats these are.
type Config struct {
	Node   string
	Shards int
	// Settle is how long a node that starts listens for others before it claims
	// what nobody seems to have. 0 of a node alone.
	Settle time.Duration
}

// Parts are what seats need. All of them stay the caller's to close.
type Parts struct {
	Owners *cluster.Owners
	Peers  Peers
	// Zones returns where the sites of a shard are at home; their rates may be in
	// any unit, as only their parts count.
	Zones func(shard int) []placement.ZoneLoad
	// Claim claims a shard for this node, and Open makes its work.
	Claim func(ctx context.Context, shard int) (*cluster.Ownership, error)
	Open  func(shard int, claim *cluster.Ownership) (*site.Shard, error)
}

// Seats are a node's seats at all shards. Its methods may be called from any
// goroutine.
//
// Goroutines: Run's, one a shard that is held, one a hand-over.
type Seats struct {
	cfg     Config
	parts   Parts
	log     *slog.Logger
	metrics *metrics
	wake    chan struct{}

	mu    sync.Mutex
	seats []seat // by shard
	plan  placement.Plan
}

// seat is the place at one shard.
type seat struct {
	taken bool
	claim *cluster.Ownership // nil until it is claimed
	work  *site.Shard        // likewise
	since time.Time          // it is taken
	to    string             // it is being handed to
	lost  uint64             // the epoch in which it was lost: the map must show a higher one
	rest  time.Duration      // after the last failure
	until time.Time          // it rests
	tired time.Time          // until then it is not offered
	err   error              // of the last failure; nil once it was active again
}

// New makes seats; Run takes them.
func New(cfg Config, parts Parts, log *slog.Logger, reg prometheus.Registerer) *Seats {
	return &Seats{
		cfg: cfg, parts: parts, log: log, metrics: newMetrics(reg),
		wake: make(chan struct{}, 1), seats: make([]seat, cfg.Shards),
	}
}

// Run takes and gives up seats until ctx ends, and returns when all work has
// ended.
func (s *Seats) Run(ctx context.Context) error {
	var working sync.WaitGroup
	defer working.Wait()
	select {
	case <-time.After(s.cfg.Settle):
	case <-ctx.Done():
		return nil
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		peers, owners := s.parts.Peers.Changed(), s.parts.Owners.Changed()
		if err := s.act(ctx, &working); err != nil { // the shards that are here are served on
			s.metrics.undecided.Inc()
			s.log.Error("nothing was decided about the shards", "err", err)
		}
		select {
		case <-peers:
		case <-owners:
		case <-s.wake:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// act decides and begins what is decided.
func (s *Seats) act(ctx context.Context, working *sync.WaitGroup) error {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	acts, plan, err := decide(s.look(now))
	if err != nil {
		return err
	}
	s.plan = plan
	for _, a := range acts {
		seat := &s.seats[a.shard]
		if a.to == "" {
			seat.taken, seat.since = true, now
			working.Go(func() { s.hold(ctx, a.shard) })
			continue
		}
		seat.to = a.to
		work, claim := seat.work, seat.claim // the seat may end, and be taken again, before the hand-over begins
		working.Go(func() { s.handOver(ctx, a.shard, a.to, work, claim) })
	}
	s.metrics.show(s.seats)
	return nil
}

// look is the situation now.
func (s *Seats) look(now time.Time) situation {
	v := situation{node: s.cfg.Node, now: now, stable: s.parts.Peers.StableSince(), nodes: s.parts.Peers.Nodes()}
	for i := range s.seats {
		t := &s.seats[i]
		h := s.parts.Owners.Of(i)
		v.shards = append(v.shards, shard{
			holding: h, zones: s.parts.Zones(i), rate: s.parts.Peers.Rate(i),
			taken: t.taken, active: t.active(), to: t.to,
			resting: now.Before(t.until) || t.lost != 0 && h.Epoch <= t.lost,
			tired:   now.Before(t.tired),
		})
	}
	return v
}

func (t *seat) active() bool {
	if t.work == nil {
		return false
	}
	select {
	case <-t.work.Active():
		return true
	default:
		return false
	}
}

// hold is a seat from the claim to its end.
func (s *Seats) hold(ctx context.Context, shard int) {
	err := s.sit(ctx, shard)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.seats[shard]
	was, claim := t.active(), t.claim
	*t = seat{lost: t.lost, rest: t.rest, tired: t.tired, err: t.err}
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, cluster.ErrLost) && claim != nil:
		t.lost, t.rest, t.err = claim.Epoch(), 0, nil
		if h := s.parts.Owners.Of(shard); h.Owner == s.cfg.Node { // an offer that was taken back
			t.lost = max(t.lost, h.Epoch)
		}
	case errors.Is(err, cluster.ErrTaken): // no failure of the shard's: it is served there, as the map is about to show
		t.rest, t.err = 0, nil
		t.until = time.Now().Add(restFirst)
	default:
		if was {
			t.rest = 0
		}
		t.rest = min(max(2*t.rest, restFirst), restMost)
		t.until, t.err = time.Now().Add(t.rest), err
		s.metrics.failures.Inc()
		s.log.Error("a shard's work failed, it is taken up again", "shard", shard, "in", t.rest, "err", err)
	}
	s.poke()
}

// sit claims a shard and works on it until it ends.
func (s *Seats) sit(ctx context.Context, shard int) error {
	claiming, cancel := context.WithTimeout(ctx, claimTime)
	claim, err := s.parts.Claim(claiming, shard)
	cancel()
	if err != nil {
		return err
	}
	work, err := s.parts.Open(shard, claim)
	if err != nil {
		return err
	}
	s.mu.Lock()
	t := &s.seats[shard]
	t.claim, t.work = claim, work
	since := t.since
	s.mu.Unlock()
	seated := make(chan struct{})
	defer close(seated)
	go func() {
		select {
		case <-work.Active():
			s.metrics.taking.Observe(time.Since(since).Seconds())
			s.mu.Lock()
			t.rest, t.err = 0, nil
			s.mu.Unlock()
			s.poke()
		case <-seated:
		}
	}()
	return work.Run(ctx)
}

// handOver saves a shard, offers it, and goes on with it until the other has
// taken it, or takes the offer back.
func (s *Seats) handOver(ctx context.Context, shard int, to string, work *site.Shard, claim *cluster.Ownership) {
	ctx, cancel := context.WithTimeout(ctx, handOverTime)
	defer cancel()
	log := s.log.With("shard", shard, "to", to)
	err := s.offer(ctx, to, work, claim)
	switch {
	case errors.Is(claim.Err(), cluster.ErrHandedOver):
		s.metrics.handedOver.Inc()
	case claim.Err() != nil || ctx.Err() != nil && errors.Is(err, context.Canceled): // lost to a third, or this node stops
		s.metrics.notHandedOver.Inc()
	default:
		s.metrics.notHandedOver.Inc()
		log.Warn("the shard stays, it could not be handed over", "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := &s.seats[shard]; t.claim == claim {
		t.to, t.tired = "", time.Now().Add(tiredTime)
	}
	s.poke()
}

var errNotTaken = fmt.Errorf("the offer was not taken within %v", takeTime)

func (s *Seats) offer(ctx context.Context, to string, work *site.Shard, claim *cluster.Ownership) error {
	upTo, err := work.Save(ctx)
	if err != nil {
		return err
	}
	if err := claim.Offer(ctx, to, upTo); err != nil {
		return err
	}
	select {
	case <-claim.Lost():
		return claim.Err()
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(takeTime):
	}
	return errors.Join(errNotTaken, claim.Offer(ctx, s.cfg.Node, upTo))
}

// poke has Run decide again.
func (s *Seats) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
