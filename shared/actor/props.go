package actor

import (
	"fmt"

	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// PropsTyped says how to make an actor: its receiver, and where and how it
// runs. It is immutable and may make any number of actors.
type PropsTyped[M any] struct {
	produce    func() ReceiverOf[M]
	supervisor *supervise.Strategy // of its children; nil stops those that fail
	guardian   *supervise.Strategy // of the actor without a parent; nil stops it
	settings
}

// settings are what props say beside the receiver. Actors with equal settings
// and types share a kind.
type settings struct {
	dispatcher  string
	typ         string // "" is the receiver's Go type
	mailbox     Mailbox
	callerRuns  bool
	codec       any // *Codec of the message type, or nil
	passivation *Passivation
}

// Mailbox says how many messages an actor holds and what a full one does.
type Mailbox struct {
	// Size is how many messages may be accepted and not yet handled. Zero is
	// the dispatcher's MailboxSize.
	Size int
	// Overflow is what happens to one more.
	Overflow Overflow
}

// Check names the first field that cannot be used.
func (m Mailbox) Check() error {
	if m.Size < 0 || m.Size > maxSetting {
		return fmt.Errorf("Mailbox.Size: want 0 to %d, got %d", maxSetting, m.Size)
	}
	if int(m.Overflow) >= len(overflows) {
		return fmt.Errorf("Mailbox.Overflow: want one of %q, got %s", overflows[:], m.Overflow)
	}
	return nil
}

// Props makes untyped actors.
type Props = PropsTyped[any]

// PropsFromProducer makes props of untyped actors. The producer is called once
// per Spawn, in the spawner's goroutine, and once per restart, in the actor's turn.
func PropsFromProducer(produce func() Receiver) *Props { return PropsOf(produce) }

// PropsOf makes props of actors that take messages of type M. The producer is
// called once per Spawn, in the spawner's goroutine.
func PropsOf[M any](produce func() ReceiverOf[M]) *PropsTyped[M] {
	return &PropsTyped[M]{produce: produce, settings: settings{dispatcher: DefaultDispatcherName}}
}

// WithDispatcher returns a copy whose actors run on the named dispatcher. In a
// group it has no effect: a group runs its members itself.
func (p *PropsTyped[M]) WithDispatcher(name string) *PropsTyped[M] {
	q := *p
	q.dispatcher = name
	return &q
}

// WithType returns a copy whose actors are counted and configured under a name
// of their own instead of the receiver's Go type.
func (p *PropsTyped[M]) WithType(name string) *PropsTyped[M] {
	q := *p
	q.typ = name
	return &q
}

// WithMailbox returns a copy whose actors have such a mailbox. In a group it
// has no effect: a turn as a whole is bounded there.
func (p *PropsTyped[M]) WithMailbox(m Mailbox) *PropsTyped[M] {
	q := *p
	q.mailbox = m
	return &q
}

// WithCallerRuns returns a copy whose actors, when idle, handle a question in
// the goroutine of the asker: no hand-over, but the asker's context cannot
// interrupt Receive, and the dispatcher's MaxConcurrency does not count it. For
// receivers that answer at once.
func (p *PropsTyped[M]) WithCallerRuns() *PropsTyped[M] {
	q := *p
	q.callerRuns = true
	return &q
}
