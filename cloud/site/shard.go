package site

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
)

// Log is what a shard's owner needs of its log: journal.Log or its double.
type Log interface {
	Bounds(ctx context.Context) (first, last uint64, err error)
	Read(ctx context.Context, from uint64) (journal.Reader, error)
	Purge(ctx context.Context, below uint64) error
}

// Ownership is the claim under which the owner writes: cluster.Ownership or
// its double.
type Ownership interface {
	Token() uint64
	Lost() <-chan struct{}
	Err() error
	Activate(ctx context.Context) error
	Refence(ctx context.Context) (token uint64, err error)
	Observe(b journal.Barrier)
	Publish(ctx context.Context, recs []journal.Record) (uint64, error)
}

// Objects is where snapshots are: journal.Objects or its double.
type Objects interface {
	Put(ctx context.Context, name string, data []byte) error
	Get(ctx context.Context, name string) ([]byte, error)
	List(ctx context.Context) ([]journal.Object, error)
	Delete(ctx context.Context, name string) error
}

// History is where projections go: history.Store or its double. What is at or
// below Position is durable.
type History interface {
	Position(shard int) uint64
	Write(shard int, seq uint64, p *history.Projections) error
}

// Holes is a History to which rows can be added that another node projected.
type Holes interface {
	Hole(shard int) history.Hole
	OpenHole(shard int, to uint64) error
	Fill(p *history.Part) error
	Adopt(site id.Site, from int, to uint64) error
	Adoptions() []history.Adoption
	FillSite(p *history.Part, site id.Site) error
}

// Parts are what a shard's work needs. All of them stay the caller's to close.
type Parts struct {
	Journal Log
	Owner   Ownership
	Objects Objects
	History History
	// Parts is where the rows go from which the shard's next owner, on another
	// node, fills its history. Nil where the shard never moves; otherwise History
	// has Holes.
	Parts Objects
	// PartsOf returns another shard's Parts, of which the rows of a site that came
	// from there are filled in. Without it no site may come.
	PartsOf   func(shard int) Objects
	Documents Documents
	Moves     Moves // nil: sites stay where they are
	Sender    Sender
	Actors    *actor.ActorSystem
}

// Config says which shard, and how often to keep what.
type Config struct {
	Shard int
	Node  string // origin of the owner's records

	SnapshotEvery    time.Duration // zero means 30 s
	SnapshotMessages int           // or after so many messages; zero means 10,000

	// Retention is how long parts are kept, as history.Config says of rows. Zero
	// keeps them until their bucket is full.
	Retention time.Duration
}

const (
	defaultSnapshotEvery    = 30 * time.Second
	defaultSnapshotMessages = 10_000

	// batchBytes and batchMessages bound what is applied before it is written
	// to history: a batch is one fsync.
	batchBytes    = 2 << 20
	batchMessages = 256

	// readAhead is how many messages wait between the reader and the loop, of
	// at most journal.MaxMessage each.
	readAhead = 16

	// tickEvery is how often timers are looked at; at most one tick message a
	// second and shard.
	tickEvery = time.Second
)

// Shard is the owner's work on one shard: from the claim that it is handed to
// the loss of it. Run does everything in one goroutine, but for reading ahead
// and for writing to the log, which must not hold up the reading.
type Shard struct {
	cfg       Config
	journal   Log
	owner     Ownership
	objects   Objects
	history   History
	shelf     *shelf // nil where no parts are kept
	documents Documents
	moves     Moves
	late      *forwarding
	mover     *mover
	sender    Sender
	actors    *actor.ActorSystem
	log       *slog.Logger
	metrics   *metrics
	codec     codec
	delay     delay

	queries chan query
	active  chan struct{} // closed when Run serves
	ended   chan struct{} // closed when Run returns

	// Of Run's goroutine.
	sites       map[id.Site]*site
	departed    map[id.Site]*departed
	applied     uint64 // the last message
	readings    uint64 // applied since the claim
	now         int64  // max of the messages' times, Unix microseconds
	incarnation uint64 // of the last barrier, with epoch
	epoch       uint64
	origin      uint64 // the message before the first that recovery read
	skips       map[skipKey]bool
	pending     history.Projections // of messages that history does not hold
	batched     int                 // messages in pending
	ticking     bool                // a tick record is on its way
	sinceSnap   int                 // messages since the last snapshot
	snapAt      time.Time
	storing     *snapshotJob // with the keeper
	held        *snapshotJob // storing, but waiting for late records
	last        *manifest    // durable; nil before the first
	keeper      *keeper
	marks       marks
	work        scratch // for the records of all sites
	waiters     []waiter
	savers      []chan save // who waits for a snapshot

	// Of the owner, as long as it serves.
	serving  bool
	sent     map[id.Command]time.Time      // when a command was last sent
	copies   map[id.Site]map[docKey]copied // published documents
	uncopied bool                          // some documents wait for the keeper
}

