package actor

import "runtime/debug"

// turn handles up to Throughput messages and reports whether the actor wants
// another turn. It is called by one goroutine at a time.
func (a *cell[M]) turn(w *worker) (again bool) {
	c := a.contextFor(w)
	returned := false
	defer func() {
		if !returned {
			value := recover()
			if _, again = a.failed(c, value); again && value == nil {
				again = false // w's goroutine ends and takes nothing back
				a.requeue()
			}
		}
		a.kind.release(w, c)
	}()
	again = a.run(c)
	returned = true
	return again
}

// run is the loop of a turn: settle what was handled, do what was asked
// meanwhile, take the next batch, handle it.
func (a *cell[M]) run(c *ContextOf[M]) (again bool) {
	for {
		a.mu.Lock()
		c.budget -= a.settleLocked(c)
		most := min(c.budget, a.kind.grab)
		if a.cold != nil {
			if len(a.cold.signals) > 0 {
				a.signalAndUnlock()
				continue
			}
			if a.cold.family.disturbed() {
				switch a.recoverAndUnlock(c) {
				case onward:
					continue
				case later:
					return true
				case done:
					return false
				}
			}
			if pill := a.cold.pill; pill == 1 {
				a.gate |= closing
				a.turnAwayLocked()
			} else if pill > 1 {
				most = min(most, pill-1)
			}
		}
		if !a.started {
			a.mu.Unlock()
			if a.kind.virtual != nil && !a.awaken(c) {
				return false
			}
			a.start(c)
			continue
		}
		if most <= 0 || a.pillReachedLocked() || !a.takeLocked(c, most) {
			return a.restAndUnlock(c)
		}
		a.mu.Unlock()
		a.handle(c)
	}
}

// handle gives the batch to the receiver, message by message, until it is used
// up or something wants attention.
func (a *cell[M]) handle(c *ContextOf[M]) {
	var zero M
	chunks := a.kind.chunks
	for part := c.batch.Next(chunks); part != nil; part = c.batch.Next(chunks) {
		c.sample()
		for i := range part {
			c.at, c.current = i, &part[i]
			a.receiver.Receive(c)
			part[i] = zero
			if c.count(i == len(part)-1 && !c.batch.More()) || a.attention.Load() != 0 {
				c.current = nil
				c.batch.Keep(i + 1)
				return
			}
		}
		c.current = nil
		c.batch.Spent()
	}
}

// settleLocked takes the account of what c has handled: its room is free, what
// is left of the batch goes back, and who waits for room is let in.
func (a *cell[M]) settleLocked(c *ContextOf[M]) (n int32) {
	n = c.index
	if n > 0 {
		a.box.Done(c.batch.Lane, n)
		if c.kept > 0 {
			a.setAsideLocked(c.kept)
		}
		c.turned += n - c.kept
		if a.cold != nil && a.cold.pill > 1 && c.batch.Lane == Normal {
			a.cold.pill -= n
		}
		c.index, c.kept = 0, 0
		c.clearHandled()
	} else if c.turned == 0 {
		a.kind.stats.deep(a.box.Size()+a.box.ControlSize(), c.since != 0)
	}
	a.box.Return(&c.batch, a.kind.chunks)
	a.ctx = c
	if c.unstash {
		c.unstash = false
		a.bringBackLocked()
	}
	if a.cold != nil {
		a.accountLocked()
	}
	if attention := a.attention.Load(); attention != 0 {
		a.attention.And(^urgent)
		if attention&wantRoom != 0 {
			a.admitLocked()
		}
	}
	return n
}

// pillReachedLocked: what waits came after the pill.
func (a *cell[M]) pillReachedLocked() bool { return a.cold != nil && a.cold.pill == 1 }

// restAndUnlock ends a turn that has no message left to handle: the mailbox is
// empty, or the budget is spent, or the actor ends here.
func (a *cell[M]) restAndUnlock(c *ContextOf[M]) (again bool) {
	a.ctx = nil
	stop := a.gate&closing != 0 && (a.pillReachedLocked() || a.box.Empty())
	again = !stop && (!a.box.Empty() || a.cold != nil && a.cold.timers.waiting())
	if !stop && a.cold != nil && a.cold.stay != nil {
		again = a.restsLocked(c.turned, again)
	}
	if !again && !stop {
		a.status = idle // from here another turn may run
	}
	a.mu.Unlock()
	c.tally()
	if stop {
		return a.leave(c, nil) == later
	}
	return again
}

func (a *cell[M]) start(c *ContextOf[M]) {
	a.started = true
	if s, ok := a.receiver.(Starter[M]); ok {
		s.Started(c)
	}
}

// failed is called when Receive, or a hook, did not return, with what recover
// returned.
func (a *cell[M]) failed(c *ContextOf[M], value any) (reason error, again bool) {
	if c.ended {
		return nil, false // a hook ended its goroutine after the end
	}
	e := a.panicError(value)
	a.kind.system.log.Error("actor panicked", "pid", e.PID.String(), "panic", e.Value, "stack", string(e.Stack))
	c.giveUp()
	return e, a.fall(c, e) == later
}

// panicError makes an error of what recover returned, and counts it.
func (a *cell[M]) panicError(value any) *PanicError {
	if value == nil {
		value = errGoexit
	}
	a.kind.stats.panics.Add(1)
	return &PanicError{PID: a.pid(), Value: value, Stack: debug.Stack()}
}

