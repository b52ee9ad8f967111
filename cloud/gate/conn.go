package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// conn moves a connection's bytes. What they mean is its session's to say.
type conn struct {
	gate    *Gate
	gateway id.Gateway
	over    carrier.Conn
	ended   chan struct{} // closed when no goroutine of the connection is left

	control carrier.Stream // set before anything is read or written
	shard   atomic.Int64   // set before the first append; under turn
	turn    chan struct{}  // holds one token: one lane appends at a time, so that all can wait
	routed  uint64         // under turn: the revision of the route to shard
	lanes   sync.WaitGroup
	writer  errand // looks at done and the outbox

	mu      sync.Mutex // guards session
	session *session

	doneMu sync.Mutex // guards the fields below; never held together with mu
	done   []uint64   // tickets that are durable
	fault  error      // the journal did not take a record
}

func newConn(g *Gate, gw id.Gateway, over carrier.Conn) *conn {
	claim := func(run id.Run) bool { return g.claims.take(run, gw) }
	s := newSession(gw, claim, &g.scratches)
	s.versions = g.versions
	c := &conn{gate: g, gateway: gw, over: over, ended: make(chan struct{}), turn: make(chan struct{}, 1), session: s}
	c.writer.do = func() { c.end(c.write()) }
	return c
}

// end closes the connection, whose context ends with it, unless err is nil. The
// first reason is the one that both sides see.
func (c *conn) end(err error) {
	var reason *closing
	switch {
	case err == nil:
	case errors.As(err, &reason):
		c.over.Close(reason.code, reason.text)
	default:
		c.over.Close(wire.CloseInternal, err.Error()) // no effect if it is why err came
	}
}

// run serves the connection until it ends and says why it did.
func (c *conn) run(serving context.Context) error {
	stop := context.AfterFunc(serving, func() { c.end(closef(wire.CloseShutdown, "this node is stopping")) })
	defer stop()
	c.end(c.serveControl(c.over.Context()))
	c.lanes.Wait()
	c.writer.stop()
	c.mu.Lock()
	c.gate.metrics.commands.lost.Add(float64(c.session.end()))
	c.mu.Unlock()
	<-c.over.Context().Done() // it is closed: soon
	return ended(context.Cause(c.over.Context()))
}

// ended is the carrier's record of an end in the gate's words, where the reason
// was the gate's.
func ended(err error) error {
	var closed *carrier.CloseError
	if errors.As(err, &closed) && !closed.Remote {
		return &closing{closed.Code, closed.Text}
	}
	return err
}

// serveControl reads the control stream, and has the lanes read.
func (c *conn) serveControl(ctx context.Context) (err error) {
	greet := time.AfterFunc(greetTimeout, func() {
		c.end(closef(wire.CloseProtocol, "no hello or bind within %s", greetTimeout))
	})
	defer greet.Stop()
	if c.control, err = c.over.AcceptControl(ctx); err != nil {
		return err
	}
	c.lanes.Go(func() { c.end(c.serveLanes(ctx, laneStreams)) })
	r := c.gate.spare.NewReader(c.control, wire.MaxControl)
	for {
		msg, err := r.Next()
		if err != nil {
			return streamError("control", err)
		}
		greet.Stop() // a journal that is full is not the gateway's silence
		greeted, err := c.takeControl(ctx, msg)
		if err != nil {
			return err
		}
		if !greeted {
			greet.Reset(greetTimeout)
		}
	}
}

// takeControl journals a message. It reports whether the gateway has said its
// greeting.
func (c *conn) takeControl(ctx context.Context, msg []byte) (bool, error) {
	c.mu.Lock()
	v, err := c.session.control(msg)
	first := c.session.phase == wantBind // a hello, and the bind is to come
	c.mu.Unlock()
	if err != nil {
		return false, err
	}
	if v.unknown {
		c.gate.metrics.unknown.Inc()
		return true, nil
	}
	if v.ticket == 0 { // a question: the answer is in the outbox
		c.writer.call()
		return true, nil
	}
	if first {
		if err := c.admit(ctx); err != nil {
			return false, err
		}
	}
	return !first, c.append(ctx, v, msg)
}

// admit makes this the gateway's only connection and finds its shard.
func (c *conn) admit(ctx context.Context) error {
	c.gate.supersede(c)
	if ctx.Err() != nil { // superseded itself, or the node stops
		return context.Cause(ctx)
	}
	shard, err := c.gate.catalog.Assign(ctx, c.gateway.Site)
	if err != nil {
		return closef(wire.CloseInternal, "no shard for site %s: %v", c.gateway.Site, err)
	}
	c.shard.Store(int64(shard))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session.tell(c.gate.guideFor(c.gateway))
	return nil
}

