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

// Runtimes are the ways in which the runtime is measured: questions wait in
// the mailbox, or askers run an idle actor themselves.
func Runtimes() map[string]func() load.Peer {
	return map[string]func() load.Peer{
		"atrium":        func() load.Peer { return newPeer(false) },
		"atrium-inline": func() load.Peer { return newPeer(true) },
	}
}

// dispatcher is that of all actors here. The runtimes beside have no bound in
// the workloads in which senders outrun actors, so this one must not refuse
// either.
const (
	dispatcher = "bench"
	noBound    = 1 << 30
)

// question is what an echo gets. It is answered with the message.
type question struct {
	m     *load.Msg
	reply actor.Reply[*load.Msg]
}

type peer struct {
	system  *actor.ActorSystem
	inline  bool
	spawned int

	sinks  []actor.Ref[*load.Msg]
	echoes []actor.Ref[question]
	room   actor.Ref[*load.Msg]
	head   actor.Ref[*load.Msg]
	slow   actor.Ref[*load.Msg]
}

func newPeer(inline bool) *peer {
	p := &peer{inline: inline}
	p.system = actor.NewActorSystem(actor.Config{Address: "127.0.0.1", Port: 1, ClusterName: "bench"}, nil)
	must(p.system.RegisterDispatcher(dispatcher, actor.DispatcherConfig{
		Throughput: 100, MailboxSize: noBound, MaxConcurrency: runtime.GOMAXPROCS(0),
	}))
	return p
}

// must ends a workload that the runtime refuses: its figure would be wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func props[M any](r actor.ReceiverOf[M]) *actor.PropsTyped[M] {
	return actor.PropsOf(func() actor.ReceiverOf[M] { return r }).WithDispatcher(dispatcher)
}

func spawn[M any](p *peer, props *actor.PropsTyped[M]) actor.Ref[M] {
	p.spawned++
	ref, err := actor.Spawn(p.system.Engine(), props, strconv.Itoa(p.spawned))
	must(err)
	return ref
}

// spawnSinks makes n actors of the same props, as a program does.
func spawnSinks(p *peer, n int, want int64, done, each func()) []actor.Ref[*load.Msg] {
	props := actor.PropsOf(func() actor.ReceiverOf[*load.Msg] { return sink{load.NewSink(want, done, each)} })
	props = props.WithDispatcher(dispatcher)
	refs := make([]actor.Ref[*load.Msg], n)
	for i := range refs {
		refs[i] = spawn(p, props)
	}
	return refs
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
	p.sinks = spawnSinks(p, n, per, done, nil)
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
	props := props[question](echo{})
	if p.inline {
		props = props.WithCallerRuns()
	}
	for range n {
		p.echoes = append(p.echoes, spawn(p, props))
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
	p.room = spawn(p, props[*load.Msg](&room{spawnSinks(p, members, rounds, done, each)}))
}

func (p *peer) Broadcast(m *load.Msg) { must(p.room.Tell(m)) }

func (p *peer) Pipeline(total int64, done func()) {
	to := spawnSinks(p, 1, total, done, nil)[0]
	for range 2 {
		to = spawn(p, props[*load.Msg](&stage{to}))
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
	p.slow = spawn(p, props[*load.Msg](&slow{s}).WithMailbox(actor.Mailbox{Size: s.Size}))
}

func (p *peer) Offer(m *load.Msg) bool {
	err := p.slow.Tell(m)
	if !errors.Is(err, actor.ErrMailboxFull) {
		must(err)
	}
	return err == nil
}

func (p *peer) Waiting(s load.Slow) { p.Refusing(s) }

func (p *peer) Put(ctx context.Context, m *load.Msg) bool {
	err := p.slow.TellWait(ctx, m)
	if ctx.Err() == nil {
		must(err)
	}
	return err == nil
}

func (p *peer) Close() { must(p.system.Stop(context.Background())) }
