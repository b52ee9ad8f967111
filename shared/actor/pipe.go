package actor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// maxPipes bounds the functions of PipeTo that run at once in a system, each a
// goroutine with what it waits for: an answer of a database, a file, a device.
// More than so many means that they come faster than they end.
const maxPipes = 10_000

// ErrPipesFull: 10,000 functions of PipeTo are under way.
var ErrPipesFull = errors.New("actor: too many functions under way")

// PipeTo runs a function that may take long in a goroutine of its own, and
// tells its result to an actor, waiting while that has no room. The function's
// context ends with the actor, if it is of this node, and with the system's
// Stop, which waits for the function; a result that finds its actor stopped is refused and counted, as
// Tell's. A panic is counted and logged, and brings no result.
//
// It is refused with ErrPipesFull while 10,000 are under way, and with
// ErrOutsideGroup for the member of a group.
func PipeTo[M any](to Ref[M], run func(context.Context) M) error {
	if to.cell == nil {
		return ErrStopped
	}
	a := to.cell
	return a.pipe(to.lane, run, func(panicked any) { a.panickedOutside("PipeTo", panicked) })
}

// PipeTo runs a function as the function PipeTo does, for the actor itself. A
// panic makes the actor fail, since the result that it waits for does not come.
func (c *ContextOf[M]) PipeTo(run func(context.Context) M) error {
	a := c.cell
	return a.pipe(Normal, run, func(panicked any) { a.failLater(a.panicError(panicked)) })
}

func (a *cell[M]) pipe(lane Lane, run func(context.Context) M, fault func(panicked any)) error {
	if a.member() {
		return ErrOutsideGroup
	}
	pipes := &a.kind.system.pipes
	ctx, p, err := pipes.begin()
	if err != nil {
		return a.refuse(err, 1)
	}
	_, ended := a.watch(watcher{gone: p.over.Load, notify: func(Terminated) { p.cancel() }})
	if ended {
		pipes.end(p)
		return a.refuse(ErrStopped, 1)
	}
	a.kind.system.stepper.run(func() {
		returned := false
		defer func() {
			if !returned {
				fault(recover())
			}
			pipes.end(p)
		}()
		msg := run(ctx)
		returned = true
		_ = a.tellWait(ctx, lane, msg, nil) // a refusal is counted there
	})
	return nil
}

// failLater makes the actor fail before its next message.
func (a *cell[M]) failLater(reason error) {
	a.post(func() {
		if f := a.kin(); f.failure == nil {
			f.failure = reason
		}
	})
}

// pipes are the functions of PipeTo that are under way in a system.
type pipes struct {
	mu     sync.Mutex
	all    map[*pipe]struct{}
	closed bool
	quiet  chan struct{} // closed when closed and none is left; made by close
}

// pipe is one function.
type pipe struct {
	cancel context.CancelFunc
	over   atomic.Bool
}

// begin enters a function and makes its context.
func (s *pipes) begin() (context.Context, *pipe, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, nil, ErrSystemStopped
	case len(s.all) >= maxPipes:
		return nil, nil, ErrPipesFull
	case s.all == nil:
		s.all = make(map[*pipe]struct{})
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &pipe{cancel: cancel}
	s.all[p] = struct{}{}
	return ctx, p, nil
}

func (s *pipes) end(p *pipe) {
	p.cancel()
	p.over.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, p)
	if s.closed && len(s.all) == 0 {
		close(s.quiet)
	}
}

// close ends the contexts of all functions and returns a channel that is closed
// when the functions have ended.
func (s *pipes) close() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.quiet
	}
	s.closed, s.quiet = true, make(chan struct{})
	if len(s.all) == 0 {
		close(s.quiet)
	}
	for p := range s.all {
		p.cancel()
	}
	return s.quiet
}

func (s *pipes) running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}
