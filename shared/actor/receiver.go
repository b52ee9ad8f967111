package actor

import "sync/atomic"

// ReceiverOf is an actor's behaviour: it takes messages of type M. Receive is
// never called twice at the same time for one actor, and each call sees what
// the calls before it wrote, so that a receiver needs no locks of its own.
//
// A panic in Receive stops the actor and nothing else. A Receive that blocks
// holds one of its dispatcher's MaxConcurrency workers.
type ReceiverOf[M any] interface {
	Receive(ctx *ContextOf[M])
}

// Receiver is a behaviour that takes messages of any type.
type Receiver = ReceiverOf[any]

// Starter is implemented by receivers that act before their first message.
// Started is called once, as Receive is: by a worker soon after Spawn, and in
// a group within the turn that brings the member its first message.
type Starter[M any] interface {
	Started(ctx *ContextOf[M])
}

// Stopper is implemented by receivers that act after their last message. The
// reason is nil after Stop and a *PanicError after a panic. Nothing that
// Stopped sends to its own actor is accepted.
type Stopper[M any] interface {
	Stopped(ctx *ContextOf[M], reason error)
}

// ContextOf is what a receiver knows about the message in hand and about
// itself. It is valid until Receive returns and must not be kept.
type ContextOf[M any] struct {
	actor   *actorOf[M]
	current *M             // into the batch; nil in hooks
	inline  [inlineSlots]M // where a batch from the inline slots is copied
	handled atomic.Int32   // messages of the batch that are done
	turned  int32          // messages of the turn's batches before it
}

// Context is the context of an untyped receiver.
type Context = ContextOf[any]

// Message returns the message in hand, and M's zero value in Started and
// Stopped.
func (c *ContextOf[M]) Message() M {
	if c.current == nil {
		var zero M
		return zero
	}
	return *c.current
}

// Self returns a reference to the actor itself.
func (c *ContextOf[M]) Self() Ref[M] { return Ref[M]{c.actor} }

// PID names the actor itself.
func (c *ContextOf[M]) PID() PID { return c.actor.pid() }

// Stop ends the actor once it has handled the messages accepted before this
// call, the one in hand included.
func (c *ContextOf[M]) Stop() { c.actor.stop() }

func (c *ContextOf[M]) group() *Group { return c.actor.kind.group }

// Sender is an actor in the act of receiving: its context.
type Sender interface{ group() *Group }

// Send is how an actor sends: as Ref.Tell, and within a group the only way. A
// member of a group reaches only members of its own group, and nobody else
// reaches them: across that border Send returns ErrOutsideGroup. Within the
// group there is no MailboxSize, only the turn's limit (ErrTurnLimit).
func Send[M any](from Sender, to Ref[M], msg M) error {
	a := to.actor
	if a == nil {
		return ErrStopped
	}
	g := from.group()
	if a.kind.group != g {
		return a.refuse(ErrOutsideGroup, 1)
	}
	if g != nil {
		return a.tellInTurn(msg)
	}
	return a.tell(msg)
}
