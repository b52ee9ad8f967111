package actor

import (
	"context"
	"slices"
	"sync"
)

// Stepper runs the actors of a system one message at a time, in an order that
// its owner picks: the third way beside the pool and the crews, for tests. With
// the same picks the same messages have the same effects.
//
// It has no goroutine: actors run in Step and Run. An Ask, a sender that waits
// for room and the system's Stop step by themselves; functions of PipeTo are
// steps too. What other goroutines do, and timers outside of a synctest bubble,
// come when they come. Make one with NewStepper.
type Stepper struct {
	pick   func(n int) int
	pushed chan struct{} // capacity 1: something may have been pushed

	mu     sync.Mutex
	tasks  []standing
	halted bool
}

// standing is a task that waits, and the dispatcher that it waits at.
type standing struct {
	task
	row *row
}

// row is one dispatcher's part of a stepper.
type row struct {
	stepper *Stepper
	waiting int // the stepper's lock
}

// NewStepper makes a stepper. pick returns which of n actors that have work has
// its turn: 0 to n-1, in the order in which they came.
func NewStepper(pick func(n int) int) *Stepper {
	return &Stepper{pick: pick, pushed: make(chan struct{}, 1)}
}

// WithStepper lets one stepper run all dispatchers, whatever their kind. A
// stepper belongs to one system.
func WithStepper(s *Stepper) Option {
	return func(system *ActorSystem) { system.stepper = s }
}

// Step lets one actor handle one message, or begin or end. It is false when no
// actor has work.
func (s *Stepper) Step() bool {
	s.mu.Lock()
	n := len(s.tasks)
	if n == 0 {
		s.mu.Unlock()
		return false
	}
	i := s.pick(n)
	next := s.tasks[i]
	s.tasks = slices.Delete(s.tasks, i, i+1)
	next.row.waiting--
	s.mu.Unlock()
	w := &worker{most: 1}
	defer w.flush()
	if next.turn(w) && !next.row.push(next.task) {
		next.abandon()
	}
	return true
}

// Pushed is readable when an actor may have work that had none before: a timer
// has fired, another goroutine has sent something.
func (s *Stepper) Pushed() <-chan struct{} { return s.pushed }

// push implements queue.
func (r *row) push(t task) bool {
	s := r.stepper
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted {
		return false
	}
	s.tasks = append(s.tasks, standing{t, r})
	r.waiting++
	select {
	case s.pushed <- struct{}{}:
	default:
	}
	return true
}

// depth implements queue.
func (r *row) depth() int {
	r.stepper.mu.Lock()
	defer r.stepper.mu.Unlock()
	return r.waiting
}

// halt implements queue: what waits is abandoned.
func (r *row) halt() {
	s := r.stepper
	s.mu.Lock()
	s.halted = true
	left := s.tasks
	s.tasks = nil
	s.mu.Unlock()
	for _, t := range left {
		t.abandon()
	}
}

// wait implements queue. There is nobody to wait for.
func (r *row) wait() {}

// run starts a function of PipeTo: as a step, or in a goroutine where nothing
// is stepped. One whose step never comes is run all the same, since somebody
// waits for its end; its context is over by then.
func (s *Stepper) run(f func()) {
	if s == nil || !(&row{stepper: s}).push(&errand{run: f, lost: f}) {
		go f()
	}
}

// stepUntil steps until ch is readable or ctx ends, for a goroutine that is
// about to wait for ch: without it nobody would bring what it waits for.
func stepUntil[T any](ctx context.Context, s *Stepper, ch chan T) {
	if s == nil {
		return
	}
	for len(ch) == 0 && ctx.Err() == nil {
		if s.Step() {
			continue
		}
		select {
		case <-s.pushed:
		case v := <-ch:
			ch <- v // its one place is free: nobody sends twice
		case <-ctx.Done():
		}
	}
}

// drain steps until closed is.
func (s *Stepper) drain(ctx context.Context, closed <-chan struct{}) {
	for {
		for ctx.Err() == nil && s.Step() {
			continue
		}
		select {
		case <-s.pushed:
		case <-closed:
			return
		case <-ctx.Done():
			return
		}
	}
}
