package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

const (
	plays      = 8_000
	happenings = 300
)

// I3, over random interleavings of three nodes that claim, activate, publish,
// refence and purge, while requests and answers are lost or late, processes die,
// one that all take for dead goes on, and the document is forgotten.
func TestOneOwnersRecordsAreAcceptedPerEpochWhateverHappens(t *testing.T) {
	deepest := 0
	for seed := range uint64(plays) {
		s := newStage()
		s.play(seed)
		deepest = max(deepest, len(s.accepted))
		if s.complaint == "" {
			s.settle()
		}
		if s.complaint != "" {
			t.Fatalf("seed %d: %s", seed, s.complaint)
		}
	}
	if deepest < 8 {
		t.Errorf("no play had records of more than %d epochs", deepest)
	}
}

// What the property above is worth: it does not hold of stores that compare
// less.
func TestTheInterleavingsFindAStoreThatDoesNotCompare(t *testing.T) {
	for name, weaken := range map[string]func(s *stage){
		"barriers are not compared":            func(s *stage) { s.unfenced = true },
		"records are not compared":             func(s *stage) { s.lenient = true },
		"a purge takes the last barrier along": func(s *stage) { s.purgesAll = true },
	} {
		found := ""
		for seed := uint64(0); seed < plays && found == ""; seed++ {
			s := newStage()
			weaken(s)
			s.play(seed)
			found = s.complaint
		}
		if found == "" {
			t.Errorf("%s, and nothing was wrong in %d plays", name, plays)
		}
	}
}

// stage is three nodes and one shard's store, which may be weakened.
type stage struct {
	*world
	lives     []*life
	flying    []flight
	accepted  map[uint64]*life // whose records an epoch has
	newest    uint64           // the epoch of the latest record
	purged    uint64           // up to here
	complaint string           // the first

	unfenced, lenient, purgesAll bool
}

// life is one process of a node; dead ones' requests still arrive.
type life struct {
	actor
	number int
	dead   bool
}

// flight is a request on its way to the store.
type flight struct {
	of     *life
	c      command // a write of the document, or a barrier
	record bool    // instead
	token  uint64  // of it
}

func newStage() *stage {
	s := &stage{world: newWorld(), accepted: map[uint64]*life{}}
	for _, name := range []string{"a", "b", "c"} {
		s.lives = append(s.lives, &life{})
		s.begin(s.lives[len(s.lives)-1], name)
	}
	return s
}

// begin starts a node's next process, which claims.
func (s *stage) begin(l *life, name string) {
	l.number++
	l.m = machine{node: name, incarnation: 1}
	l.next = l.m.step(event{kind: start})
}

// play lets things happen until something is wrong. It depends on the seed alone.
func (s *stage) play(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	for range happenings {
		i := rng.IntN(len(s.lives))
		s.happen(s.lives[i], rng.IntN(20), rng.IntN(4), i)
		s.look()
		if s.complaint != "" {
			return
		}
	}
}

// happen is one happening to one node. The likely ones have several numbers.
func (s *stage) happen(l *life, what, which, i int) {
	busy := l.next.kind != done && l.next.kind != stop
	owns := l.m.phase == owning
	switch {
	case what <= 5 && busy: // performed and answered
		l.next = l.m.step(s.carry(l.next))
	case what == 6 && busy: // performed, and the answer is lost
		s.carry(l.next)
		l.next = l.m.step(event{kind: unknown})
	case what == 7 && busy: // the request arrives later, or never
		s.flying = append(s.flying, flight{of: l, c: l.next})
		l.next = l.m.step(event{kind: unknown})
	case what == 8 && busy && l.m.midway(): // the caller gave up, and comes back
		l.next = l.m.step(event{kind: unknown})
	case what <= 10 && owns:
		s.flying = append(s.flying, flight{of: l, record: true, token: l.m.token})
	case what == 11 && owns:
		to := s.lives[(i+1+which%2)%len(s.lives)].m.node
		l.next = l.m.step(event{kind: []eventKind{activate, refence, offer, fenced}[which], doc: Document{Owner: to}})
	case what == 12 && owns: // a purge below the barrier that it takes for the last
		s.purge(l.m.token)
	case what <= 15 && len(s.flying) > 0: // not what was sent first, first
		s.arrive(which % len(s.flying))
	case what <= 18 && what > 15 && (which == 0 || l.next.kind == stop): // a new process, after the old one died
		s.rebirth(i)
	case what == 19 && which == 0: // an operator's mistake
		s.doc, s.rev = Document{}, 0
	}
}

// rebirth replaces a node's process. The old one's requests still fly.
func (s *stage) rebirth(i int) {
	old := s.lives[i]
	old.dead = true
	next := &life{number: old.number}
	s.begin(next, old.m.node)
	s.lives[i] = next
}

