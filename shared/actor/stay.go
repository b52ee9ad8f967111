package actor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/atrium-iot/atrium/shared/actor/lru"
	"github.com/atrium-iot/atrium/shared/actor/mailbox"
	"github.com/atrium-iot/atrium/shared/actor/snapshot"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
	"github.com/atrium-iot/atrium/shared/actor/wheel"
)

// stay is what a virtual actor has while it is in memory, from its activation
// to its passivation or its end. The cell's lock guards it unless a field says
// otherwise; DESIGN.md draws the machine.
type stay[M any] struct {
	cell    *cell[M]
	place   lru.Entry[*stay[M]] // among the residents; the type's lock
	leaving bool                // to be passivated, in no queue; the type's lock
	listed  bool                // in the type's spent; its lock

	call  storeCall // under way
	next  storeCall // after it
	state []byte    // loaded and not restored, or taken and not saved
	found bool      // state was loaded

	over    atomic.Bool
	counted bool  // in its type's limit and its site's
	awake   bool  // has had a receiver; the turn's
	handled int32 // messages
	refused bool  // gave no snapshot in this turn; the turn's
	kept    bool  // the system stops: save the state
	final   bool  // told to end for good: delete it, whatever else happens
	tries   int   // of the last calls, since it is told to end
	reason  error // of the end
	loads   supervise.Record
	retry   *wheel.Alarm // of a load that failed
}

// staying is the stay of a virtual actor; nil for others, and when passive.
func (a *cell[M]) stayingLocked() *stay[M] {
	if a.cold == nil {
		return nil
	}
	return a.cold.stay
}

// enterLocked makes a passive cell the one of its ID, in memory and without a
// receiver. When another cell is, it returns that one.
func (a *cell[M]) enterLocked() (*cell[M], error) {
	engine := a.kind.system.engine
	found, err := engine.place(a, true)
	if err != nil {
		return nil, ErrStopped
	}
	if found != entry(a) {
		return a.sameKind(found)
	}
	a.kind.stats.actors.Add(1)
	a.gate &^= passive
	s := &stay[M]{cell: a}
	a.coldLocked().stay = s
	if engine.closing.Load() { // Stop may have looked before it was there
		a.gate |= closing
		s.kept = true
	}
	return a, nil
}

// sameKind is the cell that has the actor's ID, if that is the same actor.
func (a *cell[M]) sameKind(found entry) (*cell[M], error) {
	if b, ok := found.(*cell[M]); ok && b.kind == a.kind {
		return b, nil
	}
	return nil, ErrIDInUse
}

// activateLocked brings a passive actor into memory for a message, or finds the
// cell that is there. To come back to a passive cell, a sender needs that the
// actor was activated and passivated while it looked: somebody makes progress.
//
// It lets go of the lock while it asks where the actor belongs.
func (a *cell[M]) activateLocked(ctx context.Context) (*cell[M], error) {
	if a.roams() {
		a.mu.Unlock()
		to, err := a.abroad(ctx)
		a.mu.Lock()
		if to != nil || err != nil {
			return to, err
		}
		if a.gate&passive == 0 { // another sender was quicker
			return a.passLocked(ctx)
		}
	}
	to, err := a.enterLocked()
	if to != a {
		return to, err
	}
	err = a.enterLimitsLocked(siteOf(a.kind.virtual.nameOf(a.id)))
	a.cold.stay.counted = err == nil
	if err == nil && a.siteFullLocked() {
		err = ErrLimit
	}
	if err != nil {
		a.retireLocked()
		a.kind.system.engine.leave(true)
		return nil, err
	}
	a.status = idle // its turn makes the receiver
	if a.kind.virtual.rules.Store == nil {
		return a, nil
	}
	a.status = activating
	if !a.callLocked(a.cold.stay, loading) {
		a.retireLocked()
		a.kind.system.engine.leave(true)
		return nil, ErrStopped
	}
	return a, nil
}

// locatedKey marks the context of a message whose actor was just found to belong
// here.
type locatedKey struct{}

func located(ctx context.Context) context.Context {
	return context.WithValue(ctx, locatedKey{}, true)
}

// roams reports whether the actor may belong to another node.
func (a *cell[M]) roams() bool {
	return a.kind.virtual != nil && a.kind.codec != nil && a.kind.system.courier != nil
}

