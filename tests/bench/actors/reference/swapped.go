package reference

import (
	"context"
	"time"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
	"github.com/atrium-iot/atrium/tests/bench/actors/reference/swap"
)

// swapped is package swap under the workloads.
type swapped struct {
	system  *swap.System[envelope]
	inline  bool // askers run an idle actor themselves
	replies replies

	sinks, echoes    []*swap.Actor[envelope]
	room, head, slow *swap.Actor[envelope]
}

func newSwapped(inline bool) *swapped {
	return &swapped{system: swap.New[envelope](), inline: inline}
}

type swapSink struct{ *load.Sink }

func (s swapSink) Handle(_ *swap.Turn[envelope], e *envelope) { e.msg(); s.Got() }

// swapEcho answers, to a caller that runs it by the message itself.
type swapEcho struct{}

func (swapEcho) Handle(_ *swap.Turn[envelope], e *envelope) {
	if m := e.msg(); e.reply != nil {
		e.reply.answer <- m
	} else {
		e.message = m
	}
}

type swapRoom struct{ members []*swap.Actor[envelope] }

func (r *swapRoom) Handle(t *swap.Turn[envelope], e *envelope) {
	m := e.msg()
	for _, to := range r.members {
		t.Tell(to, envelope{message: m})
	}
}

type swapStage struct{ next *swap.Actor[envelope] }

func (s *swapStage) Handle(t *swap.Turn[envelope], e *envelope) {
	t.Tell(s.next, envelope{message: e.msg()})
}

type swapSlow struct{ load.Slow }

func (s *swapSlow) Handle(*swap.Turn[envelope], *envelope) { s.Slow.Handle() }

func (s *swapped) Sinks(n int, per int64, done func()) {
	s.sinks = make([]*swap.Actor[envelope], n)
	for i := range s.sinks {
		s.sinks[i] = s.system.Spawn(swapSink{load.NewSink(per, done, nil)}, 0)
	}
}

func (s *swapped) Tell(count, start int, m *load.Msg) {
	i := start
	for range count {
		s.sinks[i].Tell(envelope{message: m})
		if i++; i == len(s.sinks) {
			i = 0
		}
	}
}

func (s *swapped) TellBatch(count, start, batch int, m *load.Msg) {
	es := make([]envelope, batch)
	for i := range es {
		es[i].message = m
	}
	i := start
	for left := count / len(s.sinks); left > 0; left -= batch {
		for range s.sinks {
			s.sinks[i].TellBatch(es[:min(batch, left)])
			if i++; i == len(s.sinks) {
				i = 0
			}
		}
	}
}

func (s *swapped) Echoes(n int) {
	for range n {
		s.echoes = append(s.echoes, s.system.Spawn(swapEcho{}, 0))
	}
}

func (s *swapped) Ask(_ context.Context, i int, m *load.Msg, took []uint32) {
	to := s.echoes[i]
	var turn swap.Turn[envelope]
	var e envelope
	for k := range took {
		begin := time.Now()
		e = envelope{message: m}
		if !s.inline || !to.RunInline(&turn, &e) {
			e.reply = s.replies.get()
			to.Tell(e)
			s.replies.wait(e.reply)
		}
		took[k] = load.Nanos(time.Since(begin))
	}
}

func (s *swapped) Room(members int, rounds int64, done, each func()) {
	r := &swapRoom{}
	for range members {
		r.members = append(r.members, s.system.Spawn(swapSink{load.NewSink(rounds, done, each)}, 0))
	}
	s.room = s.system.Spawn(r, 0)
}

func (s *swapped) Broadcast(m *load.Msg) { s.room.Tell(envelope{message: m}) }

func (s *swapped) Pipeline(total int64, done func()) {
	to := s.system.Spawn(swapSink{load.NewSink(total, done, nil)}, 0)
	for range 2 {
		to = s.system.Spawn(&swapStage{to}, 0)
	}
	s.head = to
}

func (s *swapped) Feed(count int, m *load.Msg) {
	for range count {
		s.head.Tell(envelope{message: m})
	}
}

func (s *swapped) Idle(n int, done func()) { s.Sinks(n, 1, done) }

func (s *swapped) Touch(m *load.Msg) { s.Tell(len(s.sinks), 0, m) }

func (s *swapped) Refusing(slow load.Slow) { s.slow = s.system.Spawn(&swapSlow{slow}, slow.Size) }

func (s *swapped) Offer(m *load.Msg) bool { return s.slow.Tell(envelope{message: m}) }

func (s *swapped) Close() { s.system.Close() }
