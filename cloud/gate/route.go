package gate

import (
	"context"
	"errors"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/wire"
)

const (
	// passWithin bounds how long a connection waits until what was appended for
	// its site before is where the site is now: longer than a shard without an
	// owner, less than gateways wait for an answer.
	passWithin = 10 * time.Second
	// passFirst and passMost bound the pause between two questions.
	passFirst = 2 * time.Millisecond
	passMost  = 100 * time.Millisecond
)

// Route is where the records of a site are appended.
type Route struct {
	Shard    int
	Past     []int  // the shards that it has left, in the order in which it did
	Revision uint64 // another one: ask again
}

// follow has the connection append where its site is now. Who comes to another
// shard, or for the first time, must not be ahead of what this gateway has had
// acked in those that the site has left: it may be on its way from there. So it
// appends a mark to each, behind all that came before, and waits until the
// owner has forwarded beyond it; one after the other, as a record takes the way
// that the site took. Its caller holds the turn: nothing is appended meanwhile,
// and no byte is lost, as the streams rest.
func (c *conn) follow(ctx context.Context) error {
	if c.gate.cfg.Route == nil {
		return nil
	}
	r, known := c.gate.cfg.Route(c.gateway.Site)
	if !known || r.Revision == c.routed {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, passWithin)
	defer cancel()
	begin := time.Now()
	for _, shard := range r.Past {
		if err := c.pass(within, shard); err != nil {
			if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
				return closef(wire.CloseBusy, "what was sent before is on its way from shard %d, which the site has left", shard)
			}
			return err
		}
	}
	if len(r.Past) > 0 {
		c.gate.metrics.passing.Observe(time.Since(begin).Seconds())
	}
	c.shard.Store(int64(r.Shard))
	c.routed = r.Revision
	return nil
}

// pass appends a mark to a shard and waits until the shard's owner has passed it.
func (c *conn) pass(ctx context.Context, shard int) error {
	seq, err := c.mark(ctx, shard)
	if err != nil {
		return err
	}
	for wait := passFirst; ; wait = min(2*wait, passMost) {
		passed, err := c.gate.cfg.Passed(ctx, shard, c.gateway.Site, seq)
		if err == nil && passed {
			return nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mark appends a mark and returns its message when that is durable.
func (c *conn) mark(ctx context.Context, shard int) (uint64, error) {
	rec := journal.Record{Kind: journal.KindMark, Origin: c.gateway.String(), Site: c.gateway.Site, Body: journal.AppendMark(nil)}
	type answer struct {
		seq uint64
		err error
	}
	durable := make(chan answer, 1)
	for {
		err := c.gate.appender.Append(shard, rec.Origin, rec, func(seq uint64, err error) { durable <- answer{seq, err} })
		if err == nil {
			break
		}
		if !errors.Is(err, journal.ErrBusy) {
			return 0, closef(wire.CloseInternal, "the journal does not take a mark: %v", err)
		}
		select {
		case <-time.After(busyRetry):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	select {
	case a := <-durable:
		if a.err != nil {
			return 0, closef(wire.CloseInternal, "the journal does not take a mark: %v", a.err)
		}
		return a.seq, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
