package uplink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// connection is one connection from hello to its end.
type connection struct {
	u       *Uplink
	runner  *runner
	addr    string
	begun   chan struct{}       // closed when it may serve
	done    chan struct{}       // closed when it has served
	again   chan buffer.Session // to be named by another hello; the latest
	named   chan struct{}       // its welcome came
	more    chan []id.Run       // to the live lane
	conn    carrier.Conn
	control carrier.Stream
	reader  *wire.Reader
	saying  sync.Mutex // one message at a time onto control, after the greeting
	flight  *flight
	results results
	clock   clock
	bound   uint64 // the version of the devices that were sent
}

func newConnection(r *runner, conn carrier.Conn, addr string) *connection {
	return &connection{
		u: r.u, runner: r, conn: conn, addr: addr,
		begun: make(chan struct{}), done: make(chan struct{}),
		again: make(chan buffer.Session, 1), named: make(chan struct{}, 1), more: make(chan []id.Run),
		results: results{sent: map[id.Command]struct{}{}},
	}
}

// greet opens the control stream, says who is here, and waits for welcome.
func (c *connection) greet(ctx context.Context, hello wire.Hello) (wire.Welcome, error) {
	var err error
	if c.control, err = c.conn.OpenControl(ctx); err != nil {
		return wire.Welcome{}, fmt.Errorf("control stream: %w", err)
	}
	bind, version, _ := c.u.bind()
	c.bound = version
	greeting := wire.AppendItem(nil, c.u.hello(hello))
	greeting = wire.AppendItem(greeting, bind.Append(nil))
	c.clock.greeted = time.Now()
	if _, err := c.control.Write(greeting); err != nil {
		return wire.Welcome{}, fmt.Errorf("hello: %w", err)
	}
	return c.welcome()
}

// hello completes a session's.
func (u *Uplink) hello(h wire.Hello) []byte {
	h.Min, h.Max, h.Agent = u.versions.Min, u.versions.Max, u.cfg.Agent
	return h.Append(nil)
}

func (c *connection) welcome() (wire.Welcome, error) {
	if err := c.control.SetReadDeadline(time.Now().Add(welcomeTimeout)); err != nil {
		return wire.Welcome{}, fmt.Errorf("welcome: %w", err)
	}
	c.reader = wire.NewReader(c.control, wire.MaxControl)
	msg, err := c.reader.Next()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return wire.Welcome{}, errNoWelcome
	}
	if err != nil {
		return wire.Welcome{}, fmt.Errorf("welcome: %w", err)
	}
	if kind, err := wire.Peek(msg); err == nil && kind == wire.KindLater {
		return wire.Welcome{}, parseLater(msg)
	}
	w, err := wire.ParseWelcome(msg)
	if err != nil {
		return wire.Welcome{}, fmt.Errorf("%w: %w", errProtocol, err)
	}
	if w.Version < c.u.versions.Min || w.Version > c.u.versions.Max {
		return wire.Welcome{}, fmt.Errorf("%w: welcome chose version %d", errProtocol, w.Version)
	}
	return w, c.control.SetReadDeadline(time.Time{})
}

// serve sends the session's runs until the connection or ctx ends, and returns
// why.
func (c *connection) serve(ctx context.Context, s buffer.Session, credit uint64) error {
	c.flight = newFlight(credit, func() time.Duration { return c.conn.Path().Latest })
	live, backlog := c.lane(wire.LaneLive), c.lane(wire.LaneBacklog)
	for _, l := range []*lane{live, backlog} {
		if err := openLane(ctx, c.conn, l); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.readControl(ctx) })
	g.Go(func() error { return c.writeBinds(ctx) })
	g.Go(func() error { return c.writeResults(ctx) })
	g.Go(func() error { return c.askTime(ctx) })
	g.Go(func() error { return c.greetAgain(ctx) })
	g.Go(func() error { return live.sideBySide(ctx, s.Live, c.more) })
	g.Go(func() error { return backlog.inTurn(ctx, s.Backlog) })
	g.Go(func() error { return c.watch(ctx) })
	g.Go(func() error {
		select {
		case <-c.conn.Context().Done(): // what frees the others from all else
			return context.Cause(c.conn.Context())
		case <-ctx.Done(): // what frees them from their streams
			c.close(context.Cause(ctx))
			return nil
		}
	})
	return g.Wait()
}

