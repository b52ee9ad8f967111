package actor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/actor/envelope"
)

// Receive takes a request from another node to the actors of this one and
// returns the answer for it: the transport calls it, and Exchange returns there
// what it returns here. The request is not kept. A question keeps it until the
// actor has answered, or the asker's patience or ctx has ended; how many
// requests are received at once is the transport's choice.
//
// A request that can't be parsed, came before, or names actors and encodings
// that are not here changes nothing: the answer says so and a counter counts it
// (I6).
func (e *Engine) Receive(ctx context.Context, request []byte) (answer []byte) {
	c := e.system.courier
	if c == nil {
		return envelope.AppendAnswer(nil, []envelope.Receipt{{Outcome: envelope.Closed, Text: "the system has no transport"}})
	}
	r, err := envelope.ParseRequest(request)
	if err != nil {
		c.counts.received(envelope.Malformed, 1)
		return envelope.AppendAnswer(nil, []envelope.Receipt{{Outcome: envelope.Malformed, Text: err.Error()}})
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.Patience)*time.Millisecond)
	defer cancel()
	l := c.inbox.line(r.Line)
	if r.Mode == envelope.Tell {
		if !l.enter(ctx) {
			return c.answerAll(r, envelope.Expired)
		}
		defer l.leave()
	}
	if !c.inbox.admit(l, r) {
		return c.answerAll(r, envelope.Repeated)
	}
	receipts := make([]envelope.Receipt, len(r.Messages))
	e.distribute(ctx, r, receipts)
	for _, receipt := range receipts {
		c.counts.received(receipt.Outcome, 1)
	}
	return envelope.AppendAnswer(nil, receipts)
}

// answerAll is the answer that stands for all messages of a request.
func (c *courier) answerAll(r *envelope.Request, with envelope.Outcome) []byte {
	c.counts.received(with, len(r.Messages))
	return envelope.AppendAnswer(nil, []envelope.Receipt{{Outcome: with}})
}

// distribute gives each run of messages to one actor at once. When an actor is
// not here for one message, it is not here for the later ones either: else
// these would overtake the first, should it come in between. It ends with the
// sender's patience: what is told later may come after what was told next.
func (e *Engine) distribute(ctx context.Context, r *envelope.Request, receipts []envelope.Receipt) {
	var gone map[string]bool
	for from, to := 0, 0; from < len(receipts); from = to {
		first := &r.Messages[from]
		for to = from + 1; to < len(receipts) && sameWay(first, &r.Messages[to]); to++ {
		}
		part := receipts[from:to]
		if r.Mode == envelope.Tell && ctx.Err() != nil {
			fill(part, envelope.Receipt{Outcome: envelope.Expired})
			continue
		}
		var a entry
		known := ctx
		if !gone[first.ID] {
			a, known = e.owned(ctx, first.ID)
		}
		if a == nil {
			if gone == nil {
				gone = make(map[string]bool)
			}
			gone[first.ID] = true
			fill(part, envelope.Receipt{Outcome: envelope.Stale})
			continue
		}
		e.arrive(known, a, r.Mode, r.Messages[from:to], part)
	}
}

// owned is find for a message from another node: this one does not activate an
// actor that belongs elsewhere. The context knows when that was asked.
func (e *Engine) owned(ctx context.Context, id string) (entry, context.Context) {
	a, ok := e.find(id)
	if !ok || a.resident() {
		return a, ctx
	}
	address, err := e.system.courier.whereabouts(ctx, id)
	if err != nil || address != e.system.address {
		return nil, ctx
	}
	return a, located(ctx)
}

func sameWay(a, b *envelope.Message) bool {
	return a.ID == b.ID && a.Type == b.Type && a.Lane == b.Lane
}

func fill(receipts []envelope.Receipt, with envelope.Receipt) {
	for i := range receipts {
		receipts[i] = with
	}
}

// arrive gives messages to their actor. The codec is the program's own, but
// what it is given is not: its panic refuses the messages and nothing else.
func (e *Engine) arrive(ctx context.Context, a entry, mode envelope.Mode, messages []envelope.Message, receipts []envelope.Receipt) {
	defer func() {
		if v := recover(); v != nil {
			e.system.log.Error("actor: codec panicked", "actor", a.ID(), "type", messages[0].Type, "panic", v, "stack", string(debug.Stack()))
			fill(receipts, envelope.Receipt{Outcome: envelope.BadBody, Text: "the codec panicked"})
		}
	}()
	a.arrive(ctx, mode, messages, receipts)
}

