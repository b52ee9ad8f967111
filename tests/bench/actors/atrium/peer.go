// Package atrium puts Atrium's actor runtime under the workloads of package
// load. It uses the public interface of shared/actor only, as a program would.
package atrium

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

// Runtimes are the ways in which the runtime is measured.
func Runtimes() map[string]func() load.Peer {
	return map[string]func() load.Peer{
		"atrium": func() load.Peer { return newPeer() },
	}
}

// wide is the dispatcher of the workloads in which senders outrun actors: the
// runtimes beside it have no bound, so this one must not refuse either.
const (
	wide     = "wide"
	wideSize = 1 << 30
)

// narrow is the dispatcher of the slow actor.
const narrow = "narrow"

// question is what an echo gets. It is answered with the message.
type question struct {
	m     *load.Msg
	reply actor.Reply[*load.Msg]
}

type peer struct {
	system  *actor.ActorSystem
	spawned int

	sinks  []actor.Ref[*load.Msg]
	echoes []actor.Ref[question]
	room   actor.Ref[*load.Msg]
	head   actor.Ref[*load.Msg]
	slow   actor.Ref[*load.Msg]
}

func newPeer() *peer {
	p := &peer{system: actor.NewActorSystem(actor.Config{Address: "127.0.0.1", Port: 1, ClusterName: "bench"}, nil)}
	p.dispatcher(wide, wideSize)
	return p
}

func (p *peer) dispatcher(name string, size int) {
	must(p.system.RegisterDispatcher(name, actor.DispatcherConfig{
		Throughput: 100, MailboxSize: size, MaxConcurrency: runtime.GOMAXPROCS(0),
	}))
}

// must ends a workload that the runtime refuses: its figure would be wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func spawn[M any](p *peer, dispatcher string, r actor.ReceiverOf[M]) actor.Ref[M] {
	p.spawned++
	props := actor.PropsOf(func() actor.ReceiverOf[M] { return r }).WithDispatcher(dispatcher)
	ref, err := actor.Spawn(p.system.Engine(), props, strconv.Itoa(p.spawned))
	must(err)
	return ref
}

type sink struct{ *load.Sink }

func (s sink) Receive(ctx *actor.ContextOf[*load.Msg]) { ctx.Message(); s.Got() }

type echo struct{}

func (echo) Receive(ctx *actor.ContextOf[question]) {
	q := ctx.Message()
	q.reply.Send(q.m)
}

type room struct{ members []actor.Ref[*load.Msg] }

func (r *room) Receive(ctx *actor.ContextOf[*load.Msg]) {
	m := ctx.Message()
	for _, to := range r.members {
		must(actor.Send(ctx, to, m))
	}
}

type stage struct{ next actor.Ref[*load.Msg] }

func (s *stage) Receive(ctx *actor.ContextOf[*load.Msg]) {
	must(actor.Send(ctx, s.next, ctx.Message()))
}

type slow struct{ load.Slow }

func (s *slow) Receive(*actor.ContextOf[*load.Msg]) { s.Handle() }

func (p *peer) Sinks(n int, per int64, done func()) {
	p.sinks = make([]actor.Ref[*load.Msg], n)
	for i := range p.sinks {
		p.sinks[i] = spawn(p, wide, sink{load.NewSink(per, done, nil)})
	}
}

func (p *peer) Tell(count, start int, m *load.Msg) {
	i := start
	for range count {
		must(p.sinks[i].Tell(m))
		if i++; i == len(p.sinks) {
			i = 0
		}
	}
}

func (p *peer) TellBatch(count, start, batch int, m *load.Msg) {
	ms := make([]*load.Msg, batch)
	for i := range ms {
		ms[i] = m
	}
	i := start
	for left := count / len(p.sinks); left > 0; left -= batch {
		for range p.sinks {
			_, err := p.sinks[i].TellBatch(ms[:min(batch, left)])
			must(err)
			if i++; i == len(p.sinks) {
				i = 0
			}
		}
	}
}

func (p *peer) Echoes(n int) {
	for range n {
		p.echoes = append(p.echoes, spawn(p, wide, echo{}))
	}
}

func (p *peer) Ask(ctx context.Context, i int, m *load.Msg, took []uint32) {
	to := p.echoes[i]
	build := func(r actor.Reply[*load.Msg]) question { return question{m, r} }
	for k := range took {
		begin := time.Now()
		_, err := actor.Ask(ctx, to, build)
		must(err)
		took[k] = load.Nanos(time.Since(begin))
	}
}

func (p *peer) Room(members int, rounds int64, done, each func()) {
	r := &room{}
	for range members {
		r.members = append(r.members, spawn(p, wide, sink{load.NewSink(rounds, done, each)}))
	}
	p.room = spawn(p, wide, r)
}

func (p *peer) Broadcast(m *load.Msg) { must(p.room.Tell(m)) }

func (p *peer) Pipeline(total int64, done func()) {
	to := spawn(p, wide, sink{load.NewSink(total, done, nil)})
	for range 2 {
		to = spawn(p, wide, &stage{to})
	}
	p.head = to
}

func (p *peer) Feed(count int, m *load.Msg) {
	for range count {
		must(p.head.Tell(m))
	}
}

func (p *peer) Idle(n int, done func()) { p.Sinks(n, 1, done) }

func (p *peer) Touch(m *load.Msg) { p.Tell(len(p.sinks), 0, m) }

func (p *peer) Refusing(s load.Slow) {
	p.dispatcher(narrow, s.Size)
	p.slow = spawn(p, narrow, &slow{s})
}

func (p *peer) Offer(m *load.Msg) bool {
	err := p.slow.Tell(m)
	if !errors.Is(err, actor.ErrMailboxFull) {
		must(err)
	}
	return err == nil
}

func (p *peer) Close() { must(p.system.Stop(context.Background())) }
