package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/atrium-iot/atrium/tests/bench/protoactor/load"
)

// patience is how long an answer may take.
const patience = 10 * time.Second

// peer is proto.actor under the workloads.
type peer struct {
	system   *actor.ActorSystem
	root     *actor.RootContext
	lockFree bool // mailboxes: the default's is a locked ring, this is MPSC

	sinks, echoes    []*actor.PID
	room, head, slow *actor.PID
}

func newPeer(lockFree bool) *peer {
	silent := func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
	system := actor.NewActorSystem(actor.WithLoggerFactory(silent))
	return &peer{system: system, root: system.Root, lockFree: lockFree}
}

func (p *peer) spawn(a actor.Actor, options ...actor.PropsOption) *actor.PID {
	if p.lockFree {
		options = append([]actor.PropsOption{actor.WithMailbox(actor.UnboundedLockfree())}, options...)
	}
	return p.root.Spawn(actor.PropsFromProducer(func() actor.Actor { return a }, options...))
}

// Each handler looks at the type first: lifecycle messages come by the same
// way.
type sink struct{ *load.Sink }

func (s sink) Receive(c actor.Context) {
	if _, ok := c.Message().(*load.Msg); ok {
		s.Got()
	}
}

type echo struct{}

func (echo) Receive(c actor.Context) {
	if m, ok := c.Message().(*load.Msg); ok {
		c.Respond(m)
	}
}

type room struct{ members []*actor.PID }

func (r *room) Receive(c actor.Context) {
	if m, ok := c.Message().(*load.Msg); ok {
		for _, to := range r.members {
			c.Send(to, m)
		}
	}
}

type stage struct{ next *actor.PID }

func (s *stage) Receive(c actor.Context) {
	if m, ok := c.Message().(*load.Msg); ok {
		c.Send(s.next, m)
	}
}

type slow struct{ load.Slow }

func (s *slow) Receive(c actor.Context) {
	if _, ok := c.Message().(*load.Msg); ok {
		s.Handle()
	}
}

func (p *peer) Sinks(n int, per int64, done func()) {
	p.sinks = make([]*actor.PID, n)
	for i := range p.sinks {
		p.sinks[i] = p.spawn(sink{load.NewSink(per, done, nil)})
	}
}

func (p *peer) Tell(count, start int, m *load.Msg) {
	i := start
	for range count {
		p.root.Send(p.sinks[i], m)
		if i++; i == len(p.sinks) {
			i = 0
		}
	}
}

func (p *peer) Echoes(n int) {
	for range n {
		p.echoes = append(p.echoes, p.spawn(echo{}))
	}
}

func (p *peer) Ask(_ context.Context, i int, m *load.Msg, took []uint32) {
	to := p.echoes[i]
	for k := range took {
		begin := time.Now()
		if _, err := p.root.RequestFuture(to, m, patience).Result(); err != nil {
			panic(err)
		}
		took[k] = load.Nanos(time.Since(begin))
	}
}

func (p *peer) Room(members int, rounds int64, done, each func()) {
	r := &room{}
	for range members {
		r.members = append(r.members, p.spawn(sink{load.NewSink(rounds, done, each)}))
	}
	p.room = p.spawn(r)
}

func (p *peer) Broadcast(m *load.Msg) { p.root.Send(p.room, m) }

func (p *peer) Pipeline(total int64, done func()) {
	to := p.spawn(sink{load.NewSink(total, done, nil)})
	for range 2 {
		to = p.spawn(&stage{to})
	}
	p.head = to
}

func (p *peer) Feed(count int, m *load.Msg) {
	for range count {
		p.root.Send(p.head, m)
	}
}

func (p *peer) Idle(n int, done func()) { p.Sinks(n, 1, done) }

func (p *peer) Touch(m *load.Msg) { p.Tell(len(p.sinks), 0, m) }

// Waiting takes the bounded mailbox, whose senders spin for room. The other
// one with a bound drops the oldest message and says nothing, so that there is
// no refusal to measure.
func (p *peer) Waiting(s load.Slow) {
	p.slow = p.spawn(&slow{s}, actor.WithMailbox(actor.Bounded(s.Size)))
}

func (p *peer) Put(_ context.Context, m *load.Msg) bool {
	p.root.Send(p.slow, m)
	return true
}

func (p *peer) Close() { p.system.Shutdown() }