// resident implements entry: whether the cell is in memory. A shell is not.
func (a *cell[M]) resident() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gate&passive == 0
}

// abroad stands for a virtual actor that is not in memory here and belongs to
// another node; nil is one of this node. It waits for the transport: no lock is
// held.
func (a *cell[M]) abroad(ctx context.Context) (*cell[M], error) {
	k := a.kind
	c, e := k.system.courier, k.system.engine
	if ctx.Value(locatedKey{}) != nil {
		return nil, nil
	}
	if found, ok := e.actors.Get(a.id); ok && found.resident() {
		return nil, nil
	}
	address, err := c.whereabouts(ctx, a.id)
	if err != nil || address == c.self {
		return nil, err
	}
	return remoteCell(e, k.codec, PID{ID: a.id}, address), nil
}

// known is the cell in memory that has the actor's ID, or else this one.
func (a *cell[M]) known() *cell[M] {
	if a.kind.virtual == nil || a.resident() {
		return a
	}
	if found, ok := a.kind.system.engine.actors.Get(a.id); ok {
		if b, err := a.sameKind(found); err == nil {
			return b
		}
	}
	return a
}

// here is the cell that has the actor's ID, or stands for the one that has, when
// a passive one is asked. The error says that nobody knows.
func (a *cell[M]) here(ctx context.Context) (*cell[M], error) {
	b := a.known()
	if !b.roams() || b.resident() {
		return b, nil
	}
	to, err := b.abroad(ctx)
	if to == nil {
		to = b
	}
	return to, err
}

// shellLocked keeps a passive actor's place for those who watch it: no other
// cell can have its ID then. It returns the cell that has it, and nil when the
// system stops.
func (a *cell[M]) shellLocked() *cell[M] {
	if a.gate&passive == 0 {
		return a
	}
	engine := a.kind.system.engine
	found, err := engine.place(a, false)
	if err != nil {
		return nil
	}
	if found == entry(a) && a.cold == nil && engine.closing.Load() { // Stop may have looked before
		engine.forget(a)
		return nil
	}
	to, err := a.sameKind(found)
	if err != nil {
		return nil
	}
	return to
}

// loadedAndUnlock goes on after the store was asked for the actor's state.
func (a *cell[M]) loadedAndUnlock(s *stay[M], state []byte, err error) {
	v := a.kind.virtual
	if err == nil || errors.Is(err, snapshot.ErrNone) {
		s.state, s.found = state, err == nil
		s.loads, s.tries = supervise.Record{}, 0
		a.status = idle
		a.wakeAndUnlock(nil)
		v.worked(failedLoad)
		return
	}
	damaged := errors.Is(err, snapshot.ErrDamaged)
	if a.gate&closing == 0 && !damaged {
		d := s.loads.Step(a.kind.system.now(), &storeRetry, supervise.Failure{Type: v.name, ID: a.id, Reason: err}, rand.Float64)
		s.retry = a.kind.system.clock.After(d.Delay, func() { a.loadAgain(s) })
		a.mu.Unlock()
		v.failed(failedLoad, a.id, err)
		return
	}
	s.tries++
	again := !damaged && s.tries < lastTries && a.callLocked(s, loading)
	a.mu.Unlock()
	v.failed(failedLoad, a.id, err)
	if again {
		return
	}
	a.unable(s, fmt.Errorf("actor: activate %s: %w", a.pid(), err))
}

func (a *cell[M]) loadAgain(s *stay[M]) {
	a.mu.Lock()
	s.retry = nil
	called := a.callLocked(s, loading)
	a.mu.Unlock()
	if !called {
		a.abandon()
	}
}

// stopWaitingLocked ends the wait for another load; it reports whether there
// was one.
func (s *stay[M]) stopWaitingLocked() bool {
	if s.retry == nil || !s.retry.Stop() {
		return false
	}
	s.retry = nil
	return true
}

