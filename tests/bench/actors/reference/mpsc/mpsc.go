// Package mpsc schedules actors whose mailboxes are linked lists without a
// lock, after Dmitry Vyukov's non-intrusive multi-producer single-consumer
// queue (1024cores.net): the usual choice of actor runtimes, as far as it can
// be driven. One queue of actors that have messages is shared by all workers.
//
// Mailboxes have no bound, and there is nothing around them: a full runtime is
// compared with this, and nothing is built on it.
package mpsc

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// throughput is how many messages an actor handles before the next has its
// turn.
const throughput = 100

// slabSize is how many nodes are allocated at once.
const slabSize = 64

// Handler is what an actor does with a message.
type Handler[E any] interface {
	Handle(e *E)
}

type node[E any] struct {
	next    atomic.Pointer[node[E]]
	message E
}

// Actor is a handler and its mailbox. The mailbox begins with a node that is
// spent; a sender puts its own at the tail and then links it, so that for a
// moment the list may seem to end early.
type Actor[E any] struct {
	system    *System[E]
	handler   Handler[E]
	tail      atomic.Pointer[node[E]]
	head      *node[E] // the running turn's
	scheduled atomic.Bool
	next      *Actor[E] // in the queue
}

// System is the queue and its workers.
type System[E any] struct {
	slabs   sync.Pool
	running sync.WaitGroup

	mu         sync.Mutex
	ready      *sync.Cond
	head, tail *Actor[E]
	parked     int
	closed     bool
}

// New starts a worker for each core that the process may use.
func New[E any]() *System[E] {
	s := &System[E]{}
	s.ready = sync.NewCond(&s.mu)
	s.slabs.New = func() any { return new([]node[E]) }
	for range runtime.GOMAXPROCS(0) {
		s.running.Go(s.work)
	}
	return s
}

// Close ends the workers once they have nothing to do.
func (s *System[E]) Close() {
	s.mu.Lock()
	s.closed = true
	s.ready.Broadcast()
	s.mu.Unlock()
	s.running.Wait()
}

// Spawn makes an actor.
func (s *System[E]) Spawn(h Handler[E]) *Actor[E] {
	a := &Actor[E]{system: s, handler: h, head: &node[E]{}}
	a.tail.Store(a.head)
	return a
}

// Tell enqueues e.
func (a *Actor[E]) Tell(e E) {
	n := a.system.node()
	n.message = e
	a.tail.Swap(n).next.Store(n)
	if !a.scheduled.Load() && a.scheduled.CompareAndSwap(false, true) {
		a.system.push(a)
	}
}

// node cuts a node from a slab. Nodes are not used again: a sender may still
// hold the one that the actor has spent.
func (s *System[E]) node() *node[E] {
	slab := s.slabs.Get().(*[]node[E])
	if len(*slab) == 0 {
		*slab = make([]node[E], slabSize)
	}
	n := &(*slab)[0]
	*slab = (*slab)[1:]
	s.slabs.Put(slab)
	return n
}

func (s *System[E]) push(a *Actor[E]) {
	s.mu.Lock()
	if s.tail == nil {
		s.head = a
	} else {
		s.tail.next = a
	}
	s.tail = a
	if s.parked > 0 {
		s.ready.Signal()
	}
	s.mu.Unlock()
}

func (s *System[E]) work() {
	for {
		s.mu.Lock()
		for s.head == nil && !s.closed {
			s.parked++
			s.ready.Wait()
			s.parked--
		}
		a := s.head
		if a == nil {
			s.mu.Unlock()
			return
		}
		s.head, a.next = a.next, nil
		if s.head == nil {
			s.tail = nil
		}
		s.mu.Unlock()
		if a.turn() {
			s.push(a)
		}
	}
}

// turn reports whether the actor wants another one.
func (a *Actor[E]) turn() bool {
	for handled := 0; handled < throughput; {
		head := a.head
		n := head.next.Load()
		if n == nil {
			// A sender that linked its node before it saw the flag fall does
			// not schedule: look again. The actor is another worker's as soon
			// as the flag has fallen.
			a.scheduled.Store(false)
			if head.next.Load() == nil || !a.scheduled.CompareAndSwap(false, true) {
				return false
			}
			continue
		}
		a.head = n
		a.handler.Handle(&n.message)
		n.message = *new(E) // the node outlives the message
		handled++
	}
	return true
}
