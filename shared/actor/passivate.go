package actor

import (
	"errors"
	"fmt"
	"slices"
)

var errNoSnapshot = errors.New("actor: Snapshot did not return")

// lastTries is how often the store is asked, without a wait, to load or to keep
// the state of an actor that is told to end: a fault that lasts longer than a
// few calls is the store's.
const lastTries = 3

// restsLocked is told that a virtual actor's turn ends, without more work or
// with. It reports whether the actor wants another turn.
func (a *cell[M]) restsLocked(turned int32, again bool) bool {
	s := a.cold.stay
	if turned > 0 {
		s.handled += turned
		s.place.Touch(a.kind.system.now())
		s.refused = false
	}
	switch {
	case again:
		return true
	case a.gate&passivating != 0:
		if !a.callLocked(s, saving) {
			a.stirLocked()
		}
	case s.refused:
		s.refused = false // it would refuse again
	case s.call == noCall && s.spentLocked():
		return a.letGoLocked(s)
	}
	return false
}

// letGoLocked asks an actor to leave that has handled its number of messages.
// What keeps it brings a turn that asks again, but for an answer that it owes.
func (a *cell[M]) letGoLocked(s *stay[M]) bool {
	v := a.kind.virtual
	switch {
	case a.leavableLocked(s):
		if v.take(s) {
			a.cold.signals = append(a.cold.signals, func() { a.passivate(s) })
			return true
		}
	case a.owesLocked():
		v.later(s)
	}
	return false
}

// spentLocked reports whether the actor has handled the number of messages after
// which it leaves.
func (s *stay[M]) spentLocked() bool {
	most := s.cell.kind.virtual.rules.Messages
	return most > 0 && int(s.handled) >= most
}

// leavableLocked reports whether an actor is at rest but for this turn: nothing
// that it has would be lost by leaving memory.
func (a *cell[M]) leavableLocked(s *stay[M]) bool {
	c := a.cold
	return a.stayingLocked() == s && a.started && a.gate&(closing|passivating) == 0 && s.call == noCall &&
		a.box.Empty() && c.pill == 0 && len(c.signals) == 0 && len(c.waiters) == 0 &&
		len(c.stash) == 0 && c.earlier == nil && !a.owesLocked() &&
		!c.timers.set() && !c.family.disturbed() && c.family.childless()
}

// owesLocked reports whether somebody waits for an answer.
func (a *cell[M]) owesLocked() bool { return slices.ContainsFunc(a.cold.questions, asked.open) }

