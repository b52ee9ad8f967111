// Package swap is the least that schedules actors: what a runtime can reach on
// a machine. A mailbox is a list of chunks under a short lock; a worker takes
// all of it at once and handles it without the lock. An actor that has
// messages stands in the queue of one worker, once.
//
// There is no registry, supervision, stopping, lane or metric, and the order
// between actors is only roughly fair: a full runtime is compared with this,
// and nothing is built on it.
package swap

import (
	"sync"
)

// chunkSize makes a chunk of messages of a pointer or two some hundred bytes.
const chunkSize = 15

type chunk[E any] struct {
	next     *chunk[E]
	n        int32
	messages [chunkSize]E
}

// Handler is what an actor does with a message.
type Handler[E any] interface {
	Handle(t *Turn[E], e *E)
}

// Turn is the worker that runs an actor, for what the actor sends.
type Turn[E any] struct {
	worker *worker[E] // nil when a caller runs the actor
}

// Actor is a handler and its mailbox.
type Actor[E any] struct {
	system  *System[E]
	handler Handler[E]
	home    int32 // the worker in whose queue it stands
	limit   int32 // of messages that no turn has taken; 0 is none

	mu         sync.Mutex
	scheduled  bool
	used       uint8 // of slots
	waiting    int32 // messages that no turn has taken
	head, tail *chunk[E]
	slots      [2]E // first to fill: an idle actor holds no chunk

	next  *Actor[E] // in a queue
	taken *chunk[E] // the running turn's rest, with the place in it
	at    int32
}

// Tell enqueues e, or is false when the mailbox is full.
func (a *Actor[E]) Tell(e E) bool {
	a.mu.Lock()
	if a.limit > 0 && a.waiting >= a.limit {
		a.mu.Unlock()
		return false
	}
	a.putLocked(e)
	first := a.scheduleLocked()
	a.mu.Unlock()
	if first {
		a.system.workers[a.home].push(a)
	}
	return true
}

// TellBatch enqueues all of es; the mailbox's limit is not for batches.
func (a *Actor[E]) TellBatch(es []E) {
	a.mu.Lock()
	for i := range es {
		a.putLocked(es[i])
	}
	first := a.scheduleLocked()
	a.mu.Unlock()
	if first {
		a.system.workers[a.home].push(a)
	}
}

// Tell enqueues e from within a turn: an actor that has to be scheduled is so
// by the same worker, without a lock, as long as few wait there.
func (t *Turn[E]) Tell(a *Actor[E], e E) {
	a.mu.Lock()
	a.putLocked(e)
	first := a.scheduleLocked()
	a.mu.Unlock()
	switch {
	case !first:
	case t.worker != nil && t.worker.local.n < maxLocal:
		t.worker.local.push(a)
	default:
		a.system.workers[a.home].push(a)
	}
}

// RunInline has an idle actor handle e in the caller's goroutine. It is false
// when the actor is not idle; e is then nowhere.
func (a *Actor[E]) RunInline(t *Turn[E], e *E) bool {
	a.mu.Lock()
	if a.scheduled {
		a.mu.Unlock()
		return false
	}
	a.scheduled = true
	a.mu.Unlock()
	a.handler.Handle(t, e)
	a.mu.Lock()
	a.scheduled = a.waiting > 0
	again := a.scheduled
	a.mu.Unlock()
	if again {
		a.system.workers[a.home].push(a)
	}
	return true
}

func (a *Actor[E]) putLocked(e E) {
	a.waiting++
	switch {
	case a.head == nil && int(a.used) < len(a.slots):
		a.slots[a.used] = e
		a.used++
		return
	case a.head == nil:
		a.head = a.system.chunk()
		a.tail = a.head
	case a.tail.n == chunkSize:
		a.tail.next = a.system.chunk()
		a.tail = a.tail.next
	}
	a.tail.messages[a.tail.n] = e
	a.tail.n++
}

// scheduleLocked is true for whoever has to put the actor into a queue.
func (a *Actor[E]) scheduleLocked() bool {
	first := !a.scheduled && a.waiting > 0
	a.scheduled = a.scheduled || first
	return first
}
