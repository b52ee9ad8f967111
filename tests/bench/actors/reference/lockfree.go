package reference

import (
	"context"
	"time"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
	"github.com/atrium-iot/atrium/tests/bench/actors/reference/mpsc"
)

// lockFree is package mpsc under the workloads.
type lockFree struct {
	system  *mpsc.System[envelope]
	replies replies

	sinks, echoes []*mpsc.Actor[envelope]
	room, head    *mpsc.Actor[envelope]
}

func newLockFree() *lockFree { return &lockFree{system: mpsc.New[envelope]()} }

type mpscSink struct{ *load.Sink }

func (s mpscSink) Handle(e *envelope) { e.msg(); s.Got() }

type mpscEcho struct{}

func (mpscEcho) Handle(e *envelope) { e.reply.answer <- e.msg() }

// mpscRoom sends on to all: a room, or with one member a stage of a pipeline.
type mpscRoom struct{ members []*mpsc.Actor[envelope] }

func (r *mpscRoom) Handle(e *envelope) {
	m := e.msg()
	for _, to := range r.members {
		to.Tell(envelope{message: m})
	}
}

func (l *lockFree) Sinks(n int, per int64, done func()) {
	l.sinks = make([]*mpsc.Actor[envelope], n)
	for i := range l.sinks {
		l.sinks[i] = l.system.Spawn(mpscSink{load.NewSink(per, done, nil)})
	}
}

func (l *lockFree) Tell(count, start int, m *load.Msg) {
	i := start
	for range count {
		l.sinks[i].Tell(envelope{message: m})
		if i++; i == len(l.sinks) {
			i = 0
		}
	}
}

func (l *lockFree) Echoes(n int) {
	for range n {
		l.echoes = append(l.echoes, l.system.Spawn(mpscEcho{}))
	}
}

func (l *lockFree) Ask(_ context.Context, i int, m *load.Msg, took []uint32) {
	to := l.echoes[i]
	for k := range took {
		begin := time.Now()
		w := l.replies.get()
		to.Tell(envelope{m, w})
		l.replies.wait(w)
		took[k] = load.Nanos(time.Since(begin))
	}
}

func (l *lockFree) Room(members int, rounds int64, done, each func()) {
	r := &mpscRoom{}
	for range members {
		r.members = append(r.members, l.system.Spawn(mpscSink{load.NewSink(rounds, done, each)}))
	}
	l.room = l.system.Spawn(r)
}

func (l *lockFree) Broadcast(m *load.Msg) { l.room.Tell(envelope{message: m}) }

func (l *lockFree) Pipeline(total int64, done func()) {
	to := l.system.Spawn(mpscSink{load.NewSink(total, done, nil)})
	for range 2 {
		to = l.system.Spawn(&mpscRoom{[]*mpsc.Actor[envelope]{to}})
	}
	l.head = to
}

func (l *lockFree) Feed(count int, m *load.Msg) {
	for range count {
		l.head.Tell(envelope{message: m})
	}
}

func (l *lockFree) Idle(n int, done func()) { l.Sinks(n, 1, done) }

func (l *lockFree) Touch(m *load.Msg) { l.Tell(len(l.sinks), 0, m) }

func (l *lockFree) Close() { l.system.Close() }