// passivate takes the snapshot of an actor that is to leave, in its turn. When
// the turn ends, and nothing has come meanwhile, the store gets it.
func (a *cell[M]) passivate(s *stay[M]) {
	v := a.kind.virtual
	a.mu.Lock()
	ready := a.leavableLocked(s)
	a.mu.Unlock()
	if !ready {
		v.keep(s, false)
		return
	}
	leaves := false
	defer func() { // also when Snapshot ends its goroutine
		if s.refused = !leaves; !leaves {
			v.keep(s, false)
		}
	}()
	state, err := a.snapshot()
	if err != nil {
		v.failed(failedSnapshot, a.id, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if leaves = err == nil && a.leavableLocked(s); leaves {
		s.state = state
		a.gate |= passivating
	}
}

// snapshot is the receiver's state. A panic of Snapshot is contained: the actor
// has lost nothing by it.
func (a *cell[M]) snapshot() (state []byte, err error) {
	if a.kind.virtual.rules.Store == nil {
		return nil, nil
	}
	defer func() {
		if v := recover(); v != nil {
			err = a.panicError(v)
		}
	}()
	s, ok := a.rootReceiver().(Snapshotter)
	if !ok {
		return nil, fmt.Errorf("%T is no Snapshotter", a.rootReceiver())
	}
	return s.Snapshot()
}

// stirLocked keeps a passivating actor in memory: something has come.
func (a *cell[M]) stirLocked() {
	if a.gate&passivating == 0 {
		return
	}
	a.gate &^= passivating
	if s := a.cold.stay; s.call == noCall {
		s.state = nil
		a.kind.virtual.keep(s, false) // its turn asks again
	}
}

// savedAndUnlock goes on after the store got a snapshot: the actor leaves
// memory if nothing has come since it was taken.
func (a *cell[M]) savedAndUnlock(s *stay[M], err error) {
	s.state = nil
	if err == nil && a.gate&passivating != 0 {
		engine := a.kind.system.engine
		a.retireLocked()
		if engine.closing.Load() { // Stop has looked already
			a.shutShellAndUnlock()
		} else {
			a.mu.Unlock()
		}
		a.hasLeft()
		engine.leave(true)
		return
	}
	a.gate &^= passivating
	spent := s.spentLocked()
	if a.gate&closing != 0 { // it has nothing to handle, and ends in a turn
		a.wakeAndUnlock(nil)
	} else {
		a.mu.Unlock()
	}
	a.stayedAfter(s, err, spent)
}

// stayedAfter takes the account of a save whose actor is still in memory.
func (a *cell[M]) stayedAfter(s *stay[M], err error, again bool) {
	v := a.kind.virtual
	if err != nil {
		v.failed(failedSave, a.id, err)
	} else {
		v.worked(failedSave)
	}
	v.keep(s, again)
}

// hasLeft reports a passivation.
func (a *cell[M]) hasLeft() {
	a.kind.virtual.counts.passivations.Add(1)
	a.kind.virtual.worked(failedSave)
	if system := a.kind.system; system.events.heard() {
		system.publish(Passivated{PID: a.pid()})
	}
}

// depart ends the stay of an actor that has handled what it accepted, or has
// failed.
func (a *cell[M]) depart(c *ContextOf[M], reason error) {
	a.mu.Lock()
	s := a.cold.stay
	a.gate &^= passivating
	s.reason = reason
	final, kept := s.final, s.kept && reason == nil
	a.mu.Unlock()
	stored := a.kind.virtual.rules.Store != nil
	switch {
	case stored && final:
		defer a.callNext(s, deleting)
	case stored && kept:
		a.keep(s)
		return
	default:
		defer a.callNext(s, ending)
	}
	if final || !kept {
		a.bidFarewell(c, reason) // it may end its goroutine
	}
}

// keep saves the state of an actor whose system stops.
func (a *cell[M]) keep(s *stay[M]) {
	var state []byte
	err := errNoSnapshot // where Snapshot ends its goroutine
	defer func() {
		if err != nil {
			a.kind.virtual.failed(failedSnapshot, a.id, err)
			s.reason = fmt.Errorf("actor: %s has lost its state: %w", a.pid(), err)
			a.callNext(s, ending)
			return
		}
		a.mu.Lock()
		s.state = state
		a.mu.Unlock()
		a.callNext(s, keeping)
	}()
	state, err = a.snapshot()
}

// keptAndUnlock goes on after the last save, which is tried again.
func (a *cell[M]) keptAndUnlock(s *stay[M], err error) {
	s.tries++
	again := err != nil && s.tries < lastTries && a.callLocked(s, keeping)
	if !again && err != nil {
		s.reason = fmt.Errorf("actor: %s has lost its state: %w", a.pid(), err)
	}
	a.mu.Unlock()
	if err != nil {
		a.kind.virtual.failed(failedSave, a.id, err)
	} else {
		a.hasLeft()
	}
	if !again {
		a.end(s.reason)
	}
}

// stopPassiveAndUnlock ends a passive actor for good: its snapshot is deleted.
// No receiver is made for that.
func (a *cell[M]) stopPassiveAndUnlock() {
	to, err := a.enterLocked()
	if err != nil {
		a.mu.Unlock()
		return // the system has stopped, or it is another actor's ID
	}
	if to != a {
		a.mu.Unlock()
		to.stop()
		return
	}
	a.gate |= closing
	a.status = scheduled // for good: no turn comes
	s := a.cold.stay
	a.mu.Unlock()
	if a.kind.virtual.rules.Store == nil {
		a.end(nil)
		return
	}
	a.callNext(s, deleting)
}

// shutShellAndUnlock tells those who watch a passive actor that its system
// stops.
func (a *cell[M]) shutShellAndUnlock() {
	old := a.cold
	a.cold = nil
	a.kind.system.engine.forget(a)
	a.mu.Unlock()
	if old != nil {
		old.release(a.pid(), nil)
	}
}

// shut is stop for the sake of the system, which keeps the states of its
// virtual actors.
func (a *cell[M]) shut() {
	a.mu.Lock()
	s := a.stayingLocked()
	switch {
	case a.gate&passive != 0:
		a.shutShellAndUnlock()
	case s == nil || a.gate&closing != 0:
		a.closeAndUnlock()
	case a.gate&passivating != 0 && s.call == saving:
		a.gate |= closing // it is on its way
		s.kept = true
		a.mu.Unlock()
	default:
		s.kept = true
		a.closeAndUnlock()
	}
}