// serveLanes accepts one lane, leaves the others to a goroutine that waits for
// them, and reads.
func (c *conn) serveLanes(ctx context.Context, left int) error {
	stream, err := c.over.AcceptLane(ctx)
	if err != nil {
		return err
	}
	if left > 1 {
		c.lanes.Go(func() { c.end(c.serveLanes(ctx, left-1)) })
	}
	r := c.gate.spare.NewReader(stream, wire.MaxFrame)
	msg, err := r.Next()
	if err != nil {
		return streamError("lane", err)
	}
	c.mu.Lock()
	lane, err := c.session.laneStart(msg)
	c.mu.Unlock()
	for err == nil {
		msg, err = r.Next()
		if errors.Is(err, io.EOF) {
			return nil // the gateway is done with this lane
		}
		if err != nil {
			return streamError(lane.String()+" lane", err)
		}
		err = c.takeLane(ctx, msg)
	}
	return err
}

func (c *conn) takeLane(ctx context.Context, msg []byte) error {
	c.mu.Lock()
	v, err := c.session.lane(msg)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	m := c.gate.metrics
	m.bytes.Add(float64(len(msg)))
	switch {
	case v.ticket != 0:
		return c.append(ctx, v, msg)
	case v.discarded:
		m.discarded.Inc()
	case v.unknown:
		m.unknown.Inc()
	case v.rejected != 0:
		m.rejects[v.rejected].Inc()
	}
	c.writer.call()
	return nil
}

// append gives a message to the journal, which copies it. While the journal's
// queue is full it waits, and so does the stream.
func (c *conn) append(ctx context.Context, v verdict, msg []byte) error {
	rec := journal.Record{Kind: recordKind(v.kind), Origin: c.gateway.String(), Site: c.gateway.Site, Body: msg}
	came := time.Now()
	done := func(_ uint64, err error) {
		if err == nil {
			c.gate.metrics.durable.Observe(time.Since(came).Seconds())
		}
		c.durable(v.ticket, err)
	}
	for {
		err := c.appendNow(ctx, rec, done)
		switch {
		case err == nil:
			c.count(v.kind)
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, new(*closing)):
			return err
		case !errors.Is(err, journal.ErrBusy):
			c.gate.metrics.failed.Inc()
			return closef(wire.CloseInternal, "the journal does not take a %s: %v", v.kind, err)
		}
		c.gate.metrics.busy.Inc()
		select {
		case <-time.After(busyRetry):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// appendNow appends a record where the site is now.
func (c *conn) appendNow(ctx context.Context, rec journal.Record, done func(uint64, error)) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.turn }()
	if err := c.follow(ctx); err != nil {
		return err
	}
	return c.gate.appender.Append(int(c.shard.Load()), rec.Origin, rec, done)
}

func (c *conn) count(kind wire.Kind) {
	switch kind {
	case wire.KindFrame, wire.KindPacked:
		c.gate.metrics.frames.Inc()
	case wire.KindGap:
		c.gate.metrics.gaps.Inc()
	case wire.KindResult:
		c.gate.metrics.results.Inc()
	}
}

func recordKind(k wire.Kind) journal.RecordKind {
	switch k {
	case wire.KindHello:
		return journal.KindHello
	case wire.KindBind:
		return journal.KindBind
	case wire.KindSchema:
		return journal.KindSchema
	case wire.KindClock:
		return journal.KindClock
	case wire.KindFrame, wire.KindPacked:
		return journal.KindFrame
	case wire.KindGap:
		return journal.KindGap
	case wire.KindResult:
		return journal.KindResult
	}
	panic(fmt.Sprintf("BUG: gate: a %s is not journaled", k))
}

// durable is called by the journal for each ticket. It only notes.
func (c *conn) durable(ticket uint64, err error) {
	c.doneMu.Lock()
	if err != nil {
		c.gate.metrics.failed.Inc()
		c.fault = err
	} else {
		c.done = append(c.done, ticket)
	}
	c.doneMu.Unlock()
	c.writer.call()
}

// streamError says what the end of a stream means for the connection.
func streamError(stream string, err error) error {
	var limit *wire.LimitError
	var bad *wire.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &limit), errors.As(err, &bad), errors.Is(err, carrier.ErrReset):
		return closef(wire.CloseProtocol, "%s stream: %v", stream, err)
	}
	return fmt.Errorf("gate: read %s stream: %w", stream, err)
}
