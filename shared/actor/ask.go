package actor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
)

// Reply is the way back to an asker. It travels in the message, may be handed
// on to another actor and is used once. The zero Reply goes to nobody.
type Reply[R any] struct {
	pending *pending[R]
	serial  uint32
}

// How far a question is, in the low bits of pending.state; the others count
// the questions that the pending has served, so that an answer to an earlier
// one is not taken for this one's.
const (
	waiting   uint32 = 1 + iota // for an outcome by the channel
	inline                      // the asker runs the actor and looks at state
	answering                   // inline: somebody writes the answer
	answered                    // inline: it is there
	sent                        // the outcome comes by the channel
	over                        // nobody waits
	stateBits = 3
)

// pending is one question. Whoever moves state away from waiting or inline
// decides its outcome. It is used again for other questions to actors of its
// kind.
type pending[R any] struct {
	question
	answer R
	err    error
	signal chan struct{} // capacity 1: the answer never blocks its sender
	stats  *stats
	events *Events
}

// Send answers, and reports whether the asker took the answer: it may have
// given up, or have been answered before. Such an answer is counted as a dead
// letter of the actor that was asked.
func (r Reply[R]) Send(answer R) bool {
	p := r.pending
	if p == nil {
		return false
	}
	if !p.settle(r.serial, answer, nil) {
		p.late(answer)
		return false
	}
	return true
}

// late reports an answer that nobody waited for.
func (p *pending[R]) late(answer R) {
	p.stats.dead(dropLateReply, 1)
	if p.events.heard() {
		p.events.publish(DeadLetter{Type: p.stats.typ, Message: answer, Reason: dropLateReply.String()})
	}
}

// settle decides the outcome of one question; false when it was decided.
func (p *pending[R]) settle(serial uint32, answer R, err error) bool {
	base := serial << stateBits
	for {
		switch p.state.Load() {
		case base | inline:
			if p.state.CompareAndSwap(base|inline, base|answering) {
				p.answer, p.err = answer, err
				p.state.Store(base | answered)
				return true
			}
		case base | waiting:
			if p.state.CompareAndSwap(base|waiting, base|sent) {
				p.answer, p.err = answer, err
				p.signal <- struct{}{}
				return true
			}
		default:
			return false
		}
	}
}

// question is a pending of any type.
type question struct {
	state   atomic.Uint32
	serial  uint32
	abandon func(serial uint32, err error) // made once a pending
	context any                            // *ContextOf of a turn that the asker runs
	find    context.Context                // of the search for a virtual actor
}

// search is the context in which the actor of a message is looked for, also
// where the message is no question.
func (q *question) search() context.Context {
	if q == nil || q.find == nil {
		return context.Background()
	}
	return q.find
}

// asked is a question as its actor accepted it. The pending may have served
// others since.
type asked struct {
	question *question
	serial   uint32
}

// open reports whether the question still waits.
func (q asked) open() bool {
	how := q.question.state.Load()
	return how == q.serial<<stateBits|waiting
}

// questions are those that an actor accepted, and some that are over: they are
// removed when the list would grow, so that an answer needs no look at it.
type questions []asked

func (l *questions) add(q *question) {
	if len(*l) == cap(*l) {
		*l = slices.DeleteFunc(*l, func(q asked) bool { return !q.open() })
		if len(*l) > cap(*l)/2 { // it would be full again too soon
			*l = slices.Grow(*l, cap(*l))
		}
	}
	*l = append(*l, asked{q, q.serial})
}

// Ask sends the message that build makes around a Reply and waits for the
// answer. It ends with ctx, with ErrStopped when the actor stops before an
// answer came, or with what Tell refuses with. The question waits in the
// mailbox like any other message; an idle actor whose props say WithCallerRuns
// handles it at once in the asker's goroutine, and when that makes it fail the
// error is the failure. A question that made an actor fail in its own turn, and
// be restarted, is not answered.
//
// An actor that asks holds one of its dispatcher's workers meanwhile. It passes
// its ContextOf.Context, so that a circle of askers is refused with
// ErrReentrant where it can be seen; others end with their contexts. Members of
// groups neither ask nor are asked (ErrOutsideGroup).
func Ask[R, M any](ctx context.Context, to Ref[M], build func(Reply[R]) M) (R, error) {
	var none R
	if err := ctx.Err(); err != nil {
		return none, wrapAsk(to, err)
	}
	if to.cell == nil {
		return none, wrapAsk(to, ErrStopped)
	}
	a, err := to.cell.here(ctx)
	if err != nil {
		return none, wrapAsk(to, a.refuse(err, 1))
	}
	if a.kind.remote {
		answer, err := askAway(ctx, Ref[M]{a, to.lane}, build)
		return answer, wrapAsk(to, err)
	}
	calls, err := callsFor(ctx, a)
	if err != nil {
		return none, wrapAsk(to, a.refuse(err, 1))
	}
	p := newPending[R](a)
	if a.roams() {
		p.find = located(ctx)
	}
	base := p.serial << stateBits
	p.state.Store(base | waiting)
	msg := build(Reply[R]{p, p.serial})
	if a.kind.callerRuns && calls.depth() < maxInlineDepth && a.claim() {
		p.state.CompareAndSwap(base|waiting, base|inline) // unless build handed the Reply on
		failure := a.callerRun(contextOf(a.kind, &p.question), calls, msg)
		if p.inlineDone() {
			v, err := p.answer, p.err
			free(a.kind, p)
			return v, wrapAsk(to, err)
		}
		if failure != nil {
			p.abandon(p.serial, failure)
		} else {
			a.list(&p.question)
		}
	} else if err := a.ask(ctx, to.lane, msg, &p.question); err != nil {
		p.close()
		free(a.kind, p)
		return none, wrapAsk(to, err)
	}
	stepUntil(ctx, a.kind.system.stepper, p.signal)
	v, err := p.wait(ctx)
	free(a.kind, p)
	return v, wrapAsk(to, err)
}

