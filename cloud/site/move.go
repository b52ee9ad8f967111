package site

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

// Move is where a site is, by the catalog, and where it is on its way to.
type Move struct {
	Site     id.Site
	Shard    int // the former while it is on its way
	To       int // -1: it is not on its way
	Revision uint64
	Out      uint64 // the message of the former shard's log with which it left, once its state is durable
	Digest   [sha256.Size]byte
}

// Moves is what moving sites needs of the catalog and of the other shards.
type Moves interface {
	// Under returns the moves from or to a shard that are under way.
	Under(shard int) []Move
	// Where returns where a site is.
	Where(site id.Site) (Move, bool)
	// Departed and Arrived are the catalog's; m is as Under had it.
	Departed(ctx context.Context, m Move, at uint64, digest [sha256.Size]byte) error
	Arrived(ctx context.Context, m Move) error
	// Objects is where a shard's snapshots are.
	Objects(shard int) Objects
	// Append appends a gateway's record to a shard's log: journal.Coalescer's.
	Append(shard int, key string, rec journal.Record, done func(seq uint64, err error)) error
}

// moveWithin bounds one step of a move outside the log: the state of a large site
// is put or read.
const moveWithin = time.Minute

// moveStep is what an owner is to do next for a move. Each is taken again until the
// log or the catalog shows that it was, by whichever owner is there then.
type moveStep uint8

const (
	noStep   moveStep = iota
	toLeave           // publish the departure
	toHand            // have the state durable where the other owner reads it, and say so
	toFetch           // read it, and publish the arrival
	toArrive          // say that it is here
)

// nextStep is the protocol (DESIGN.md, Moving a site): since is the revision with
// which the site came to this shard, 0 if it is not here; left is what is left of
// it here, nil for nothing.
func nextStep(shard int, m Move, since uint64, left *gone) moveStep {
	switch {
	case m.Shard == shard && m.Out == 0 && left == nil:
		return toLeave
	case m.Shard == shard && m.Out == 0 && left.Revision == m.Revision:
		return toHand
	case m.To == shard && m.Out != 0 && since == m.Revision:
		return toArrive
	case m.To == shard && m.Out != 0 && (left == nil || left.Revision < m.Revision):
		return toFetch
	}
	return noStep
}

// mover takes the steps that wait for the store, one at a time, so that the loop
// does not.
type mover struct {
	tasks chan func(context.Context) func() // each returns what the loop is to do then
	done  chan func()
	busy  bool // of the loop: a task is under way

	published map[id.Site]uint64 // of the loop: the revision of the record that is on its way
	fetched   map[id.Site][]byte // of the loop: the state of an arrival that is on its way
	arrivals  []arrived          // of the loop: the objects that a replay from the last manifest needs
	left      map[id.Site]time.Time
}

// arrived is an object that the message at seq of this shard's log was made of.
type arrived struct {
	object string
	seq    uint64
}

func newMover() *mover {
	return &mover{
		tasks: make(chan func(context.Context) func(), 1), done: make(chan func(), 1),
		published: make(map[id.Site]uint64), fetched: make(map[id.Site][]byte), left: make(map[id.Site]time.Time),
	}
}

