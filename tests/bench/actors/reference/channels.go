package reference

import (
	"context"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

// mailbox is the buffer of a channel: enough to hand a goroutine some work, in
// a reasonable memory.
const mailbox = 64

// channels is a goroutine and a channel for each actor. A sender waits for
// room, which no other runtime's Tell does.
type channels struct {
	replies replies
	running sync.WaitGroup
	made    []chan envelope

	sinks, echoes    []chan envelope
	room, head, slow chan envelope
}

// spawn starts an actor.
func (c *channels) spawn(size int, handle func(*envelope)) chan envelope {
	in := make(chan envelope, size)
	c.made = append(c.made, in)
	c.running.Go(func() {
		var e envelope // one for all messages: its address is taken
		for e = range in {
			handle(&e)
		}
	})
	return in
}

func (c *channels) sink(s *load.Sink) chan envelope {
	return c.spawn(mailbox, func(e *envelope) { e.msg(); s.Got() })
}

func (c *channels) Sinks(n int, per int64, done func()) {
	c.sinks = make([]chan envelope, n)
	for i := range c.sinks {
		c.sinks[i] = c.sink(load.NewSink(per, done, nil))
	}
}

func (c *channels) Tell(count, start int, m *load.Msg) {
	i := start
	for range count {
		c.sinks[i] <- envelope{message: m}
		if i++; i == len(c.sinks) {
			i = 0
		}
	}
}

func (c *channels) Echoes(n int) {
	for range n {
		c.echoes = append(c.echoes, c.spawn(mailbox, func(e *envelope) { e.reply.answer <- e.msg() }))
	}
}

func (c *channels) Ask(_ context.Context, i int, m *load.Msg, took []uint32) {
	to := c.echoes[i]
	for k := range took {
		begin := time.Now()
		w := c.replies.get()
		to <- envelope{m, w}
		c.replies.wait(w)
		took[k] = load.Nanos(time.Since(begin))
	}
}

func (c *channels) Room(members int, rounds int64, done, each func()) {
	all := make([]chan envelope, members)
	for i := range all {
		all[i] = c.sink(load.NewSink(rounds, done, each))
	}
	c.room = c.spawn(mailbox, func(e *envelope) {
		m := e.msg()
		for _, to := range all {
			to <- envelope{message: m}
		}
	})
}

func (c *channels) Broadcast(m *load.Msg) { c.room <- envelope{message: m} }

func (c *channels) Pipeline(total int64, done func()) {
	to := c.sink(load.NewSink(total, done, nil))
	for range 2 {
		next := to
		to = c.spawn(mailbox, func(e *envelope) { next <- envelope{message: e.msg()} })
	}
	c.head = to
}

func (c *channels) Feed(count int, m *load.Msg) {
	for range count {
		c.head <- envelope{message: m}
	}
}

func (c *channels) Idle(n int, done func()) { c.Sinks(n, 1, done) }

func (c *channels) Touch(m *load.Msg) { c.Tell(len(c.sinks), 0, m) }

func (c *channels) Refusing(s load.Slow) {
	c.slow = c.spawn(s.Size, func(*envelope) { s.Handle() })
}

func (c *channels) Offer(m *load.Msg) bool {
	select {
	case c.slow <- envelope{message: m}:
		return true
	default:
		return false
	}
}

func (c *channels) Waiting(s load.Slow) { c.Refusing(s) }

func (c *channels) Put(ctx context.Context, m *load.Msg) bool {
	select {
	case c.slow <- envelope{message: m}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *channels) Close() {
	for _, in := range c.made {
		close(in)
	}
	c.running.Wait()
}
