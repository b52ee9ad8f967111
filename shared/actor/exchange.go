package actor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/actor/envelope"
)

// exchange sends one request to a node and returns a receipt for each of its
// messages. Those of mode Tell go to a node one after another. An error that is
// not ErrStale leaves open whether the request arrived.
func (c *courier) exchange(ctx context.Context, address string, mode envelope.Mode, messages []envelope.Message) ([]envelope.Receipt, error) {
	p := c.reserve(address)
	defer c.leave(p)
	if mode == envelope.Tell {
		select {
		case p.turn <- struct{}{}:
			defer func() { <-p.turn }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r := envelope.Request{Mode: mode, Line: p.line, Patience: timeFor(ctx), Messages: messages}
	c.number(p, &r)
	answer, err := c.hand(ctx, address, r.Append(nil))
	if mode == envelope.Tell {
		c.settle(p, r.Seq)
	}
	if err != nil {
		return nil, err
	}
	return envelope.ParseAnswer(answer, len(messages))
}

// hand brings the bytes to the node, which may be this one: an actor can have
// come here since its address was learned.
func (c *courier) hand(ctx context.Context, address string, request []byte) ([]byte, error) {
	if address == c.self {
		return c.engine.Receive(ctx, request), nil
	}
	return c.transport.Exchange(ctx, address, request)
}

// timeFor is how long the other node may take: an eighth of the sender's time
// is left for the way back of an answer that says no.
func timeFor(ctx context.Context) uint64 {
	deadline, _ := ctx.Deadline()
	return envelope.Milliseconds(time.Until(deadline) * 7 / 8)
}

// reserve keeps a node from being forgotten until leave.
func (c *courier) reserve(address string) *peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peerLocked(address)
	p.busy++
	return p
}

func (c *courier) leave(p *peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.busy--
}

func (c *courier) number(p *peer, r *envelope.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.seq++
	r.Seq, r.Settled = p.seq, p.settled
}

func (c *courier) settle(p *peer, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.settled = seq
}

// whereabouts is the address that the transport remembers for an actor.
func (c *courier) whereabouts(ctx context.Context, id string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeLimit)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	address, err := c.transport.Locate(ctx, id, false)
	switch {
	case c.ctx.Err() != nil:
		return "", ErrSystemStopped
	case err == nil && address == "":
		err = ErrStale
	}
	if err != nil {
		return "", fmt.Errorf("actor: locate %q: %w", id, err)
	}
	return address, nil
}

// find asks the transport where an actor is, and remembers it.
func (c *courier) find(ctx context.Context, at *place, fresh bool) (string, error) {
	address, err := c.transport.Locate(ctx, at.told.ID, fresh)
	if err == nil && address == "" {
		err = ErrStale
	}
	if err != nil {
		return "", fmt.Errorf("locate: %w", err)
	}
	c.remember(at, address)
	return address, nil
}

// deliver brings one message to its actor and waits for what mode says, in its
// caller's goroutine, after what was told to the actor before on that lane. A
// stale address is looked up again, once.
func (c *courier) deliver(ctx context.Context, to *place, mode envelope.Mode, m envelope.Message) (envelope.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, envelope.MaxPatience)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	if err := c.pass(ctx, to, Lane(m.Lane)); err != nil {
		return envelope.Receipt{}, err
	}
	address := c.addressOf(to)
	for fresh := false; ; fresh = true {
		if fresh || address == "" {
			found, err := c.find(ctx, to, fresh)
			if err != nil {
				return envelope.Receipt{}, err
			}
			address = found
		}
		m.Hops++
		receipts, err := c.exchange(ctx, address, mode, []envelope.Message{m})
		switch {
		case err == nil && receipts[0].Outcome != envelope.Stale:
			if receipts[0].Outcome == envelope.Accepted {
				c.counts.arrived(m.Hops)
			}
			return receipts[0], nil
		case err != nil && !errors.Is(err, ErrStale):
			return envelope.Receipt{}, fmt.Errorf("%w: %w", ErrUnconfirmed, err)
		case fresh:
			return envelope.Receipt{Outcome: envelope.Stale}, nil
		}
	}
}

// pass waits until what was told to the actor before has gone.
func (c *courier) pass(ctx context.Context, to *place, lane Lane) error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return ErrSystemStopped
	}
	if c.routes[to.told] == nil {
		c.mu.Unlock()
		return nil
	}
	mark := parcel{place: to, message: envelope.Message{Lane: uint8(lane)}, reached: make(chan struct{})}
	err := c.putLocked(lane, mark)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-mark.reached:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errorOf is a receipt as an error, nil for an accepted message.
func errorOf(r envelope.Receipt) error {
	kind := ErrCodec
	switch r.Outcome {
	case envelope.Accepted:
		return nil
	case envelope.Stale:
		kind = ErrStale
	case envelope.Full:
		kind = ErrMailboxFull
	case envelope.Stopped:
		kind = ErrStopped
	case envelope.Closed:
		kind = ErrNotOpen
	case envelope.Repeated:
		kind = ErrUnconfirmed
	case envelope.Expired:
		kind = context.DeadlineExceeded
	case envelope.Refused:
		return fmt.Errorf("actor: refused by the other node: %s", r.Text)
	}
	if r.Text == "" {
		return kind
	}
	return fmt.Errorf("%w: at the other node: %s", kind, r.Text)
}
