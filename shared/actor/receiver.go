package actor

// ReceiverOf is an actor's behaviour: it takes messages of type M. Receive is
// never called twice at the same time for one actor, and each call sees what
// the calls before it wrote, so that a receiver needs no locks of its own.
//
// A panic in Receive is the actor's failure and nobody else's: it stops, unless
// it has a supervisor that decides otherwise (WithSupervisor, WithGuardian). A
// Receive that blocks holds one of its dispatcher's MaxConcurrency workers.
type ReceiverOf[M any] interface {
	Receive(ctx *ContextOf[M])
}

// Receiver is a behaviour that takes messages of any type.
type Receiver = ReceiverOf[any]

// Starter is implemented by receivers that act before their first message.
// Started is called once a receiver, as Receive is: by a worker soon after Spawn, and in
// a group within the turn that brings the member its first message.
type Starter[M any] interface {
	Started(ctx *ContextOf[M])
}

// Stopper is implemented by receivers that act after their last message, when
// the actor's children have ended. The reason is nil after Stop and a
// *PanicError after a panic. Nothing that Stopped sends to its own actor is
// accepted, unless it is called in place of Restarting (see Restarter).
type Stopper[M any] interface {
	Stopped(ctx *ContextOf[M], reason error)
}

// Sender is an actor in the act of receiving: its context.
type Sender interface {
	group() *Group
	runner() *worker
}

// Send is how an actor sends: as Ref.Tell, with a shorter way to a worker, and
// within a group the only way. A
// member of a group reaches only members of its own group, and nobody else
// reaches them: across that border Send returns ErrOutsideGroup. Within the
// group there is no MailboxSize, only the turn's limit (ErrTurnLimit).
func Send[M any](from Sender, to Ref[M], msg M) error {
	a := to.cell
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
	if self, ok := from.(*ContextOf[M]); ok && a.kind.overflow == Block && self.cell == a.known() {
		return self.cell.tellSelf(self.worker, to.lane, msg)
	}
	return a.tell(from.runner(), to.lane, msg, nil)
}
