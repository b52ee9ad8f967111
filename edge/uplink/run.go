package uplink

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/wire"
)

// runner carries the plan's actions out and tells it what happens. Its fields
// are Run's alone; dials, greetings and connections report to it.
type runner struct {
	u       *Uplink
	plan    *plan
	news    chan news
	running sync.WaitGroup // dials, greetings and connections

	dials   [2]*dialing // under way or done, by network
	fresh   *connection // greeted, not welcomed
	current *connection // welcomed last

	told   string // the reason that was logged last
	toldAt time.Time
}

// dialing is one dial.
type dialing struct {
	cancel context.CancelFunc
	conn   carrier.Conn // once it is done
}

// news is what a dial, a greeting or a connection reports.
type news struct {
	happening
	from any // *dialing or *connection: what is forgotten by now is not heard
	err  error
	conn carrier.Conn // of a dial that is done

	welcome wire.Welcome
	session buffer.Session
}

// run goes on until ctx ends.
func (r *runner) run(ctx context.Context) {
	defer r.running.Wait()
	defer r.leave()
	r.step(ctx, happening{kind: ticked})
	for {
		var due <-chan time.Time
		if at := r.plan.wake(); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return
		case <-due:
			r.step(ctx, happening{kind: ticked})
		case n := <-r.news:
			r.take(ctx, n)
		}
	}
}

// leave says bye on everything that there is.
func (r *runner) leave() {
	for _, d := range r.dials {
		r.drop(d)
	}
	for _, c := range []*connection{r.fresh, r.current} {
		if c != nil {
			c.close(context.Canceled)
		}
	}
	r.u.connectedTo(nil)
}

// post reports news, unless ctx ends first.
func (r *runner) post(ctx context.Context, n news) bool {
	select {
	case r.news <- n:
		return true
	case <-ctx.Done():
		return false
	}
}

// take notes what the news means for the shell, and has the plan decide.
func (r *runner) take(ctx context.Context, n news) {
	if !r.expected(n) {
		return
	}
	before := r.current
	r.note(&n)
	r.act(ctx, before, n.session, r.plan.Step(time.Now(), n.happening))
	switch n.kind {
	case welcomed:
		r.begin(&n)
	case silent, ended, refused:
		// Nobody takes what the buffer holds.
		if r.fresh == nil && (r.current == nil || r.plan.held.silent) {
			r.u.source.Disconnect()
		}
	case heard:
		r.u.source.Resume()
	default:
	}
	switch {
	case n.kind == silent:
		r.report(verdict{reason: "silent"}, errSilent)
	case n.err != nil && r.plan.try == nil:
		r.report(n.verdict, n.err)
	}
}

// expected says whether news comes from what is not forgotten, and ends a dial
// that is.
func (r *runner) expected(n news) bool {
	switch from := n.from.(type) {
	case *dialing:
		if from == r.dials[n.network] {
			return true
		}
		r.discard(n.conn)
	case *connection:
		return from == r.fresh || from == r.current
	}
	return false
}

// note brings the shell's own state up to the news.
func (r *runner) note(n *news) {
	if n.err != nil {
		n.verdict = judge(n.err)
		if n.kind == ended && r.fresh != nil && n.verdict.superseded {
			n.verdict.reason = r.plan.try.purpose.String() // by ourselves
		}
		r.u.metrics.disconnects.WithLabelValues(n.verdict.reason).Inc()
	}
	switch n.kind {
	case answered:
		r.dials[n.network].conn = n.conn
	case dialFailed:
		r.dials[n.network].cancel()
		r.dials[n.network] = nil
	case welcomed:
		r.current, r.fresh = r.fresh, nil
	case refused:
		r.fresh = nil
		var later *laterError
		if errors.As(n.err, &later) {
			n.later = later.pause
		}
	case ended:
		r.current = nil
		r.u.connectedTo(nil)
	case silent:
		r.u.connectedTo(nil)
	case heard:
		r.u.connectedTo(r.current)
	case told:
		if r.u.cfg.OnNodes != nil {
			r.u.cfg.OnNodes(n.nodes)
		}
	default:
	}
}

func (r *runner) step(ctx context.Context, h happening) {
	r.act(ctx, r.current, buffer.Session{}, r.plan.Step(time.Now(), h))
}

