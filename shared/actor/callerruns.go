package actor

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// ErrReentrant: an actor asks itself, or one that waits for it in the same
// goroutine. The question could never be answered.
var ErrReentrant = errors.New("actor: asks an actor that waits for it")

// maxInlineDepth is how many actors deep a chain of caller-runs questions may
// be on one goroutine's stack; a deeper question waits in the mailbox. A
// Receive uses well below a kilobyte, a stack may grow to a gigabyte, and a
// chain of requests over more than 16 actors is a loop in disguise.
const maxInlineDepth = 16

// calls is the chain of actors that wait for each other on one goroutine. It
// is the context.Context that ContextOf.Context returns.
type calls struct {
	running any // *cell[M]
	outer   *calls
	deep    int
	over    atomic.Bool // the message in hand was handled: nobody waits any more
}

// callsKey finds the chain in a context derived from one.
type callsKey struct{}

// Context returns a context for what the receiver calls before it returns, Ask
// above all: it knows which actors wait in this goroutine. It is never done.
func (c *ContextOf[M]) Context() context.Context {
	if c.chain == nil {
		c.chain = &calls{running: c.cell, outer: c.outer, deep: c.outer.depth() + 1}
	}
	return c.chain
}

func (l *calls) depth() int {
	if l == nil {
		return 0
	}
	return l.deep
}

// Deadline implements context.Context.
func (l *calls) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }

// Done implements context.Context.
func (l *calls) Done() <-chan struct{} { return nil }

// Err implements context.Context.
func (l *calls) Err() error { return nil }

// Value implements context.Context.
func (l *calls) Value(key any) any {
	if _, ok := key.(callsKey); ok {
		return l
	}
	return nil
}

// callsFor returns the chain that ctx carries, or ErrReentrant when a is on it.
func callsFor[M any](ctx context.Context, a *cell[M]) (*calls, error) {
	chain, ok := ctx.(*calls)
	if !ok {
		if chain, ok = ctx.Value(callsKey{}).(*calls); !ok {
			return nil, nil
		}
	}
	for l := chain; l != nil; l = l.outer {
		if l.running == any(a) && !l.over.Load() {
			return nil, ErrReentrant
		}
	}
	return chain, nil
}

// claim takes the turn of an idle actor for the calling goroutine.
func (a *cell[M]) claim() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gate != 0 || a.status != idle || !a.started || !a.box.Empty() {
		return false
	}
	a.status = scheduled
	return true
}

// contextOf returns the context for a turn that the asker of q runs. It stays
// with q: an asker makes both its own with one look into a pool.
func contextOf[M any](k *kind[M], q *question) *ContextOf[M] {
	c, ok := q.context.(*ContextOf[M])
	if !ok {
		c = k.newContext()
		q.context = c
	}
	return c
}

// callerRun handles one message in the goroutine that asks, and gives the turn
// back: to the dispatcher when messages came meanwhile. It returns the reason
// when the message made the actor fail.
func (a *cell[M]) callerRun(c *ContextOf[M], outer *calls, msg M) (failure error) {
	c.cell, c.outer = a, outer
	returned := false
	defer func() {
		if !returned {
			var again bool
			if failure, again = a.failed(c, recover()); again {
				a.requeue()
			}
			c.reset()
		}
		c.cell, c.outer = nil, nil
	}()
	c.alone = msg
	c.current = &c.alone
	a.receiver.Receive(c)
	c.current = nil
	var zero M
	c.alone = zero
	failure, again := a.rest(c)
	returned = true
	if again {
		a.requeue()
	}
	return failure
}

// rest ends the turn of a caller, and reports whether there is work for the
// dispatcher.
func (a *cell[M]) rest(c *ContextOf[M]) (failure error, again bool) {
	c.countAlone()
	a.mu.Lock()
	if c.unstash || a.attention.Load() != 0 {
		a.settleLocked(c)
		a.ctx = nil
	}
	again = a.gate != 0 || !a.box.Empty() || a.cold.due()
	if a.cold != nil && a.cold.family != nil {
		failure = a.cold.family.failure
	}
	if !again {
		a.status = idle
	}
	a.mu.Unlock()
	c.tally()
	return failure, again
}

// requeue gives a claimed actor to its dispatcher.
func (a *cell[M]) requeue() {
	if !a.kind.dispatcher.push(nil, a, a.home) {
		a.abandon()
	}
}