// awaken makes the receiver of an actor that was activated, in its turn. It is
// false when that failed, which ends the actor.
func (a *cell[M]) awaken(c *ContextOf[M]) bool {
	v := a.kind.virtual
	a.mu.Lock()
	s := a.cold.stay
	a.mu.Unlock()
	receiver, err := a.revive(s)
	if err != nil {
		v.failed(failedRestore, a.id, err)
		c.ended = true
		a.unable(s, fmt.Errorf("actor: activate %s: %w", a.pid(), err))
		return false
	}
	a.mu.Lock()
	a.receiver, s.state = receiver, nil
	a.mu.Unlock()
	if s.awake {
		return true // it was restarted
	}
	s.awake = true
	if v.supervised() {
		a.raise(v.props, nil)
	}
	v.counts.activations.Add(1)
	if system := a.kind.system; system.events.heard() {
		system.publish(Activated{PID: a.pid()})
	}
	v.arrive(s)
	return true
}

// reload restarts a virtual actor: the new receiver gets the snapshot that the
// store has, as when it is activated.
func (a *cell[M]) reload(c *ContextOf[M], f *family[M]) step {
	a.begunAnew(f)
	if a.kind.virtual.rules.Store == nil {
		return onward
	}
	a.mu.Lock()
	s := a.cold.stay
	a.status, a.ctx = activating, nil
	a.mu.Unlock()
	c.tally()
	a.callNext(s, loading)
	return done
}

// revive makes a receiver and gives it the state that was loaded.
func (a *cell[M]) revive(s *stay[M]) (receiver ReceiverOf[M], err error) {
	defer func() {
		if v := recover(); v != nil {
			err = a.panicError(v)
		}
	}()
	receiver = a.kind.virtual.props.produce()
	if receiver == nil {
		return nil, errNilReceiver
	}
	if !s.found {
		return receiver, nil
	}
	r, ok := receiver.(Snapshotter)
	if !ok {
		return nil, fmt.Errorf("%T is no Snapshotter", receiver)
	}
	return receiver, r.Restore(s.state)
}

// unable ends an actor that could not be activated. What waited for it is lost,
// what the store has is not, unless it was told to stop for good.
func (a *cell[M]) unable(s *stay[M], err error) {
	a.mu.Lock()
	a.ctx = nil
	final := s.final
	a.mu.Unlock()
	a.drop(dropActivation)
	s.reason = err
	if final {
		a.callNext(s, deleting)
		return
	}
	a.end(err)
}

// retireLocked makes the cell a passive one: its ID is free, unless somebody
// watches the actor. It returns what the stay leaves.
func (a *cell[M]) retireLocked() *cold[M] {
	engine := a.kind.system.engine
	old := a.cold
	old.stay.over.Store(true)
	if old.stay.counted {
		a.leaveLimitsLocked(old)
	}
	a.cold, a.ctx = nil, nil
	if old.watchedLocked() {
		a.cold = &cold[M]{watchers: old.watchers, sweepAt: old.sweepAt, done: old.done}
	} else {
		engine.forget(a)
	}
	a.gate = a.gate&^(closing|passivating) | passive
	a.status = idle
	a.attention.Store(0)
	a.started = false
	a.receiver = nil
	a.box = mailbox.Box[M]{} // it has nothing, but may have had other lanes
	a.kind.virtual.gone(old.stay)
	a.kind.stats.actors.Add(-1)
	return old
}

// watchedLocked reports whether somebody is to be told of the actor's end.
func (c *cold[M]) watchedLocked() bool {
	c.watchers = slices.DeleteFunc(c.watchers, func(w watcher) bool { return w.gone() })
	return len(c.watchers) > 0 || c.done != nil
}

// endStay is end for a virtual actor: its cell is a passive one from then on.
func (a *cell[M]) endStay(reason error) {
	a.mu.Lock()
	if a.stayingLocked() == nil {
		a.mu.Unlock()
		return // it has ended
	}
	done, watchers := a.cold.done, a.cold.watchers
	a.cold.done, a.cold.watchers = nil, nil
	old := a.retireLocked()
	left := old.questions
	a.mu.Unlock()
	for _, l := range left {
		l.question.abandon(l.serial, ErrStopped)
	}
	old.timers.stop()
	old.done, old.watchers = done, watchers
	old.release(a.pid(), reason)
	system := a.kind.system
	if system.events.heard() {
		system.publish(Terminated{PID: a.pid(), Reason: reason})
	}
	system.engine.leave(true)
}
