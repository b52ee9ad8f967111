// Package router spreads messages over actors that do the same work: routees.
// A Router decides which of them a message goes to; a Pool spawns routees from
// props, and routes over them.
//
// A message passes through it like this: Tell reads the routees of the moment
// through one atomic pointer, the policy picks one, and the message goes into
// that routee's mailbox. No router actor stands in between, Tell takes no lock
// of its own and allocates nothing.
//
//	RoundRobin      the next one in turn
//	LeastLoaded     the one with the fewest messages waiting
//	ConsistentHash  the one that the message's key belongs to
//	Broadcast       all of them
//
// A routee that refuses because its mailbox is full lets the message go on to
// the next one, where any will do: round robin and least loaded. A routee that
// was found to have stopped is left out from then on, since it never comes
// back.
//
// It does not restart routees (that is supervision), keeps no message back and
// promises no order between routees: only messages of one sender with one key
// stay in order, and only while the routees stay the same.
package router

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/atrium-iot/atrium/shared/actor"
)

var (
	// ErrNoRoutees: there is nobody to send to, as none was added or all have
	// stopped. It is also an actor.ErrStopped.
	ErrNoRoutees = fmt.Errorf("router: no routees: %w", actor.ErrStopped)
	// ErrManyAnswers: a question to a Broadcast, which would get an answer of
	// each routee. Tell them a Ref to answer to instead.
	ErrManyAnswers = errors.New("router: a question to all routees has no one answer")
)

// Router sends each message to one of its routees, or to all. It is safe for
// concurrent use. RoundRobin, LeastLoaded, ConsistentHash and Broadcast make
// one.
type Router[M any] struct {
	policy policy[M] // nil: to all
	anyone bool      // when the one that was picked is full, another will do

	routees atomic.Pointer[[]routee[M]] // replaced as a whole, never written to
	mu      sync.Mutex                  // held by whoever replaces it
}

// routee is one actor behind a router.
type routee[M any] struct {
	ref  actor.Ref[M]
	seed uint64 // of its name, for ConsistentHash
}

func newRouter[M any](p policy[M], anyone bool, refs []actor.Ref[M]) *Router[M] {
	r := &Router[M]{policy: p, anyone: anyone}
	r.routees.Store(new([]routee[M]))
	r.Add(refs...)
	return r
}

// Tell sends to the routee that the policy picks. A full one passes the message
// on to those after it, unless it went by its key; ErrMailboxFull says that all
// of them were full. What a full mailbox does is up to its props: one that
// blocks or drops passes nothing on. A Broadcast sends to all and may return
// *Undelivered. ErrNoRoutees.
func (r *Router[M]) Tell(msg M) error {
	send := func(to actor.Ref[M]) error { return to.Tell(msg) }
	if r.policy == nil {
		return r.toAll(send)
	}
	return r.toOne(msg, send)
}

// TellWait sends to the routee that the policy picks, and parks there while it
// is full, whatever its props say: where some are slower than others
// LeastLoaded parks least. When ctx ends, the message goes to one that has room,
// as with Tell, or else the error wraps the context's; one that a routee of
// another node may have (actor.ErrUnconfirmed) goes to nobody else. A Broadcast
// parks at one routee after the other. ErrNoRoutees.
func (r *Router[M]) TellWait(ctx context.Context, msg M) error {
	send := func(to actor.Ref[M]) error { return to.TellWait(ctx, msg) }
	if r.policy == nil {
		return r.toAll(send)
	}
	return r.toOne(msg, send)
}

// toOne sends to the routee that was picked and, where anyone will do, to those
// after it until one accepts.
func (r *Router[M]) toOne(msg M, send func(actor.Ref[M]) error) error {
	for {
		all := *r.routees.Load()
		if len(all) == 0 {
			return ErrNoRoutees
		}
		tries := 1
		if r.anyone {
			tries = len(all)
		}
		var refused error
		for i, first := 0, r.policy.pick(all, msg); i < tries; i++ {
			to := all[(first+i)%len(all)].ref
			err := send(to)
			switch {
			case err == nil:
				return nil
			case errors.Is(err, actor.ErrStopped):
				r.Remove(to)
			case errors.Is(err, actor.ErrUnconfirmed):
				return err // a second one might get it too
			case refused == nil:
				refused = err
			}
		}
		if refused != nil {
			return refused
		}
		// All that were tried have stopped: pick among those who are left.
	}
}