// ask enqueues a question. One that finds no room waits or is refused; it is
// never dropped, since its asker is there to be told.
func (a *cell[M]) ask(ctx context.Context, lane Lane, msg M, q *question) error {
	if a.kind.overflow == Block {
		if q.find != nil {
			ctx = q.find
		}
		return a.tellWait(ctx, lane, msg, q)
	}
	return a.tell(nil, lane, msg, q)
}

func wrapAsk[M any](to Ref[M], err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("actor: ask %s: %w", to, err)
}

func newPending[R, M any](a *cell[M]) *pending[R] {
	if p, ok := a.kind.questions.Get().(*pending[R]); ok {
		p.serial++
		p.serial &= 1<<(32-stateBits) - 1
		return p
	}
	p := &pending[R]{signal: make(chan struct{}, 1), stats: a.kind.stats, events: a.kind.system.Events()}
	p.abandon = func(serial uint32, err error) {
		var none R
		p.settle(serial, none, err)
	}
	return p
}

// free lets the pending serve another question.
func free[R, M any](k *kind[M], p *pending[R]) {
	var none R
	p.answer, p.err, p.find = none, nil, nil
	k.questions.Put(p)
}

// close ends a question that was never asked.
func (p *pending[R]) close() {
	base := p.serial << stateBits
	if !p.state.CompareAndSwap(base|waiting, base|over) {
		<-p.signal // a Reply that build handed on was used
	}
}

// inlineDone is called after the actor ran in this goroutine: whether the
// answer is there. If not, it comes by the channel.
func (p *pending[R]) inlineDone() bool {
	base := p.serial << stateBits
	for {
		switch p.state.Load() {
		case base | answered:
			return true
		case base | answering:
			runtime.Gosched() // another goroutine writes the answer this very moment
		case base | inline:
			if p.state.CompareAndSwap(base|inline, base|waiting) {
				return false
			}
		default:
			return false
		}
	}
}

// wait parks the asker until its outcome is decided. A worker that was woken
// for the question is the next to run here, so that to let it go first often
// spares the way into the channels and out of them.
func (p *pending[R]) wait(ctx context.Context) (v R, err error) {
	runtime.Gosched()
	select {
	case <-p.signal:
		return p.answer, p.err
	default:
	}
	done := ctx.Done()
	if done == nil {
		<-p.signal
		return p.answer, p.err
	}
	select {
	case <-p.signal:
		return p.answer, p.err
	case <-done:
	}
	base := p.serial << stateBits
	if p.state.CompareAndSwap(base|waiting, base|over) {
		return v, ctx.Err()
	}
	<-p.signal // it came at the same moment
	return p.answer, p.err
}

// list enters a question that waits for an answer although its message was
// handled.
func (a *cell[M]) list(q *question) {
	a.mu.Lock()
	if a.status != dead {
		a.coldLocked().questions.add(q)
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	q.abandon(q.serial, ErrStopped)
}

var errReplyTold = errors.New("a Reply points at its asker: only Ask takes it to another node")

// MarshalCBOR implements cbor.Marshaler: a Reply travels as null, and only when
// it goes to nobody. Ask has the other node make a new one.
func (r Reply[R]) MarshalCBOR() ([]byte, error) {
	if r.pending != nil {
		return nil, errReplyTold
	}
	return []byte{0xf6}, nil
}

// UnmarshalCBOR implements cbor.Unmarshaler: what arrives goes to nobody.
func (r *Reply[R]) UnmarshalCBOR([]byte) error {
	*r = Reply[R]{}
	return nil
}
