package actor

import (
	"errors"
	"time"

	"github.com/atrium-iot/atrium/shared/actor/supervise"
	"github.com/atrium-iot/atrium/shared/actor/wheel"
)

// phase is where an actor stands that does not simply run; DESIGN.md draws the
// machine.
type phase uint8

const (
	running  phase = iota
	failed         // waits for what its supervisor decides
	renewing       // begins anew once its children have ended
	resting        // begins anew once its time has come
	leaving        // ends once its children have ended
)

// family is what an actor has more that is supervised, has children or has
// failed. Its fields belong to the turn unless they say otherwise.
type family[M any] struct {
	produce func() ReceiverOf[M]
	bond    *bond  // nil: nobody decides about its failures
	brood   *brood // nil until it has children

	open    uint32 // the lock's: number of the failure that is not decided; 0 is none
	ordered bool   // the lock's: was told what to do, and has not done it

	phase    phase
	replaced bool   // the receiver has had its last call
	failures uint32 // that were reported, which gives each its number
	failure  error  // to be acted upon after the message in hand
	reason   error  // of the last failure
	at       int64  // when it may begin anew
	alarm    *wheel.Alarm
}

// step is how a turn goes on.
type step uint8

const (
	onward step = iota
	later       // with another turn
	done        // not at all
)

var errNilReceiver = errors.New("the producer returned a nil receiver")

// family returns what is there, or nil.
func (a *cell[M]) family() *family[M] {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cold == nil {
		return nil
	}
	return a.cold.family
}

func (a *cell[M]) familyLocked() *family[M] {
	cold := a.coldLocked()
	if cold.family == nil {
		cold.family = new(family[M])
	}
	return cold.family
}

// kin is family, made where there is none.
func (a *cell[M]) kin() *family[M] {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.familyLocked()
}

// disturbed reports whether an actor does not simply run.
func (f *family[M]) disturbed() bool {
	return f != nil && (f.phase != running || f.failure != nil)
}

func (f *family[M]) childless() bool { return f == nil || f.brood.empty() }

// raise gives an actor what its supervision needs; most have none.
func (a *cell[M]) raise(props *PropsTyped[M], b *bond) {
	if s := a.kind.guardianOf(props); b == nil && s != nil {
		b = &bond{above: &guardian{system: a.kind.system, strategy: s}}
	}
	if b != nil {
		b.child = a
	}
	f := a.kin()
	f.produce, f.bond = props.produce, b
	if props.supervisor != nil {
		f.brood = &brood{strategy: props.supervisor}
	}
}

// fall is what follows from a failure: the supervisor is told, and the actor
// waits. One that nobody supervises, or that was told to stop, ends.
func (a *cell[M]) fall(c *ContextOf[M], reason error) step {
	a.mu.Lock()
	var f *family[M]
	if a.cold != nil {
		f = a.cold.family
	}
	ends := f == nil || f.bond == nil || a.gate&closing != 0
	if ends {
		a.gate |= closing // before room is given to senders that wait for it
	}
	a.settleLocked(c)
	a.ctx = nil
	tell := !ends && !f.ordered
	if !ends {
		f.phase, f.reason, f.failure = failed, reason, nil
		f.failures++
	}
	if tell {
		f.open = f.failures
	}
	a.mu.Unlock()
	c.tally()
	if tell && !f.bond.above.childFailed(f.bond, f.failures, reason) {
		ends = true
	}
	if ends {
		a.drop(dropFailure)
		return a.leave(c, reason)
	}
	return later
}

// leave ends an actor, or begins its end where children have to end first.
func (a *cell[M]) leave(c *ContextOf[M], reason error) step {
	c.tally()
	f := a.family()
	if f.childless() {
		a.finish(c, reason)
		return done
	}
	f.phase, f.reason, f.failure = leaving, reason, nil
	f.brood.stop()
	return later
}

// waits implements child: whether the failure of that number is undecided.
func (a *cell[M]) waits(failure uint32) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.status != dead && a.gate&closing == 0 && a.cold.family.open == failure
}

// order implements child. The actor obeys in its turn; what fails before that
// needs no other decision.
func (a *cell[M]) order(d supervise.Decision, reason error) {
	a.mu.Lock()
	if a.status == dead {
		a.mu.Unlock()
		return
	}
	f := a.cold.family
	f.open = 0
	f.ordered = d.Directive != supervise.Escalate
	a.mu.Unlock()
	if d.Directive == supervise.Escalate {
		a.kind.stats.escalations.Add(1)
		a.kind.system.publish(Escalated{PID: a.pid(), Reason: reason})
		return
	}
	at := a.kind.system.now() + int64(d.Delay)
	a.post(func() { a.obey(d.Directive, reason, at) })
}