// adopt sends the open runs of a session that began with another connection,
// which came to nothing. A session that still waits to be named is older, and
// its runs are among those of this one.
func (c *connection) adopt(s buffer.Session) {
	select {
	case <-c.again:
	default:
	}
	c.again <- s
}

// greetAgain names adopted runs to the gate before anything of them is sent: it
// is not known whether the hello that began them ever arrived, and frames of a
// run that nobody knows would be journaled, acked, and applied by nobody (I1).
func (c *connection) greetAgain(ctx context.Context) error {
	for {
		var s buffer.Session
		select {
		case s = <-c.again:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		s.Hello.Now += uint64(time.Since(s.At).Milliseconds())
		if err := c.say(c.u.hello(s.Hello)); err != nil {
			return fmt.Errorf("hello: %w", err)
		}
		select {
		case <-c.named:
		case <-time.After(welcomeTimeout):
			return errNoWelcome
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		c.u.source.Welcomed(s)
		select {
		case c.more <- s.Live:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// welcomedAgain takes the answer to another hello.
func (c *connection) welcomedAgain() error {
	select {
	case c.named <- struct{}{}:
		return nil
	default:
		return errors.New("a welcome that answers nothing")
	}
}

// tell reports what happened to the connection.
func (c *connection) tell(ctx context.Context, h happening) {
	c.runner.post(ctx, news{happening: h, from: c})
}

func (c *connection) lane(kind wire.Lane) *lane {
	return &lane{
		kind: kind, source: c.u.source, flight: c.flight, metrics: c.u.metrics.lanes[kind], sent: &c.u.sent,
		writing: make(chan struct{}, 1),
	}
}

// close ends the connection with the code for err.
func (c *connection) close(err error) {
	code := wire.CloseInternal
	var later *laterError
	switch {
	case errors.Is(err, context.Canceled):
		code, err = wire.CloseBye, nil
	case errors.Is(err, errStalled), errors.Is(err, errNoWelcome), errors.As(err, &later):
		code = wire.CloseBye
	case errors.Is(err, errRefused), errors.Is(err, errProtocol):
		code = wire.CloseProtocol
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	c.conn.Close(code, text)
}

// readControl takes what the gate says until the stream ends.
func (c *connection) readControl(ctx context.Context) error {
	for {
		msg, err := c.reader.Next()
		if err != nil {
			return fmt.Errorf("control: %w", err)
		}
		if err := c.take(ctx, msg); err != nil {
			return err
		}
	}
}

func (c *connection) take(ctx context.Context, msg []byte) error {
	kind, err := wire.Peek(msg)
	if err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	switch kind {
	case wire.KindWelcome:
		if _, err = wire.ParseWelcome(msg); err == nil {
			err = c.welcomedAgain()
		}
	case wire.KindAck:
		var m wire.Ack
		if m, err = wire.ParseAck(msg); err == nil {
			c.acked(m.Runs)
		}
	case wire.KindCredit:
		var m wire.Credit
		if m, err = wire.ParseCredit(msg); err == nil {
			c.flight.grant(m.Total)
		}
	case wire.KindReject:
		var m wire.Reject
		if m, err = wire.ParseReject(msg); err == nil {
			return c.rejected(&m)
		}
	case wire.KindCommand:
		var m wire.Command
		if m, err = wire.ParseCommand(msg); err == nil {
			c.command(m)
		}
	case wire.KindSettled:
		var m wire.Settled
		if m, err = wire.ParseSettled(msg); err == nil {
			c.settled(m.IDs)
		}
	case wire.KindNodes:
		var m wire.Nodes
		if m, err = wire.ParseNodes(msg); err == nil {
			c.tell(ctx, happening{kind: told, nodes: m.Addresses})
		}
	case wire.KindTime:
		var m wire.Time
		if m, err = wire.ParseTime(msg); err == nil {
			c.answered(m)
		}
	case wire.KindRedirect:
		var m wire.Redirect
		if m, err = wire.ParseRedirect(msg); err == nil {
			c.tell(ctx, happening{kind: redirected, addr: m.Address})
		}
	default:
		if kind.Optional() {
			c.u.metrics.unknown.Inc()
			return nil
		}
		err = fmt.Errorf("%s on the control stream", kind)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	return nil
}

func (c *connection) acked(runs []wire.RunSeq) {
	for _, r := range runs {
		if !c.flight.ack(r.Run, r.Seq) {
			c.u.metrics.strayAcks.Inc()
			continue
		}
		c.u.metrics.acks.Inc()
		c.u.source.Ack(r.Run, r.Seq)
	}
}

func (c *connection) rejected(m *wire.Reject) error {
	c.u.metrics.rejects.WithLabelValues(m.Reason.String()).Inc()
	c.u.log.Warn("gate rejects a frame", "run", m.Run, "seq", m.Seq, "reason", m.Reason, "text", m.Text)
	switch c.flight.reject(m.Run, m.Seq, m.Reason) {
	case stray:
		c.u.metrics.strayAcks.Inc()
	case resend:
		c.flight.rewind(m.Run, rewind{m.Seq, true})
	case quarantine:
		err := c.u.source.Reject(m.Run, m.Seq, m.Reason)
		if errors.Is(err, buffer.ErrNotAFrame) {
			err = fmt.Errorf("%w: %s: %s: %w", errRefused, m.Reason, m.Text, err)
		}
		if err != nil {
			return err
		}
		c.flight.rewind(m.Run, rewind{m.Seq, false})
	case refuse:
		return fmt.Errorf("%w: run %s: frame %d: %s: %s", errRefused, m.Run, m.Seq, m.Reason, m.Text)
	}
	return nil
}

// writeBinds sends bind again whenever the devices change.
func (c *connection) writeBinds(ctx context.Context) error {
	for {
		bind, version, changed := c.u.bind()
		if version != c.bound {
			c.bound = version
			if err := c.say(bind.Append(nil)); err != nil {
				return fmt.Errorf("bind: %w", err)
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watch tells when the path falls silent with frames unacked, and when it is
// heard again. It returns when ctx ends, or when no ack comes on a live path.
func (c *connection) watch(ctx context.Context) error {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	defer c.u.flows(false, 0)
	var hunger starvation
	var drain speed
	quiet := false
	for {
		path, e := c.conn.Path(), c.flight.estimate()
		c.u.metrics.rtt.Set(path.RTT.Seconds())
		c.u.metrics.see(e)
		now := time.Now()
		c.u.flows(hunger.see(now, e.hungry), drain.see(now, e.acked, e.drains))
		sent, unacked := c.flight.oldest()
		switch {
		case unacked && now.Sub(sent) > stallLimit:
			return fmt.Errorf("%w for %v", errStalled, stallLimit)
		case !quiet && unacked && owes(path):
			quiet = true
			c.tell(ctx, happening{kind: silent})
		case quiet && path.Quiet == 0:
			quiet = false
			c.tell(ctx, happening{kind: heard})
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// owes says whether the path has owed an answer for so long that another
// connection may be faster than its own recovery.
func owes(path carrier.Path) bool { return path.Quiet > silenceRTTs*path.RTT+silenceMin }

// devices is what SetDevices was told.
type devices struct {
	list    []id.Device
	version uint64
	changed chan struct{} // closed at the next change
}