// New makes the shard's work; Run does it.
func New(cfg Config, p Parts, logger *slog.Logger, reg prometheus.Registerer) (*Shard, error) {
	if cfg.Node == "" {
		return nil, errors.New("site: the owner's node has no name")
	}
	if cfg.SnapshotEvery <= 0 {
		cfg.SnapshotEvery = defaultSnapshotEvery
	}
	if cfg.SnapshotMessages <= 0 {
		cfg.SnapshotMessages = defaultSnapshotMessages
	}
	c, err := newCodec()
	if err != nil {
		return nil, fmt.Errorf("site: %w", err)
	}
	s := &Shard{
		cfg: cfg, journal: p.Journal, owner: p.Owner, objects: p.Objects, history: p.History,
		documents: p.Documents, moves: p.Moves, mover: newMover(), sender: p.Sender, actors: p.Actors,
		log: logger.With("shard", cfg.Shard), metrics: newMetrics(reg, cfg.Shard), codec: c,
		queries: make(chan query), active: make(chan struct{}), ended: make(chan struct{}),
		sites: make(map[id.Site]*site), departed: make(map[id.Site]*departed), skips: make(map[skipKey]bool),
		sent: make(map[id.Command]time.Time), copies: make(map[id.Site]map[docKey]copied),
	}
	s.marks.shard = cfg.Shard
	s.keeper, s.late = newKeeper(s), newLate(s)
	if p.Parts != nil {
		holes, ok := p.History.(Holes)
		if !ok {
			return nil, errors.New("site: parts are kept, but what they fill in history is not")
		}
		if s.shelf, err = newShelf(s, p, holes); err != nil {
			return nil, fmt.Errorf("site: %w", err)
		}
	}
	return s, nil
}

// Active is closed once the shard serves.
func (s *Shard) Active() <-chan struct{} { return s.active }

// Run recovers the shard's state to the owner's barrier, activates, and
// applies the log until ctx is done (nil), the ownership is lost, or an error
// that a restart of the shard may or may not cure. It may be called once.
func (s *Shard) Run(ctx context.Context) error {
	defer close(s.ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends a read or a publish that would wait for ever
		select {
		case <-s.owner.Lost():
			cancel()
		case <-ctx.Done():
		}
	}()
	err := s.run(ctx)
	s.endWatches()
	s.closeSites()
	switch lost := s.owner.Err(); {
	case lost != nil:
		return fmt.Errorf("site: shard %d: %w", s.cfg.Shard, lost)
	case err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil
	case err != nil:
		return fmt.Errorf("site: shard %d: %w", s.cfg.Shard, err)
	}
	return nil
}

func (s *Shard) run(ctx context.Context) error {
	begin := time.Now()
	defer s.shelf.start(ctx)()
	defer s.startMoving(ctx)()
	if err := s.recoverAgain(ctx); err != nil {
		return err
	}
	if err := s.owner.Activate(ctx); err != nil {
		return err
	}
	s.log.Info("shard active", "applied", s.applied, "sites", len(s.sites), "took", time.Since(begin))
	close(s.active)
	defer s.shelf.fill(ctx)()
	return s.serve(ctx)
}

func (s *Shard) closeSites() {
	for _, st := range s.sites {
		if err := st.close(); err != nil {
			s.log.Error("site: stop group", "site", st.id, "err", err)
		}
	}
	clear(s.sites)
	clear(s.departed)
}