// carry is the store's answer.
func (s *stage) carry(c command) event {
	if c.kind == publishBarrier && s.unfenced {
		c.previous = uint64(len(s.barriers)) * 10
	}
	if c.kind == readBarrier && s.gone() {
		return event{kind: noBarrier}
	}
	return s.apply(c)
}

// gone says that the log has lost its fence.
func (s *stage) gone() bool { return len(s.barriers) > 0 && s.purged >= seqOf(len(s.barriers)-1) }

func (s *stage) purge(below uint64) {
	if s.purgesAll {
		below++
	}
	s.purged = max(s.purged, below-1)
}

// arrive performs a request that was on its way.
func (s *stage) arrive(i int) {
	f := s.flying[i]
	s.flying = append(s.flying[:i], s.flying[i+1:]...)
	switch {
	case !f.record:
		if f.c.kind == writeDocument || f.c.kind == publishBarrier {
			s.carry(f.c)
		}
	case s.lenient || f.token == uint64(len(s.barriers))*10:
		s.accept(f)
	case !f.of.dead && f.of.m.phase == owning:
		f.of.next = f.of.m.step(event{kind: fenced})
	}
}

// accept is I3 for records: an epoch has one life's, and epochs come in order.
func (s *stage) accept(f flight) {
	epoch := s.epochOf(f.token)
	switch other := s.accepted[epoch]; {
	case other != nil && other != f.of:
		s.complain("epoch %d has records of %s's life %d and of %s's life %d", epoch, other.m.node, other.number, f.of.m.node, f.of.number)
	case epoch < s.newest:
		s.complain("a record of epoch %d follows one of epoch %d", epoch, s.newest)
	}
	s.accepted[epoch], s.newest = f.of, max(s.newest, epoch)
}

// epochOf returns the epoch that a token fences.
func (s *stage) epochOf(token uint64) uint64 { return s.barriers[token/10-1].Epoch }

// look is I3 for barriers: epochs only grow, each has one owner, and a log that
// ever had a fence has one.
func (s *stage) look() {
	for i := 1; i < len(s.barriers); i++ {
		b, before := s.barriers[i], s.barriers[i-1]
		if b.Epoch < before.Epoch || b.Epoch == before.Epoch && b.Owner != before.Owner {
			s.complain("barrier of %s, epoch %d, behind that of %s, epoch %d", b.Owner, b.Epoch, before.Owner, before.Epoch)
		}
	}
	if s.gone() {
		s.complain("a purge took the last barrier")
	}
}

// settle is progress: once every request is answered, each claim comes to an
// end, the last one wins, and who took itself for the owner before does not any
// more when it asks.
func (s *stage) settle() {
	for _, l := range s.lives {
		s.finish(l)
	}
	s.rebirth(0)
	s.finish(s.lives[0])
	if s.lives[0].m.phase != owning {
		s.complain("a claim that nobody disturbs ends with %v", s.lives[0].next.err)
	}
	for _, l := range s.lives[1:] {
		if l.m.phase == owning {
			l.next = l.m.step(event{kind: fenced}) // what a record of it would be told
			s.finish(l)
		}
		if l.m.phase == owning {
			s.complain("%s takes itself for the owner still", l.m.node)
		}
	}
	s.handOver()
	s.look()
}

// handOver has the owner offer the shard to the next node, which takes it with
// one barrier and no claim of its own.
func (s *stage) handOver() {
	from, epoch := s.lives[0], s.lives[0].m.doc.Epoch
	from.next = from.m.step(event{kind: offer, doc: Document{Owner: s.lives[1].m.node}})
	s.finish(from)
	s.rebirth(1)
	to := s.lives[1]
	writes := s.rev
	s.finish(to)
	if from.m.phase != owning || to.m.phase != owning || to.m.doc.Epoch <= epoch || s.rev != writes {
		s.complain("the hand-over ends with %v and %v, epoch %d after %d", from.m.phase, to.m.phase, to.m.doc.Epoch, epoch)
	}
	from.next = from.m.step(event{kind: fenced})
	s.finish(from)
	if !errors.Is(from.next.err, ErrHandedOver) {
		s.complain("after the hand-over the owner before ends with %v", from.next.err)
	}
}

// finish performs what a node wants to its end.
func (s *stage) finish(l *life) {
	for range 50 {
		if l.next.kind == done || l.next.kind == stop {
			return
		}
		l.next = l.m.step(s.carry(l.next))
	}
	s.complain("%s comes to no end", l.m.node)
}

func (s *stage) complain(format string, args ...any) {
	if s.complaint == "" {
		s.complaint = fmt.Sprintf(format, args...)
	}
}