func (v *mover) run(ctx context.Context) {
	for {
		select {
		case task := <-v.tasks:
			then := task(ctx)
			select {
			case v.done <- then:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// startMoving runs the mover and the forwarding until stop is called, which waits.
func (s *Shard) startMoving(ctx context.Context) (stop func()) {
	if s.moves == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{}, 2)
	go func() { s.mover.run(ctx); ended <- struct{}{} }()
	go func() { s.late.run(ctx); ended <- struct{}{} }()
	return func() { cancel(); <-ended; <-ended }
}

// move takes the next steps of the moves that concern this shard. In a recovery
// it hands over only.
func (s *Shard) move() {
	if s.moves == nil {
		return
	}
	poke(s.late.wake)
	s.settleDeparted()
	for _, m := range s.moves.Under(s.cfg.Shard) {
		since, left := uint64(0), (*gone)(nil)
		if st := s.sites[m.Site]; st != nil {
			since = st.since
		}
		d := s.departed[m.Site]
		if d != nil {
			left = &d.gone
		}
		switch step := nextStep(s.cfg.Shard, m, since, left); {
		case step == toHand:
			s.handOver(m, d)
		case !s.serving:
		case step == toLeave:
			s.publishMove(m, journal.KindDeparture, journal.Departure{To: m.To, Revision: m.Revision}.Append(nil))
		case step == toFetch:
			s.fetch(m)
		case step == toArrive:
			s.task(m.Site, "arrive", func(ctx context.Context) (func(), error) { return nil, s.moves.Arrived(ctx, m) })
		}
	}
}

// settleDeparted lets go of states that somebody has handed over.
func (s *Shard) settleDeparted() {
	for name, d := range s.departed {
		w, known := s.moves.Where(name)
		if d.state != nil && known && w.Revision > d.Revision {
			d.state = nil
			s.keepHeld()
		}
		if since, timed := s.mover.left[name]; timed && s.arrivedThere(name, &d.gone) {
			s.metrics.moveSeconds.Observe(time.Since(since).Seconds())
			delete(s.mover.left, name)
		}
	}
}

// publishMove publishes a record of a move, once an owner and revision.
func (s *Shard) publishMove(m Move, kind journal.RecordKind, body []byte) {
	if s.mover.published[m.Site] == m.Revision {
		return
	}
	s.mover.published[m.Site] = m.Revision
	s.keeper.add(journal.Record{Kind: kind, Origin: s.cfg.Node, Site: m.Site, Body: body})
}

// task has the mover do something, unless it is busy: then it is asked again.
func (s *Shard) task(site id.Site, what string, do func(context.Context) (then func(), err error)) {
	if s.mover.busy {
		return
	}
	s.mover.busy = true
	s.mover.tasks <- func(ctx context.Context) func() {
		ctx, cancel := context.WithTimeout(ctx, moveWithin)
		defer cancel()
		then, err := do(ctx)
		return func() {
			s.mover.busy = false
			if err != nil {
				s.metrics.moveErrors.Inc()
				s.log.Warn("a step of a site's move failed, it is tried again", "site", site, "step", what, "err", err)
			}
			if then != nil {
				then()
			}
			if err == nil {
				s.move()
			}
		}
	}
}

// handOver makes the state that a site left with durable, and says so.
func (s *Shard) handOver(m Move, d *departed) {
	state, at, digest := d.state, d.At, d.Digest
	s.task(m.Site, "hand over", func(ctx context.Context) (func(), error) {
		if state != nil {
			if err := s.moves.Objects(m.To).Put(ctx, movedObject(m.Site, m.Shard, at), state); err != nil {
				return nil, err
			}
		}
		return nil, s.moves.Departed(ctx, m, at, digest)
	})
}

// fetch reads the state of a site that comes here, and publishes its arrival.
func (s *Shard) fetch(m Move) {
	if s.mover.published[m.Site] == m.Revision {
		return
	}
	a := journal.Arrival{From: m.Shard, At: m.Out, Digest: m.Digest, Revision: m.Revision}
	s.task(m.Site, "fetch", func(ctx context.Context) (func(), error) {
		data, err := s.fetchMoved(ctx, m.Site, &a)
		if err != nil {
			return nil, err
		}
		return func() {
			s.mover.fetched[m.Site] = data
			s.publishMove(m, journal.KindArrival, a.Append(nil))
		}, nil
	})
}

// fetchMoved reads the state of an arrival and looks whether it is that.
func (s *Shard) fetchMoved(ctx context.Context, site id.Site, a *journal.Arrival) ([]byte, error) {
	name := movedObject(site, a.From, a.At)
	data, err := s.get(ctx, name)
	if err != nil {
		return nil, err
	}
	_, err = s.codec.open(arrivalEntry(site, a), data)
	return data, err
}

func arrivalEntry(site id.Site, a *journal.Arrival) manifestEntry {
	return manifestEntry{Site: site, Object: movedObject(site, a.From, a.At), Seq: a.At, Digest: a.Digest}
}

// depart takes a site out of the shard: what stands behind its place is late. A
// departure of a revision before the site's arrival here is an old one again.
func (s *Shard) depart(pos journal.Position, rec *journal.Record) error {
	m, err := journal.ParseDeparture(rec.Body)
	if err != nil {
		return err
	}
	st := s.sites[rec.Site]
	if s.departed[rec.Site] != nil || st != nil && m.Revision <= st.since {
		return nil
	}
	if st == nil { // it never sent anything
		if st, err = newSite(rec.Site, s.actors, &s.marks, &s.work); err != nil {
			return err
		}
	}
	state, err := s.codec.encodeLeaving(st, s.cfg.Shard, pos.Seq, s.now)
	if err != nil {
		return err
	}
	if err := st.close(); err != nil {
		return err
	}
	delete(s.sites, rec.Site)
	delete(s.copies, rec.Site)
	s.shelf.letGo(rec.Site)
	s.departed[rec.Site] = &departed{
		gone:  gone{To: m.To, At: pos.Seq, Digest: sha256.Sum256(state), Revision: m.Revision},
		dirty: true, state: state,
	}
	s.metrics.departures.Inc()
	if s.serving {
		s.mover.left[rec.Site] = time.Now()
		s.snapAt = time.Time{} // due: with it come the parts that the other shard's history waits for
		s.log.Info("a site has left the shard", "site", rec.Site, "to", m.To, "at", pos.Seq, "bytes", len(state))
		s.move()
	}
	return nil
}

// arrive puts a site into the shard as it left another.
func (s *Shard) arrive(ctx context.Context, pos journal.Position, rec *journal.Record) error {
	m, err := journal.ParseArrival(rec.Body)
	if err != nil {
		return err
	}
	if st, d := s.sites[rec.Site], s.departed[rec.Site]; st != nil && st.since >= m.Revision || d != nil && d.Revision >= m.Revision {
		return nil // an old one again
	}
	fresh, now, err := s.install(ctx, pos, rec.Site, &m)
	if err != nil {
		return err
	}
	if st := s.sites[rec.Site]; st != nil {
		return fmt.Errorf("site %s arrives from shard %d and is here: two shards have it", rec.Site, m.From)
	}
	delete(s.departed, rec.Site)
	s.sites[rec.Site] = fresh
	if err := s.adoptHistory(fresh); err != nil {
		return err
	}
	s.now = max(s.now, now)
	s.mover.arrivals = append(s.mover.arrivals, arrived{movedObject(rec.Site, m.From, m.At), pos.Seq})
	s.metrics.arrivals.Inc()
	if err := s.turn(ctx, fresh, record{pos: pos, kind: journal.KindBarrier, wake: true}); err != nil {
		return err
	}
	fresh = s.sites[rec.Site] // another, if the turn failed
	fresh.each(s.marks.add)
	if s.serving {
		s.log.Info("a site has come into the shard", "site", rec.Site, "from", m.From, "at", pos.Seq)
		s.beginSite(fresh, time.Now())
		s.move()
	}
	return nil
}

// adoptHistory has this node's history fetch a site's rows of its times in other
// shards, if it lacks them.
func (s *Shard) adoptHistory(st *site) error {
	for _, o := range st.origins {
		if err := s.shelf.adopt(st.id, o.Shard, o.To); err != nil {
			return err
		}
	}
	return nil
}

// install makes the site of an arrival, and returns the time where it left.
func (s *Shard) install(ctx context.Context, pos journal.Position, name id.Site, m *journal.Arrival) (*site, int64, error) {
	e := arrivalEntry(name, m)
	data, fetched := s.mover.fetched[name]
	delete(s.mover.fetched, name)
	var err error
	if !fetched || sha256.Sum256(data) != m.Digest {
		if data, err = s.get(ctx, e.Object); err != nil {
			return nil, 0, err
		}
	}
	snap, err := s.codec.open(e, data)
	if err != nil {
		return nil, 0, err
	}
	fresh, err := snap.make(e, s.actors, &s.marks, &s.work)
	if err != nil {
		return nil, 0, err
	}
	fresh.cursor, fresh.object, fresh.dirty = pos.Seq-1, manifestEntry{}, true
	fresh.since = m.Revision
	return fresh, snap.Now, nil
}

// arrivedThere reports whether a site that has left here is where it went, or has
// been.
func (s *Shard) arrivedThere(site id.Site, g *gone) bool {
	w, known := s.moves.Where(site)
	return known && w.Revision > g.Revision && !(w.Shard == s.cfg.Shard && w.To == g.To && w.Out == g.At)
}

// passOn takes a record of a site that has left. What its former owner published
// behind the departure has no effect; it reports whether the site has left.
func (s *Shard) passOn(ctx context.Context, pos journal.Position, rec *journal.Record) (bool, error) {
	d := s.departed[rec.Site]
	if d == nil {
		return false, nil
	}
	if rec.Kind.FromGateway() {
		s.late.take(pos, d.gone, rec)
	}
	for !s.serving && s.moves != nil && s.late.crowded() { // a recovery waits here
		s.move()
		select {
		case <-s.late.signal:
		case then := <-s.mover.done:
			then()
		case <-time.After(tickEvery):
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
	return true, nil
}

// Passed reports whether everything of a site in this log up to a message has
// been applied or, if the site has left, is in the log of the shard that it went
// to. It is true for good, whoever owns the shard.
func (s *Shard) Passed(site id.Site, seq uint64) bool { return s.late.passed(site, seq) }

// holds reports whether a snapshot must wait: what it would no longer let be
// replayed is not where it belongs (I1).
func (s *Shard) holds(seq uint64) bool {
	for _, d := range s.departed {
		if d.state != nil && d.At <= seq {
			return s.moves != nil
		}
	}
	return s.moves != nil && !s.late.passed("", seq)
}

// keepHeld hands a snapshot to the keeper that waited.
func (s *Shard) keepHeld() {
	if s.held != nil && !s.holds(s.held.manifest.Seq) {
		s.keeper.store(s.held)
		s.held = nil
	}
}

// neededArrivals are the objects that a replay from the last manifest or a later
// one is made of, and those of sites on their way here.
func (s *Shard) neededArrivals() map[string]bool {
	need := make(map[string]bool)
	var keep []arrived
	for _, a := range s.mover.arrivals {
		if s.last == nil || a.seq > s.last.Seq {
			keep = append(keep, a)
			need[a.object] = true
		}
	}
	s.mover.arrivals = keep
	if s.moves == nil {
		return need
	}
	for _, m := range s.moves.Under(s.cfg.Shard) {
		if m.To == s.cfg.Shard && m.Out != 0 {
			need[movedObject(m.Site, m.Shard, m.Out)] = true
		}
	}
	return need
}
