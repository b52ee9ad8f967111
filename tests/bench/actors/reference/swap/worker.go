package swap

import "sync"

// worker runs the actors of two queues: one that only it touches, and one that
// anybody pushes to.
//
// No wake-up is lost: parked is set under the lock under which the shared
// queue was seen empty, and whoever pushes clears it and wakes.
type worker[E any] struct {
	system *System[E]
	id     int
	turn   Turn[E]
	local  queue[E]
	slots  [2]E // of the running actor
	wake   chan struct{}

	_      [64]byte // others write below, the worker alone above
	mu     sync.Mutex
	shared queue[E]
	parked bool
	closed bool
}

func (w *worker[E]) push(a *Actor[E]) {
	w.mu.Lock()
	w.shared.push(a)
	w.unlockAndWake()
}

func (w *worker[E]) close() {
	w.mu.Lock()
	w.closed = true
	w.unlockAndWake()
}

func (w *worker[E]) unlockAndWake() {
	parked := w.parked
	w.parked = false
	w.mu.Unlock()
	if parked {
		w.wake <- struct{}{}
	}
}

func (w *worker[E]) loop() {
	for {
		if a := w.local.pop(); a != nil {
			w.run(a)
			continue
		}
		if w.takeShared() || w.steal() {
			continue
		}
		w.mu.Lock()
		if w.shared.head == nil && w.closed {
			w.mu.Unlock()
			return
		}
		w.parked = w.shared.head == nil
		parked := w.parked
		w.mu.Unlock()
		if parked {
			<-w.wake
		}
	}
}

// takeShared makes all of the shared queue the worker's own.
func (w *worker[E]) takeShared() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shared.head == nil {
		return false
	}
	w.local, w.shared = w.shared, queue[E]{}
	return true
}

// steal takes one actor from another worker that has at least two: a single
// one is its owner's, which is being woken.
func (w *worker[E]) steal() bool {
	for i := 1; i < len(w.system.workers); i++ {
		victim := w.system.workers[(w.id+i)%len(w.system.workers)]
		victim.mu.Lock()
		var a *Actor[E]
		if victim.shared.n > 1 {
			a = victim.shared.pop()
		}
		victim.mu.Unlock()
		if a != nil {
			w.local.push(a)
			return true
		}
	}
	return false
}

// run gives an actor its turn and puts it back where its messages outlast it.
func (w *worker[E]) run(a *Actor[E]) {
	budget := int32(throughput)
	for {
		budget -= w.handleTaken(a, budget)
		if budget <= 0 {
			w.local.push(a)
			return
		}
		a.mu.Lock()
		if a.waiting == 0 {
			a.scheduled = false
			a.mu.Unlock()
			return
		}
		n := int32(a.used)
		w.slots = a.slots
		clear(a.slots[:])
		a.taken, a.at = a.head, 0
		a.head, a.tail, a.used, a.waiting = nil, nil, 0, 0
		a.mu.Unlock()
		for i := range w.slots[:n] {
			a.handler.Handle(&w.turn, &w.slots[i])
		}
		clear(w.slots[:])
		budget -= n
	}
}

// handleTaken handles up to budget of the messages that the turn took out of
// the mailbox.
func (w *worker[E]) handleTaken(a *Actor[E], budget int32) (handled int32) {
	for a.taken != nil && handled < budget {
		c := a.taken
		end := min(c.n, a.at+budget-handled)
		for i := a.at; i < end; i++ {
			a.handler.Handle(&w.turn, &c.messages[i])
		}
		clear(c.messages[a.at:end])
		handled += end - a.at
		a.at = end
		if end == c.n {
			a.taken, a.at = c.next, 0
			w.system.release(c)
		}
	}
	return handled
}