// obey carries out what was decided. An actor that ends, or was told to stop,
// is past that.
func (a *cell[M]) obey(directive supervise.Directive, reason error, at int64) {
	a.mu.Lock()
	f := a.cold.family
	f.ordered = false
	ends := f.phase == leaving || a.gate&closing != 0
	a.mu.Unlock()
	switch {
	case ends:
	case directive == supervise.Stop:
		a.drop(dropFailure)
	case directive == supervise.Resume && !f.replaced:
		f.phase = running
		for b := range f.brood.all() {
			if b.escalated {
				b.obeys(supervise.Decision{Directive: supervise.Resume}, nil)
			}
		}
	default: // also Resume where there is no receiver to go on with
		f.phase, f.reason, f.failure = renewing, reason, nil
		f.at = max(f.at, at)
		f.brood.stop()
	}
}

// recoverAndUnlock takes the next step of an actor that does not simply run.
func (a *cell[M]) recoverAndUnlock(c *ContextOf[M]) step {
	f := a.cold.family
	told := a.gate&closing != 0
	a.mu.Unlock()
	if reason := f.failure; reason != nil {
		f.failure = nil
		a.kind.system.log.Error("actor failed", "pid", a.pid().String(), "reason", reason)
		return a.fall(c, reason)
	}
	switch {
	case f.phase == leaving && f.childless():
		a.finish(c, f.reason)
		return done
	case f.phase == leaving:
	case told:
		return a.leave(c, f.reason)
	case f.phase == renewing && f.childless():
		a.replace(c, f)
		return onward
	case f.phase == resting && a.kind.system.now() >= f.at:
		return a.renew(c, f)
	case f.phase == resting:
		a.setAlarm(f)
	}
	return a.suspend(c, told)
}

// suspend ends the turn of an actor that waits, unless something came meanwhile.
func (a *cell[M]) suspend(c *ContextOf[M], told bool) step {
	a.mu.Lock()
	if len(a.cold.signals) > 0 || told != (a.gate&closing != 0) {
		a.mu.Unlock()
		return onward
	}
	a.status = suspended
	a.ctx = nil
	a.mu.Unlock()
	c.tally()
	if a.kind.system.abandons.Load() {
		a.abandonSuspended()
	}
	return done
}

// replace takes the receiver away; it learns why, if it had its Started.
func (a *cell[M]) replace(c *ContextOf[M], f *family[M]) {
	f.phase = resting
	last := !f.replaced && a.started
	f.replaced = true
	if last {
		a.runRestarting(c, f.reason)
	}
	a.cold.timers.stop()
	a.mu.Lock()
	a.receiver, a.cold.earlier = nil, nil
	a.mu.Unlock()
}

func (a *cell[M]) runRestarting(c *ContextOf[M], reason error) {
	r, ok := a.rootReceiver().(Restarter[M])
	if !ok {
		a.runStopped(c, reason)
		return
	}
	a.lastCall(c, "Restarting", func() { r.Restarting(c, reason) })
}

// setAlarm lets a turn begin when the actor may. One that is set already may be
// for an earlier time.
func (a *cell[M]) setAlarm(f *family[M]) {
	f.clearAlarm()
	system := a.kind.system
	wait := time.Duration(f.at - system.now())
	f.alarm = system.clock.After(wait, func() { a.post(func() {}) })
}

// release lets go of an actor that has ended.
func (f *family[M]) release() {
	if f == nil {
		return
	}
	f.clearAlarm()
	if f.bond != nil {
		f.bond.above.childEnded(f.bond)
	}
}

func (f *family[M]) clearAlarm() {
	if f.alarm != nil {
		f.alarm.Stop()
		f.alarm = nil
	}
}

// renew gives the actor a new receiver. A producer that fails is a failure of
// the actor.
func (a *cell[M]) renew(c *ContextOf[M], f *family[M]) step {
	if a.kind.virtual != nil {
		return a.reload(c, f)
	}
	receiver := f.produce()
	if receiver == nil {
		f.failure = errNilReceiver
		return onward
	}
	a.mu.Lock()
	a.receiver = receiver
	a.mu.Unlock()
	a.begunAnew(f)
	return onward
}

// begunAnew lets an actor run again, whose receiver will be started first.
func (a *cell[M]) begunAnew(f *family[M]) {
	f.clearAlarm()
	a.mu.Lock()
	a.started = false
	a.bringBackLocked()
	a.mu.Unlock()
	f.phase, f.replaced = running, false
	a.kind.stats.restarts.Add(1)
	a.kind.system.publish(Restarted{PID: a.pid(), Reason: f.reason})
}