// toAll sends to every routee.
func (r *Router[M]) toAll(send func(actor.Ref[M]) error) error {
	accepted := 0
	var lost *Undelivered
	for _, to := range *r.routees.Load() {
		err := send(to.ref)
		switch {
		case err == nil:
			accepted++
		case errors.Is(err, actor.ErrStopped):
			r.Remove(to.ref)
		case lost == nil:
			lost = &Undelivered{Refused: 1, Routee: to.ref.PID(), Err: err}
		default:
			lost.Refused++
		}
	}
	switch {
	case lost != nil:
		lost.Accepted = accepted
		return lost
	case accepted == 0:
		return ErrNoRoutees
	}
	return nil
}

// Undelivered is a message of a Broadcast that some routees refused. The others
// have it, so sending it again would give it to them twice.
type Undelivered struct {
	Accepted, Refused int       // routees; those that had stopped are neither
	Routee            actor.PID // the first that refused
	Err               error     // why
}

// Error names the first routee that refused.
func (u *Undelivered) Error() string {
	return fmt.Sprintf("router: %d of %d routees refused, %s first: %v", u.Refused, u.Accepted+u.Refused, u.Routee, u.Err)
}

// Unwrap returns why the first one refused.
func (u *Undelivered) Unwrap() error { return u.Err }

// Ask asks the routee that the policy picks and, where Tell would pass the
// message on, those after it while they are full. When the routee stops before
// it answered, the error is actor.ErrStopped and nobody else is asked: the
// question may have been handled. ErrManyAnswers, ErrNoRoutees.
//
// build is called for each routee that is asked. For ConsistentHash it is called
// once more before that, with a Reply that goes to nobody, since the key is in
// the message.
func Ask[R, M any](ctx context.Context, r *Router[M], build func(actor.Reply[R]) M) (answer R, err error) {
	if r.policy == nil {
		return answer, ErrManyAnswers
	}
	all, tries := *r.routees.Load(), 1
	if len(all) == 0 {
		return answer, ErrNoRoutees
	}
	var keyed M
	if r.anyone {
		tries = len(all)
	} else {
		keyed = build(actor.Reply[R]{})
	}
	for i, first := 0, r.policy.pick(all, keyed); i < tries; i++ {
		to := all[(first+i)%len(all)].ref
		answer, err = actor.Ask(ctx, to, build)
		if errors.Is(err, actor.ErrStopped) {
			r.Remove(to)
		}
		if !errors.Is(err, actor.ErrMailboxFull) || ctx.Err() != nil {
			break
		}
	}
	return answer, err
}

// Add adds routees behind those that are there. One that is there already
// stays where it is.
func (r *Router[M]) Add(refs ...actor.Ref[M]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := slices.Clone(*r.routees.Load())
	for _, ref := range refs {
		if !slices.ContainsFunc(next, func(old routee[M]) bool { return old.ref == ref }) {
			next = append(next, routee[M]{ref, seedOf(ref.PID())})
		}
	}
	r.routees.Store(&next)
}

// Remove leaves routees out. It does not stop them, and what they accepted they
// handle; a Tell that is under way may still reach them.
func (r *Router[M]) Remove(refs ...actor.Ref[M]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := slices.Clone(*r.routees.Load())
	next = slices.DeleteFunc(next, func(old routee[M]) bool { return slices.Contains(refs, old.ref) })
	r.routees.Store(&next)
}

// Routees returns the routees, in the order in which they were added. Some may
// have stopped since they were last sent to.
func (r *Router[M]) Routees() []actor.Ref[M] {
	all := *r.routees.Load()
	refs := make([]actor.Ref[M], len(all))
	for i := range all {
		refs[i] = all[i].ref
	}
	return refs
}