// panickedOutside reports the panic of one of an actor's functions that does
// not end the actor.
func (a *cell[M]) panickedOutside(where string, value any) {
	e := a.panicError(value)
	a.kind.system.log.Error("actor: a panic in "+where, "pid", e.PID.String(), "panic", value, "stack", string(e.Stack))
}

// drop empties the mailbox and the stash: what they held are dead letters. No
// batch is out.
func (a *cell[M]) drop(why drop) {
	type letter struct {
		lane Lane
		msg  M
	}
	var left []letter
	a.mu.Lock()
	a.gate |= closing
	a.turnAwayLocked()
	a.ctx = nil // another actor may use it next
	a.box.Drain(a.kind.chunks, func(lane Lane, msg M) { left = append(left, letter{lane, msg}) })
	if a.cold != nil {
		for _, msg := range a.cold.stash {
			left = append(left, letter{Normal, msg})
		}
		a.cold.stash = nil
		a.accountLocked()
	}
	a.mu.Unlock()
	for _, l := range left {
		a.deadLetter(why, l.lane, l.msg)
	}
}

// stop lets an actor end. An idle one is scheduled, so that it ends in a turn.
func (a *cell[M]) stop() {
	a.mu.Lock()
	if a.gate&passive != 0 {
		a.stopPassiveAndUnlock()
		return
	}
	if s := a.stayingLocked(); s != nil {
		s.final = true
	}
	a.closeAndUnlock()
}

// closeAndUnlock is stop for an actor that is in memory.
func (a *cell[M]) closeAndUnlock() {
	a.stirLocked()
	a.gate |= closing
	a.turnAwayLocked()
	if a.gate&inGroup != 0 { // the turn ends it after the message in hand
		a.mu.Unlock()
		return
	}
	if s := a.stayingLocked(); s != nil && s.stopWaitingLocked() {
		a.mu.Unlock()
		a.loadAgain(s) // at once: what it accepted is to be handled
		return
	}
	a.rouseAndUnlock()
}

// abandon ends an actor that no worker will run any more, without running any
// of its code: the system's Stop ran out of time.
func (a *cell[M]) abandon() {
	a.drop(dropSystemStopped)
	a.end(ErrSystemStopped)
}

// abandonSuspended abandons an actor that waits, once no turn begins any more.
func (a *cell[M]) abandonSuspended() {
	a.mu.Lock()
	waits := a.status == suspended
	if waits {
		a.status = scheduled // it is this call's
	}
	a.mu.Unlock()
	if waits {
		a.abandon()
	}
}

// finish runs the Stopped hook and ends the actor.
func (a *cell[M]) finish(c *ContextOf[M], reason error) {
	if c.worker != nil {
		c.worker.flush() // who waits for the end sees all counted
	}
	a.drop(dropStopped) // the stash, and what came after a pill
	c.ended = true
	if a.kind.virtual != nil {
		a.depart(c, reason)
		return
	}
	defer a.end(reason) // also when the hook ends its goroutine
	a.bidFarewell(c, reason)
}

// bidFarewell runs the Stopped hook, unless the receiver has had its last call.
func (a *cell[M]) bidFarewell(c *ContextOf[M], reason error) {
	if f := a.family(); f == nil || !f.replaced {
		a.runStopped(c, reason)
	}
}

func (a *cell[M]) runStopped(c *ContextOf[M], reason error) {
	if s, ok := a.rootReceiver().(Stopper[M]); ok {
		a.lastCall(c, "Stopped", func() { s.Stopped(c, reason) })
	}
}

// lastCall runs the hook that is the last call of a receiver.
func (a *cell[M]) lastCall(c *ContextOf[M], name string, hook func()) {
	c.final = true
	defer func() {
		c.final = false
		if v := recover(); v != nil {
			a.panickedOutside(name, v)
		}
	}()
	hook()
}

// end is the last step of every actor: its ID is free again, whoever waited
// for it goes on, watchers are told.
func (a *cell[M]) end(reason error) {
	if a.kind.virtual != nil {
		a.endStay(reason)
		return
	}
	engine := a.kind.system.engine
	engine.forget(a)
	a.kind.stats.actors.Add(-1)
	a.mu.Lock()
	a.status = dead
	a.attention.Or(ended)
	a.receiver = nil // a Ref may be kept for long, what it refers to need not
	old := a.cold
	a.leaveLimitsLocked(old)
	if old != nil || reason != nil {
		a.cold = &cold[M]{reason: reason}
	}
	var left []asked
	if old != nil {
		a.cold.done = old.done
		left = old.questions
	}
	a.mu.Unlock()
	for _, l := range left {
		l.question.abandon(l.serial, ErrStopped)
	}
	if old != nil {
		old.timers.stop()
		old.release(a.pid(), reason)
	}
	if system := a.kind.system; system.events.heard() {
		system.publish(Terminated{PID: a.pid(), Reason: reason})
	}
	engine.leave(a.kind.group == nil)
}

// release tells everybody who waits for something of an actor that it ended.
func (c *cold[M]) release(pid PID, reason error) {
	c.family.release()
	if c.done != nil {
		close(c.done)
	}
	for _, w := range c.watchers {
		w.notify(Terminated{PID: pid, Reason: reason})
	}
}
