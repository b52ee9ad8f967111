// Package load holds the workloads by which actor runtimes are compared, and
// what a runtime must offer to run them.
//
// A process runs one workload on one runtime and prints one JSON object of
// figures (One). The loops that send are the runtime's own, in Peer, so that
// the harness adds no call to a message; what the actors do on receipt is the
// same for all (Sink). A workload ends when the actors say that they have got
// everything, never when the senders are done: a runtime that loses a message
// hangs, and One ends it with an error.
//
// The package imports the standard library only, so that a runtime that lives
// in a module of its own can use it without the product's dependencies. It
// knows no runtime, compares nothing and prints no table.
package load

import (
	"context"
	"sync/atomic"
	"time"
)

// Msg is the message: four words, as a reading has. A *Msg travels, one for
// each sender, and is never written to.
type Msg struct {
	ID    uint64
	Seq   uint64
	Value float64
	Time  int64
}

// Peer is a runtime under test. A peer is used for one workload: methods that
// spawn are called before those that send, some of them twice (a warm-up).
// Senders may be called from several goroutines at once, each with its own
// Msg. A peer panics where its runtime refuses what the workload needs.
type Peer interface {
	// Sinks spawns n actors that handle a message with a Sink each; it replaces
	// the sinks of an earlier call.
	Sinks(n int, per int64, done func())
	// Tell sends count messages, one to each sink in turn, beginning with start.
	Tell(count, start int, m *Msg)

	// Echoes spawns n actors that answer with the message itself.
	Echoes(n int)
	// Ask asks echo i len(took) times, one after another, and writes down how
	// many nanoseconds each took. Where the runtime can give up waiting, it
	// waits with ctx.
	Ask(ctx context.Context, i int, m *Msg, took []uint32)

	// Room spawns an actor that sends what it gets to members actors with a
	// Sink each.
	Room(members int, rounds int64, done, each func())
	// Broadcast sends one message to the room.
	Broadcast(m *Msg)

	// Pipeline spawns three actors in line: two that send on, a Sink at the end.
	Pipeline(total int64, done func())
	// Feed sends count messages to the pipeline's first actor.
	Feed(count int, m *Msg)

	// Idle spawns n actors with a Sink each, allocated on its own, that calls
	// done on its first message.
	Idle(n int, done func())
	// Touch sends one message to each idle actor.
	Touch(m *Msg)

	// Close ends what the peer started. Nothing is in flight when it is called.
	Close()
}

// Batcher is a peer whose runtime takes several messages at once.
type Batcher interface {
	Peer
	// TellBatch sends count messages in batches; each batch goes to one sink,
	// the next to the next, beginning with start. A sink gets count/sinks.
	TellBatch(count, start, batch int, m *Msg)
}

// Slow is an actor that needs delay for a message and counts what it handled.
type Slow struct {
	Size    int // of its mailbox
	Delay   time.Duration
	Handled *atomic.Int64
}

// Handle is what the actor does with a message.
func (s Slow) Handle() {
	time.Sleep(s.Delay)
	s.Handled.Add(1)
}

// Refuser is a peer whose runtime says that a mailbox is full.
type Refuser interface {
	Peer
	// Refusing spawns the slow actor.
	Refusing(s Slow)
	// Offer sends it a message, and is false when that was refused.
	Offer(m *Msg) bool
}

// Waiter is a peer whose runtime lets a sender wait for room in a mailbox.
type Waiter interface {
	Peer
	// Waiting spawns the slow actor.
	Waiting(s Slow)
	// Put sends it a message as soon as there is room; false when ctx ended
	// first. A runtime that knows no context waits on.
	Put(ctx context.Context, m *Msg) bool
}

// Sink is what an actor at the end of a line does: it counts.
type Sink struct {
	got, want  int64
	done, each func()
}

// NewSink calls done at the message number want and, unless it is nil, each at
// every message.
func NewSink(want int64, done, each func()) *Sink {
	return &Sink{want: want, done: done, each: each}
}

// Got handles one message. An actor calls it from one goroutine at a time.
func (s *Sink) Got() {
	s.got++
	if s.got == s.want {
		s.done()
	}
	if s.each != nil {
		s.each()
	}
}
