package actor

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Reply is the way back to an asker. It travels in the message, may be handed
// on to another actor and is used once. The zero Reply goes to nobody.
type Reply[R any] struct {
	pending *pending[R]
}

// pending is one question. Whoever moves waiting away decides its outcome.
type pending[R any] struct {
	waiting atomic.Bool
	answer  chan R // capacity 1: the answer never blocks its sender
	stats   *stats
}

// Send answers, and reports whether the asker took the answer: it may have
// given up, or have been answered before. Such an answer is counted as a dead
// letter of the actor that was asked.
func (r Reply[R]) Send(answer R) bool {
	p := r.pending
	if p == nil {
		return false
	}
	if !p.waiting.CompareAndSwap(true, false) {
		p.stats.dead(dropLateReply, 1)
		return false
	}
	p.answer <- answer
	return true
}

// Ask sends the message that build makes around a Reply and waits for the
// answer. It ends with ctx, with ErrStopped when the actor stops before an
// answer came, or with what Tell refuses with. The question waits in the
// mailbox like any other message.
//
// An actor that asks holds one of its dispatcher's workers meanwhile; a circle
// of askers ends only with their contexts. Members of groups neither ask nor
// are asked (ErrOutsideGroup).
func Ask[R, M any](ctx context.Context, to Ref[M], build func(Reply[R]) M) (R, error) {
	var none R
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("actor: ask %s: %w", to, err)
	}
	if to.actor == nil {
		return none, fmt.Errorf("actor: ask %s: %w", to, ErrStopped)
	}
	p := &pending[R]{answer: make(chan R, 1), stats: to.actor.kind.stats}
	p.waiting.Store(true)
	if err := to.Tell(build(Reply[R]{p})); err != nil {
		p.waiting.Store(false) // build may have handed the Reply on
		return none, fmt.Errorf("actor: ask %s: %w", to, err)
	}
	var err error
	select {
	case v := <-p.answer:
		return v, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-to.Stopped():
		err = ErrStopped
	}
	if !p.waiting.CompareAndSwap(true, false) {
		return <-p.answer, nil // it came at the same moment
	}
	return none, fmt.Errorf("actor: ask %s: %w", to, err)
}
