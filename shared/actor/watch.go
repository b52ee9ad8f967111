package actor

import "context"

// Terminated says that a watched actor has stopped. Reason is nil after Stop,
// a *PanicError after a panic, what Fail was called with, ErrSystemStopped when the system's Stop ran out
// of time.
type Terminated struct {
	PID    PID
	Reason error
}

// watcher is one call of Watch, seen from the watched actor.
type watcher struct {
	gone   func() bool
	notify func(Terminated)
}

// minSweep keeps short lists of watchers from being searched.
const minSweep = 8

// Watch lets the actor of ctx learn when target has stopped: wrap makes the
// notice one of its own messages. A target that has already stopped is told at
// once. Each call brings one notice, accepted beyond MailboxSize so that it
// cannot be refused; a watcher that has stopped itself gets none. Watching
// across the border of a group returns ErrOutsideGroup, an actor of another
// node ErrElsewhere.
func Watch[M, T any](ctx *ContextOf[M], target Ref[T], wrap func(Terminated) M) error {
	self := ctx.cell
	t := target.cell
	gone := self.departed()
	w := watcher{gone: gone, notify: func(n Terminated) {
		if !gone() {
			self.notice(n, wrap)
		}
	}}
	if t == nil {
		w.notify(Terminated{})
		return nil
	}
	if t.kind.group != self.kind.group {
		return ErrOutsideGroup
	}
	t, err := t.here(context.Background())
	switch {
	case err != nil:
		return err
	case t.kind.remote:
		return ErrElsewhere
	}
	if reason, ended := t.watch(w); ended {
		w.notify(Terminated{PID: t.pid(), Reason: reason})
	}
	return nil
}

// notice delivers what a watch has asked for. It runs in the goroutine of the
// actor that ended, which a panic of wrap must not reach.
func (a *cell[M]) notice(n Terminated, wrap func(Terminated) M) {
	defer func() {
		if v := recover(); v != nil {
			a.panickedOutside("wrap of a watch", v)
		}
	}()
	if g := a.kind.group; g == nil {
		a.force(wrap(n))
	} else if g.inTurn { // else the group stops as a whole
		_ = a.tellInTurn(wrap(n)) // refused only at the limit, which ends the turn
	}
}

// watch adds w, or reports that the actor has ended and why.
func (a *cell[M]) watch(w watcher) (reason error, ended bool) {
	a.mu.Lock()
	if to := a.shellLocked(); to != a {
		a.mu.Unlock()
		if to == nil {
			return nil, true
		}
		return to.watch(w)
	}
	defer a.mu.Unlock()
	if a.status == dead {
		if a.cold != nil {
			reason = a.cold.reason
		}
		return reason, true
	}
	cold := a.coldLocked()
	if len(cold.watchers) >= max(minSweep, int(cold.sweepAt)) {
		live := cold.watchers[:0]
		for _, old := range cold.watchers {
			if !old.gone() {
				live = append(live, old)
			}
		}
		clear(cold.watchers[len(live):])
		cold.watchers = live
		cold.sweepAt = int32(2 * len(live))
	}
	cold.watchers = append(cold.watchers, w)
	return nil, false
}

// departed returns what tells whether the actor has ended, or a virtual one has
// left memory since.
func (a *cell[M]) departed() func() bool {
	if a.kind.virtual == nil {
		return a.hasEnded
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.stayingLocked(); s != nil {
		return s.over.Load
	}
	return func() bool { return true }
}

func (a *cell[M]) stopped() <-chan struct{} {
	a.mu.Lock()
	if to := a.shellLocked(); to != a {
		a.mu.Unlock()
		return Ref[M]{cell: to}.Stopped()
	}
	defer a.mu.Unlock()
	cold := a.coldLocked()
	if cold.done == nil {
		cold.done = make(chan struct{})
		if a.status == dead {
			close(cold.done)
		}
	}
	return cold.done
}
