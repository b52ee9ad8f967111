package swap

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// throughput is how many messages an actor handles before the next has its
// turn.
const throughput = 100

// maxLocal is how many actors a worker keeps for itself before what its actors
// schedule goes where others can steal it.
const maxLocal = 64

// System is a set of workers, one for each core that the process may use.
type System[E any] struct {
	workers []*worker[E]
	chunks  sync.Pool
	spawned atomic.Int32
	running sync.WaitGroup
}

// New starts the workers.
func New[E any]() *System[E] {
	s := &System[E]{}
	s.chunks.New = func() any { return new(chunk[E]) }
	for i := range runtime.GOMAXPROCS(0) {
		w := &worker[E]{id: i, system: s, wake: make(chan struct{}, 1)}
		w.turn.worker = w
		s.workers = append(s.workers, w)
	}
	for _, w := range s.workers {
		s.running.Go(w.loop)
	}
	return s
}

// Close ends the workers once they have nothing to do.
func (s *System[E]) Close() {
	for _, w := range s.workers {
		w.close()
	}
	s.running.Wait()
}

// Spawn makes an actor whose mailbox refuses beyond limit; 0 is no limit.
func (s *System[E]) Spawn(h Handler[E], limit int) *Actor[E] {
	home := s.spawned.Add(1) % int32(len(s.workers))
	return &Actor[E]{system: s, handler: h, home: home, limit: int32(limit)}
}

func (s *System[E]) chunk() *chunk[E] { return s.chunks.Get().(*chunk[E]) }

func (s *System[E]) release(c *chunk[E]) {
	c.next, c.n = nil, 0
	s.chunks.Put(c)
}

// queue is a list of actors. Its zero value is empty.
type queue[E any] struct {
	head, tail *Actor[E]
	n          int
}

func (q *queue[E]) push(a *Actor[E]) {
	if q.tail == nil {
		q.head = a
	} else {
		q.tail.next = a
	}
	q.tail = a
	q.n++
}

func (q *queue[E]) pop() *Actor[E] {
	a := q.head
	if a == nil {
		return nil
	}
	q.head, a.next = a.next, nil
	if q.head == nil {
		q.tail = nil
	}
	q.n--
	return a
}