// act carries actions out. before is the connection that was current until
// now; session is that of an attempt which came to nothing.
func (r *runner) act(ctx context.Context, before *connection, session buffer.Session, actions []action) {
	for _, a := range actions {
		switch a.kind {
		case dial:
			r.dial(ctx, a)
		case drop:
			r.drop(r.dials[a.network])
			r.dials[a.network] = nil
		case greet:
			r.greet(ctx, a.network)
		case retire:
			r.u.metrics.disconnects.WithLabelValues(a.purpose.String()).Inc()
			before.close(context.Canceled)
			<-before.done // what it sent is ahead of what comes next
		case resume:
			r.current.adopt(session)
		case ignore:
			r.u.metrics.redirectsIgnored.Inc()
		}
	}
}

func (r *runner) dial(ctx context.Context, a action) {
	ctx, cancel := context.WithCancel(ctx)
	d := &dialing{cancel: cancel}
	r.dials[a.network] = d
	r.running.Go(func() {
		conn, err := r.u.dial(ctx, a.network, a.addr, a.round)
		n := news{happening: happening{kind: answered, network: a.network}, from: d, conn: conn, err: err}
		if err != nil {
			n.kind = dialFailed
		}
		if !r.post(ctx, n) && conn != nil {
			conn.Close(wire.CloseBye, "")
			<-conn.Gone()
		}
	})
}

// drop ends a dial, or the connection that it made.
func (r *runner) drop(d *dialing) {
	if d != nil {
		d.cancel()
		r.discard(d.conn)
	}
}

// discard ends a connection on which nothing was said.
func (r *runner) discard(conn carrier.Conn) {
	if conn == nil {
		return
	}
	conn.Close(wire.CloseBye, "")
	r.running.Go(func() { <-conn.Gone() })
}

// greet says hello on what was dialled; if a welcome comes, the connection
// waits for begin, and serves.
func (r *runner) greet(ctx context.Context, over network) {
	d := r.dials[over]
	r.dials[over] = nil
	c := newConnection(r, d.conn, r.plan.try.addr)
	r.fresh = c
	r.running.Go(func() {
		defer d.cancel()
		defer func() { <-c.conn.Gone() }()
		n := news{happening: happening{kind: welcomed}, from: c}
		if n.session, n.err = r.u.source.Connect(); n.err == nil {
			n.welcome, n.err = c.greet(ctx, n.session.Hello)
		}
		if n.err != nil {
			n.kind = refused
		}
		if !r.post(ctx, n) || n.err != nil {
			c.close(n.err)
			return
		}
		<-c.begun
		err := c.serve(ctx, n.session, n.welcome.Credit)
		c.close(err)
		close(c.done)
		r.post(ctx, news{happening: happening{kind: ended}, from: c, err: err})
	})
}

// begin has the connection that was welcomed serve.
func (r *runner) begin(n *news) {
	c, u := r.current, r.u
	c.learnTime(n.welcome.Now, c.clock.greeted)
	u.source.Welcomed(n.session)
	r.told = ""
	u.metrics.connects.Inc()
	u.connectedTo(c)
	u.log.Info("connected to the cloud", "gate", c.addr, "over", c.conn.Network(), "cluster", n.welcome.Cluster, "node", n.welcome.Node,
		"live", len(n.session.Live), "backlog", len(n.session.Backlog))
	close(c.begun)
}

// report logs the end of a connection or of an attempt; the same reason again
// only now and then.
func (r *runner) report(v verdict, err error) {
	level, msg := slog.LevelWarn, "not connected to the cloud"
	switch {
	case r.current != nil && !r.plan.held.silent:
		level, msg = slog.LevelDebug, "another connection was not made"
	case v.reason == r.told && time.Since(r.toldAt) < logEvery:
		level = slog.LevelDebug
	default:
		r.told, r.toldAt = v.reason, time.Now()
	}
	args := []any{"reason", v.reason, "error", err}
	if at := r.plan.wake(); !at.IsZero() {
		args = append(args, "retry", time.Until(at).Round(time.Millisecond))
	}
	if v.hint != "" {
		args = append(args, "hint", v.hint)
	}
	r.u.log.Log(context.Background(), level, msg, args...)
}
