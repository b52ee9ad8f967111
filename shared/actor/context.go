package actor

import (
	"sync/atomic"

	"github.com/atrium-iot/atrium/shared/actor/mailbox"
)

// ContextOf is what a receiver knows about the message in hand and about
// itself. It is valid until Receive returns and must not be kept.
type ContextOf[M any] struct {
	cell    *cell[M]
	worker  *worker // nil in a group and when a caller runs the turn
	current *M      // into the batch; nil in hooks
	batch   mailbox.Batch[M]
	handled atomic.Int32 // of the batch, for senders that look for room
	index   int32        // of the batch: handled, the ones put aside included
	kept    int32        // of these: put aside
	turned  int32        // messages of the turn's batches before it
	budget  int32        // messages that the turn may still handle
	since   int64        // when the actor was queued, if that is sampled
	outer   *calls       // who waits for this turn in its goroutine
	chain   *calls       // outer and this actor; nil until asked for
	alone   M            // the message of a turn that a caller runs
	at      int          // the message in hand, within the batch's part
	stashed bool         // the message in hand was put aside
	unstash bool         // what was put aside comes next
	final   bool         // in the last call of a receiver
	ended   bool         // the actor has ended in this turn
}

// Context is the context of an untyped receiver.
type Context = ContextOf[any]

// Message returns the message in hand, and M's zero value in Started and
// Stopped.
func (c *ContextOf[M]) Message() M {
	if c.current == nil {
		var zero M
		return zero
	}
	return *c.current
}

// Self returns a reference to the actor itself.
func (c *ContextOf[M]) Self() Ref[M] { return Ref[M]{cell: c.cell} }

// PID names the actor itself.
func (c *ContextOf[M]) PID() PID { return c.cell.pid() }

// Stop ends the actor once it has handled the messages accepted before this
// call, the one in hand included.
func (c *ContextOf[M]) Stop() { c.cell.stop() }

func (c *ContextOf[M]) group() *Group { return c.cell.kind.group }

func (c *ContextOf[M]) runner() *worker { return c.worker }

// contextFor makes the context of a turn. A worker keeps the last one it used:
// the next actor is often of the same type.
func (a *cell[M]) contextFor(w *worker) *ContextOf[M] {
	c, ok := w.context.(*ContextOf[M])
	if ok {
		w.context = nil
	} else {
		c = a.kind.newContext()
	}
	c.cell, c.worker = a, w
	c.since, a.since = a.since, 0
	c.budget = min(a.kind.dispatcher.throughput, w.most)
	return c
}

func (k *kind[M]) newContext() *ContextOf[M] {
	if c, ok := k.contexts.Get().(*ContextOf[M]); ok {
		return c
	}
	return new(ContextOf[M])
}

// release gives the context of a turn back.
func (k *kind[M]) release(w *worker, c *ContextOf[M]) {
	c.cell, c.worker = nil, nil
	c.reset()
	if w != nil && w.context == nil {
		w.context = c
		return
	}
	k.contexts.Put(c)
}

// reset forgets a turn, which may have ended anyhow.
func (c *ContextOf[M]) reset() {
	c.current = nil
	c.index, c.kept, c.turned = 0, 0, 0
	c.stashed, c.unstash, c.ended = false, false, false
	c.endCalls() // of a hook
	c.clearHandled()
}

// clearHandled tells senders that the batch was settled.
func (c *ContextOf[M]) clearHandled() {
	if c.handled.Load() != 0 {
		c.handled.Store(0)
	}
}

// count takes the account of one message and reports whether it was put aside,
// which ends the batch. After the last one of a batch senders need not be told:
// it is settled next.
func (c *ContextOf[M]) count(last bool) (aside bool) {
	c.index++
	if c.chain != nil {
		c.endCalls()
	}
	if c.stashed {
		c.stashed = false
		c.kept++
		return true
	}
	if !last {
		c.handled.Store(c.index - c.kept)
	}
	return false
}

// endCalls makes the contexts that were given out harmless.
func (c *ContextOf[M]) endCalls() {
	if c.chain != nil {
		c.chain.over.Store(true)
		c.chain = nil
	}
}

// giveUp ends the batch after the message in hand, which did not return.
func (c *ContextOf[M]) giveUp() {
	if c.current == nil {
		return
	}
	var zero M
	*c.current = zero
	c.current = nil
	if c.worker == nil { // a caller's message is in no batch
		c.countAlone()
		return
	}
	c.count(true)
	c.batch.Keep(c.at + 1)
}

// countAlone takes the account of a message that a caller brought: one that was
// put aside needs room in the mailbox from now on.
func (c *ContextOf[M]) countAlone() {
	c.endCalls()
	if !c.stashed {
		c.turned++
		return
	}
	c.stashed = false
	c.cell.mu.Lock()
	c.cell.setAsideLocked(1)
	c.cell.mu.Unlock()
}

// tally adds the turn to its kind's account.
func (c *ContextOf[M]) tally() {
	if n := c.turned; n > 0 {
		c.turned = 0
		c.worker.tally(c.cell.kind.stats, n)
	}
}
