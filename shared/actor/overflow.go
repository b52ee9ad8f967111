package actor

import (
	"context"
	"fmt"
	"slices"
)

// Overflow says what a full mailbox does with one message more.
type Overflow uint8

const (
	// Refuse gives it back to its sender with ErrMailboxFull.
	Refuse Overflow = iota
	// Block lets the sender wait for room, or for the end of the actor. An
	// actor that would wait for itself is refused, where it sends with Send;
	// with Tell and TellBatch it must not.
	Block
	// DropOldest drops the oldest waiting message of the lane, or of a lower
	// one, and accepts the new one. Where nothing waits that may be dropped,
	// the new one is. An asker whose question is dropped is not told: it waits
	// until its context ends.
	DropOldest
	// DropNewest drops the new one. Its sender is not told; the counter and the
	// dead letters are.
	DropNewest
)

// overflows are the names in configuration files.
var overflows = [...]string{Refuse: "refuse", Block: "block", DropOldest: "drop_oldest", DropNewest: "drop_newest"}

// String is the name that configuration files use.
func (o Overflow) String() string {
	if int(o) < len(overflows) {
		return overflows[o]
	}
	return fmt.Sprintf("overflow(%d)", uint8(o))
}

// UnmarshalText reads the name of a policy.
func (o *Overflow) UnmarshalText(name []byte) error {
	i := slices.Index(overflows[:], string(name))
	if i < 0 {
		return fmt.Errorf("want one of %q, got %q", overflows[:], name)
	}
	*o = Overflow(i)
	return nil
}

// waiter is a sender that is parked until its message fits.
type waiter[M any] struct {
	lane     Lane
	msg      M
	question *question
	done     chan error // capacity 1
}

// makeRoomLocked takes the oldest message out that may go for one on lane.
func (a *cell[M]) makeRoomLocked(lane Lane) (from Lane, oldest M, ok bool) {
	for _, from := range [...]Lane{lane, Bulk, Normal} {
		if rank(from) > rank(lane) {
			continue
		}
		if msg, ok := a.box.Shift(from, a.kind.chunks); ok {
			if from == Normal && a.cold != nil && a.cold.pill > 1 {
				a.cold.pill--
			}
			return from, msg, true
		}
	}
	return lane, oldest, false
}

// rank orders lanes by importance.
func rank(l Lane) int { return [...]int{Bulk: 0, Normal: 1, High: 2, Control: 3}[l] }

// overflowAndUnlock deals with a message that does not fit.
func (a *cell[M]) overflowAndUnlock(w *worker, lane Lane, msg M, q *question) error {
	policy := a.kind.overflow
	if lane == Control {
		policy = Refuse // never dropped
	}
	if policy == DropOldest {
		if from, oldest, ok := a.makeRoomLocked(lane); ok {
			a.acceptAndUnlock(w, lane, msg, q)
			a.deadLetter(dropOldest, from, oldest)
			return nil
		}
	}
	if q != nil {
		policy = Refuse // an asker is told
	}
	switch policy {
	case Block:
		return a.waitAndUnlock(context.Background(), lane, msg, nil)
	case DropOldest, DropNewest:
		a.mu.Unlock()
		a.deadLetter(dropNewest, lane, msg)
		return nil
	}
	a.mu.Unlock()
	return a.refuse(ErrMailboxFull, 1)
}

// tellWait is tell that parks while the mailbox is full.
func (a *cell[M]) tellWait(ctx context.Context, lane Lane, msg M, q *question) error {
	a.mu.Lock()
	if a.gate != 0 {
		if to, err := a.passLocked(ctx); to != a {
			a.mu.Unlock()
			if to != nil {
				return to.tellWait(ctx, lane, msg, q)
			}
			return a.refuse(err, 1)
		}
		if a.gate&elsewhere != 0 {
			a.mu.Unlock()
			if q != nil {
				return a.refuse(ErrStale, 1)
			}
			return a.tellWaitAway(ctx, lane, msg)
		}
	}
	if !a.hasRoomLocked(lane) {
		return a.waitAndUnlock(ctx, lane, msg, q)
	}
	if a.gate&limited != 0 && a.reserveLocked(1) == 0 {
		return a.overLimitAndUnlock(1)
	}
	a.acceptAndUnlock(nil, lane, msg, q)
	return nil
}

// tellSelf is tell for an actor that must not wait, since it would wait for
// itself.
func (a *cell[M]) tellSelf(w *worker, lane Lane, msg M) error {
	a.mu.Lock()
	err := ErrMailboxFull
	if a.gate&closing != 0 {
		err = ErrStopped
	} else if a.hasRoomLocked(lane) {
		a.acceptAndUnlock(w, lane, msg, nil)
		return nil
	}
	a.mu.Unlock()
	return a.refuse(err, 1)
}

// acceptAndUnlock enqueues a message that has room.
func (a *cell[M]) acceptAndUnlock(w *worker, lane Lane, msg M, q *question) {
	a.putLocked(lane, msg)
	if q != nil {
		a.coldLocked().questions.add(q)
	}
	a.wakeAndUnlock(w)
}

// waitAndUnlock parks the sender. Room is given in the order of arrival, by the
// turn that frees it, so that nobody overtakes.
func (a *cell[M]) waitAndUnlock(ctx context.Context, lane Lane, msg M, q *question) error {
	if a.cold != nil && len(a.cold.waiters) >= maxWaiters {
		a.mu.Unlock()
		return a.refuse(ErrMailboxFull, 1)
	}
	w := &waiter[M]{lane: lane, msg: msg, question: q, done: make(chan error, 1)}
	cold := a.coldLocked()
	cold.waiters = append(cold.waiters, w)
	a.attention.Or(wantRoom)
	a.mu.Unlock()
	stepUntil(ctx, a.kind.system.stepper, w.done)
	select {
	case err := <-w.done:
		return a.refuse(err, 1)
	case <-ctx.Done():
	}
	a.mu.Lock()
	for i, other := range cold.waiters {
		if other == w {
			cold.waiters = append(cold.waiters[:i], cold.waiters[i+1:]...)
			a.mu.Unlock()
			return a.refuse(fmt.Errorf("%w: %w", ErrMailboxFull, ctx.Err()), 1)
		}
	}
	a.mu.Unlock()
	return a.refuse(<-w.done, 1) // it was let in, or refused, at the same moment
}

// maxWaiters bounds the senders parked at one actor; each is a goroutine.
const maxWaiters = 10_000

// turnAwayLocked refuses the waiting senders of an actor that was told to stop.
func (a *cell[M]) turnAwayLocked() {
	a.attention.And(^wantRoom)
	if a.cold == nil {
		return
	}
	for _, w := range a.cold.waiters {
		w.done <- ErrStopped
	}
	a.cold.waiters = nil
}

// admitLocked lets waiting senders in while there is room.
func (a *cell[M]) admitLocked() {
	cold := a.cold
	if a.gate&closing != 0 {
		a.turnAwayLocked()
		return
	}
	if cold == nil || len(cold.waiters) == 0 {
		a.attention.And(^wantRoom)
		return
	}
	n := 0
	for _, w := range cold.waiters {
		if !a.hasRoomLocked(w.lane) {
			break
		}
		a.putLocked(w.lane, w.msg)
		if w.question != nil {
			cold.questions.add(w.question)
		}
		w.done <- nil
		n++
	}
	clear(cold.waiters[:n])
	cold.waiters = cold.waiters[n:]
	if len(cold.waiters) == 0 {
		cold.waiters = nil
		a.attention.And(^wantRoom)
	}
}
