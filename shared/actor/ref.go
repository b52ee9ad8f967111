package actor

import (
	"context"

	"github.com/atrium-iot/atrium/shared/actor/mailbox"
)

// Lane is the priority of a message among those that wait for the same actor.
type Lane = mailbox.Lane

// The lanes of a mailbox. Control goes before all others and has room of its
// own beyond MailboxSize. The others share the actor by weight: of 13 messages
// 8 are High, 4 Normal and 1 Bulk while all have some. None starves: a message
// at the head of Bulk has at most 12 others before it.
// Messages of one sender on one lane arrive in order.
const (
	Normal  = mailbox.Normal
	High    = mailbox.High
	Bulk    = mailbox.Bulk
	Control = mailbox.Control
)

// Ref is a reference to an actor that takes messages of type M. It is a small
// value, comparable, safe for concurrent use, and stays valid after the actor
// stopped: it then refuses. The zero Ref refers to no actor and behaves like
// one that has stopped. The actor may live on another node: RefAt says what
// its methods then mean.
type Ref[M any] struct {
	cell *cell[M]
	lane Lane
}

// On returns a reference to the same actor whose messages travel on lane.
// Within a group there are no lanes: its order is that of sending.
func (r Ref[M]) On(lane Lane) Ref[M] { return Ref[M]{cell: r.cell, lane: lane % mailbox.Lanes} }

// PID names the actor.
func (r Ref[M]) PID() PID {
	if r.cell == nil {
		return PID{}
	}
	return r.cell.pid()
}

// String returns the PID as text.
func (r Ref[M]) String() string { return r.PID().String() }

// Tell enqueues one message and does not wait for it to be handled. A full
// mailbox does what its props say: unless they say otherwise it refuses with
// ErrMailboxFull. A stopped actor refuses with ErrStopped, a member of a group
// with ErrOutsideGroup. The value is copied into the mailbox; what it points to
// belongs to the receiver from then on.
func (r Ref[M]) Tell(msg M) error {
	if r.cell == nil {
		return ErrStopped
	}
	return r.cell.tell(nil, r.lane, msg, nil)
}

// TellWait is Tell that parks while the mailbox is full, whatever its props
// say. Those that wait are let in in their order. When ctx ends first, the
// error wraps ErrMailboxFull and the context's, and nothing was enqueued.
func (r Ref[M]) TellWait(ctx context.Context, msg M) error {
	if r.cell == nil {
		return ErrStopped
	}
	return r.cell.tellWait(ctx, r.lane, msg, nil)
}

// TellBatch enqueues messages in order under one lock: all of them, or as many
// as the mailbox has room for; what it then does with each of the others its
// props say. It returns how many it accepted; the error says why that is less
// than len(msgs). The slice stays the caller's.
func (r Ref[M]) TellBatch(msgs []M) (accepted int, err error) {
	if r.cell == nil {
		return 0, ErrStopped
	}
	return r.cell.tellBatch(context.Background(), r.lane, msgs)
}

// Waiting is how many messages the actor has accepted and not handled, the one
// in hand included.
func (r Ref[M]) Waiting() int {
	if r.cell == nil {
		return 0
	}
	a := r.cell.known()
	switch {
	case a.kind.remote:
		return a.kind.system.courier.waiting(a.cold.place.told)
	case a.roams() && !a.resident():
		return a.kind.system.courier.waiting(PID{ID: a.id})
	}
	return a.waiting()
}

// Stop tells the actor to end: what was accepted before is handled, what comes
// after is refused with ErrStopped, then its children end in the same way, then
// the receiver's Stopped runs. An actor that waits for its supervisor or for a
// restart ends at once, and what it accepted are dead letters. Stop does not
// wait; Stopped does. Stopping twice is allowed. A virtual actor that may be
// another node's is looked for first; the error says that nobody knows. A
// member of a group is stopped by its own context or with its group: for it,
// Stop returns ErrOutsideGroup.
func (r Ref[M]) Stop() error {
	if r.cell == nil {
		return nil
	}
	if r.cell.kind.group != nil {
		return ErrOutsideGroup
	}
	a, err := r.cell.here(context.Background())
	switch {
	case err != nil:
		return err
	case a.kind.remote:
		return ErrElsewhere
	}
	a.stop()
	return nil
}

// Poison puts the end of the actor behind what its normal lane holds, as if it
// were a message: what is accepted after it is a dead letter, not a refusal.
// Senders that know nothing of the end get no error. Members of a group return
// ErrOutsideGroup.
func (r Ref[M]) Poison() error {
	if r.cell == nil {
		return nil
	}
	if r.cell.kind.group != nil {
		return ErrOutsideGroup
	}
	a, err := r.cell.here(context.Background())
	switch {
	case err != nil:
		return err
	case a.kind.remote:
		return ErrElsewhere
	}
	a.poison()
	return nil
}

// Stopped returns a channel that is closed when the actor has stopped and its
// Stopped hook has returned.
func (r Ref[M]) Stopped() <-chan struct{} {
	if r.cell == nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	a, _ := r.cell.here(context.Background()) // what can't be found is not away
	if a.kind.remote {
		return nil
	}
	return a.stopped()
}
