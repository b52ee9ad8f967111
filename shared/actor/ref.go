package actor

// Ref is a reference to an actor that takes messages of type M. It is a small
// value, comparable, safe for concurrent use, and stays valid after the actor
// stopped: it then refuses. The zero Ref refers to no actor and behaves like
// one that has stopped.
type Ref[M any] struct {
	actor *actorOf[M]
}

// PID names the actor.
func (r Ref[M]) PID() PID {
	if r.actor == nil {
		return PID{}
	}
	return r.actor.pid()
}

// String returns the PID as text.
func (r Ref[M]) String() string { return r.PID().String() }

// Tell enqueues one message and does not wait for it to be handled. It never
// blocks on the actor: a full mailbox refuses with ErrMailboxFull, a stopped
// actor with ErrStopped, a member of a group with ErrOutsideGroup. The value
// is copied into the mailbox; what it points to belongs to the receiver from
// then on. Messages of one goroutine to one actor arrive in order.
func (r Ref[M]) Tell(msg M) error {
	if r.actor == nil {
		return ErrStopped
	}
	if err := r.actor.enter(1); err != nil {
		return err
	}
	return r.actor.tell(msg)
}

// TellBatch enqueues messages in order under one lock: all of them, or as many
// as the mailbox has room for. It returns how many it accepted; the error says
// why that is less than len(msgs). The slice stays the caller's.
func (r Ref[M]) TellBatch(msgs []M) (accepted int, err error) {
	if r.actor == nil {
		return 0, ErrStopped
	}
	if err := r.actor.enter(len(msgs)); err != nil {
		return 0, err
	}
	return r.actor.tellBatch(msgs)
}

// Stop tells the actor to end: what was accepted before is handled, what comes
// after is refused with ErrStopped, then the receiver's Stopped runs. It does
// not wait; Stopped does. Stopping twice is allowed. A member of a group is
// stopped by its own context or with its group: for it, Stop returns
// ErrOutsideGroup.
func (r Ref[M]) Stop() error {
	if r.actor == nil {
		return nil
	}
	if r.actor.kind.group != nil {
		return ErrOutsideGroup
	}
	r.actor.stop()
	return nil
}

// Stopped returns a channel that is closed when the actor has stopped and its
// Stopped hook has returned.
func (r Ref[M]) Stopped() <-chan struct{} {
	if r.actor == nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return r.actor.stopped()
}
