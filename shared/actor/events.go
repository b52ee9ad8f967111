package actor

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Event is something that happened in a system: DeadLetter, Terminated,
// Stalled and the other types of this package with this method.
type Event interface{ event() }

// DeadLetter is a message that was accepted and that nobody will handle, or an
// answer that came too late.
type DeadLetter struct {
	// PID is whom the message was for. It is empty for an answer: an asker need
	// not be an actor.
	PID PID
	// Type is the actor's type, or that of the actor that answered.
	Type string
	Lane Lane
	// Message is shared by all subscribers, who must not change what it points
	// to. One that was on its way to another node is encoded, a []byte.
	Message any
	// Reason is the label in atrium_actor_dead_letters_total.
	Reason string
}

// Stalled says that a turn on this dispatcher holds its worker for longer than
// a handler that computes should. The other actors go on: another worker took
// its place. Such handlers belong on a dispatcher of kind Blocking.
type Stalled struct{ Dispatcher string }

func (DeadLetter) event() {}
func (Terminated) event() {}
func (Stalled) event()    {}

// Events is what happens in one system, for the actors that subscribe. An
// event goes straight from the goroutine where it happens into the mailboxes:
// no goroutine and no queue lies between, so the events of one actor keep their
// order. Without subscribers an event costs one atomic load.
type Events struct {
	mu  sync.Mutex                      // held to replace all
	all atomic.Pointer[[]*Subscription] // nil when there are none
}

// Subscription is one actor's wish for events. It ends with the actor, and
// when a virtual one leaves memory.
type Subscription struct {
	events  *Events
	deliver func(Event) (alive bool)
	gone    func() bool
}

// Events returns the system's events.
func (s *ActorSystem) Events() *Events { return &s.events }

// Subscribe lets an actor have events of type E among its messages; E may be
// Event, for all of them. For each, wrap makes the message and says whether it
// is wanted. It is called where the event happens: it must be quick, not block,
// and be safe for concurrent use; when it panics the subscription ends.
//
// An event never waits and drops nothing that is in the mailbox: where it finds
// no room, it is lost to this subscriber and counted in
// atrium_actor_refusals_total by the reason "event". Members of groups get
// ErrOutsideGroup, references to other nodes ErrElsewhere.
func Subscribe[E Event, M any](events *Events, to Ref[M], wrap func(E) (msg M, want bool)) (*Subscription, error) {
	if to.cell == nil {
		return nil, ErrStopped
	}
	a, err := to.cell.here(context.Background())
	if err != nil {
		return nil, err
	}
	gone := a.departed()
	switch {
	case gone():
		return nil, ErrStopped
	case a.member():
		return nil, ErrOutsideGroup
	case a.kind.remote:
		return nil, ErrElsewhere
	}
	s := &Subscription{events: events, gone: gone}
	s.deliver = func(e Event) (alive bool) {
		happened, ok := e.(E)
		if !ok {
			return true
		}
		defer func() {
			if v := recover(); v != nil {
				a.panickedOutside("wrap of a subscription", v)
				alive = false
			}
		}()
		if msg, want := wrap(happened); want {
			return a.offer(to.lane, msg)
		}
		return true
	}
	events.replace(func(all []*Subscription) []*Subscription {
		all = slices.DeleteFunc(all, func(s *Subscription) bool { return s.gone() })
		return append(all, s)
	})
	return s, nil
}

// Cancel ends the subscription. What was enqueued before stays in the mailbox.
func (s *Subscription) Cancel() {
	s.events.replace(func(all []*Subscription) []*Subscription {
		return slices.DeleteFunc(all, func(other *Subscription) bool { return other == s })
	})
}

// replace changes the list of subscriptions by copying it: f gets a copy.
func (e *Events) replace(f func([]*Subscription) []*Subscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []*Subscription
	if old := e.all.Load(); old != nil {
		all = slices.Clone(*old)
	}
	if all = f(all); len(all) == 0 {
		e.all.Store(nil)
		return
	}
	e.all.Store(&all)
}

// heard reports whether anybody subscribes, for those who make an event only
// then.
func (e *Events) heard() bool { return e.all.Load() != nil }

// publish gives an event to its subscribers. No lock may be held.
func (e *Events) publish(event Event) {
	all := e.all.Load()
	if all == nil {
		return
	}
	for _, s := range *all {
		if s.gone() || !s.deliver(event) {
			s.Cancel()
		}
	}
}

// publish gives an event to the system's subscribers. No lock may be held.
func (s *ActorSystem) publish(event Event) { s.events.publish(event) }

// offer enqueues an event where there is room, whatever the props say of a full
// mailbox. It is false when the actor takes nothing more.
func (a *cell[M]) offer(lane Lane, msg M) (alive bool) {
	a.mu.Lock()
	if a.gate&(closing|passive) != 0 {
		a.mu.Unlock()
		return false
	}
	a.stirLocked()
	if !a.hasRoomLocked(lane) {
		a.mu.Unlock()
		a.kind.stats.refusals[refusedEvent].Add(1)
		return true
	}
	a.acceptAndUnlock(nil, lane, msg, nil)
	return true
}

// deadLetter counts a message that was accepted and nobody will handle, and
// publishes it. No lock may be held.
func (a *cell[M]) deadLetter(why drop, lane Lane, msg M) {
	a.kind.stats.dead(why, 1)
	if system := a.kind.system; system.events.heard() {
		system.publish(DeadLetter{PID: a.pid(), Type: a.kind.stats.typ, Lane: lane, Message: msg, Reason: why.String()})
	}
}