// arrive implements entry: messages of one type and lane from another node.
func (a *cell[M]) arrive(ctx context.Context, mode envelope.Mode, messages []envelope.Message, receipts []envelope.Receipt) {
	codec := a.kind.codec
	first := &messages[0]
	switch {
	case codec == nil:
		fill(receipts, envelope.Receipt{Outcome: envelope.Closed, Text: a.id})
		return
	case codec.Name != first.Type:
		text := fmt.Sprintf("%s takes %q, not %q", a.id, codec.Name, first.Type)
		fill(receipts, envelope.Receipt{Outcome: envelope.UnknownType, Text: text})
		return
	}
	msgs := make([]M, 0, len(messages))
	at := make([]int, 0, len(messages)) // of each in receipts
	for i := range messages {
		msg, err := codec.Parse(messages[i].Body)
		if err != nil {
			receipts[i] = envelope.Receipt{Outcome: envelope.BadBody, Text: fmt.Sprintf("%s: %v", codec.Name, err)}
			continue
		}
		msgs, at = append(msgs, msg), append(at, i)
	}
	if len(msgs) == 0 {
		return
	}
	to := Ref[M]{cell: a, lane: Lane(first.Lane)}
	if mode != envelope.Tell {
		receipts[0] = to.settle(ctx, codec, mode, first.Answer, msgs[0])
		return
	}
	n, err := a.tellNow(ctx, to.lane, msgs)
	for j, i := range at {
		if j >= n {
			receipts[i] = receiptOf(err)
		}
	}
}

// settle handles a message whose sender waits.
func (r Ref[M]) settle(ctx context.Context, codec *Codec[M], mode envelope.Mode, name string, msg M) envelope.Receipt {
	if mode == envelope.Wait {
		return receiptOf(r.TellWait(ctx, msg))
	}
	answer, err := codec.answer(name)
	if err != nil {
		return envelope.Receipt{Outcome: envelope.UnknownType, Text: err.Error()}
	}
	body, err := answer.serve(ctx, r, msg)
	if err == nil && len(body) > envelope.MaxBody {
		err = fmt.Errorf("%w: answer %q: want at most %d bytes, got %d", ErrCodec, name, envelope.MaxBody, len(body))
	}
	if err != nil {
		return receiptOf(err)
	}
	return envelope.Receipt{Body: body}
}

// tellNow is tellBatch that waits for no room, whatever the actor's props say:
// one full actor must not hold up the messages to the others.
func (a *cell[M]) tellNow(ctx context.Context, lane Lane, msgs []M) (n int, err error) {
	if a.kind.overflow != Block {
		return a.tellBatch(ctx, lane, msgs)
	}
	now, cancel := context.WithCancel(ctx)
	cancel()
	for n < len(msgs) && err == nil {
		if err = a.tellWait(now, lane, msgs[n], nil); err == nil {
			n++
		}
	}
	return n, err
}

// receiptOf says to another node what a local send returned.
func receiptOf(err error) envelope.Receipt {
	outcome, text := envelope.Refused, ""
	switch {
	case err == nil:
		outcome = envelope.Accepted
	case errors.Is(err, ErrMailboxFull):
		outcome = envelope.Full
	case errors.Is(err, ErrStopped), errors.Is(err, ErrSystemStopped):
		outcome = envelope.Stopped
	case errors.Is(err, ErrOutsideGroup):
		outcome = envelope.Closed
	case errors.Is(err, ErrCodec):
		outcome, text = envelope.BadBody, err.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		outcome = envelope.Expired
	default:
		text = err.Error()
	}
	return envelope.Receipt{Outcome: outcome, Text: text}
}

// maxLines bounds the senders whose requests are told from repeated ones, with
// 2 KiB each: four times the nodes of the largest cluster, since one that
// starts again has a new line. The one that was silent longest is forgotten.
const maxLines = 256

// inbox remembers the requests of other nodes.
type inbox struct {
	mu    sync.Mutex
	now   uint64 // requests that came
	lines map[uint64]*line
}

// line is one sender's sequence of requests. Those of mode Tell are read one at
// a time, so that none overtakes another.
type line struct {
	turn   chan struct{}
	window envelope.Window // the lock's of inbox, as used
	used   uint64
}

func (l *line) enter(ctx context.Context) bool {
	select {
	case l.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (l *line) leave() { <-l.turn }

// line returns a sender's line.
func (b *inbox) line(name uint64) *line {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[name]
	if l == nil {
		if b.lines == nil {
			b.lines = make(map[uint64]*line)
		}
		if len(b.lines) >= maxLines {
			b.forgetLocked()
		}
		l = &line{turn: make(chan struct{}, 1)}
		b.lines[name] = l
	}
	b.now++
	l.used = b.now
	return l
}

// admit reports whether the request has not come before.
func (b *inbox) admit(l *line, r *envelope.Request) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return l.window.Admit(r)
}

func (b *inbox) forgetLocked() {
	oldest, since := uint64(0), b.now+1
	for name, l := range b.lines {
		if l.used < since {
			oldest, since = name, l.used
		}
	}
	delete(b.lines, oldest)
}
