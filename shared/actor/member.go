package actor

// tellInTurn enqueues a message for a member, whose group is in a turn.
func (a *cell[M]) tellInTurn(msg M) error {
	g := a.kind.group
	if !g.inTurn {
		return a.refuse(ErrOutsideGroup, 1)
	}
	a.mu.Lock()
	if a.gate&closing != 0 {
		a.mu.Unlock()
		return a.refuse(ErrStopped, 1)
	}
	if g.taken == g.limit {
		a.mu.Unlock()
		g.overrun = true
		return a.refuse(ErrTurnLimit, 1)
	}
	a.box.Put(Normal, msg, a.kind.chunks)
	a.mu.Unlock()
	g.taken++
	g.queue = append(g.queue, a)
	return nil
}

// handleOne takes the oldest message, and returns the failure of a member that
// called Fail. A message that waits when the member fails stays in the group's
// queue, and is dropped there. The lock is for those outside who ask how many
// messages wait: what Take changes is the turn's alone.
func (a *cell[M]) handleOne() (failure error) {
	c := a.memberContext()
	if !a.started {
		a.start(c)
	}
	a.box.Take(&c.batch, 1)
	a.kind.stats.handled(1)
	msg := &c.batch.Next(a.kind.chunks)[0]
	c.current = msg
	a.receiver.Receive(c)
	c.current = nil
	var zero M
	*msg = zero
	c.batch.Spent()
	a.mu.Lock()
	a.box.Done(Normal, 1)
	a.box.Return(&c.batch, a.kind.chunks)
	closed := a.gate&closing != 0
	if a.cold != nil && a.cold.family != nil {
		failure = a.cold.family.failure
	}
	a.mu.Unlock()
	if failure == nil && closed && a.box.Empty() {
		a.endMember(true)
	}
	return failure
}

// memberContext is the one context of all members of a kind: they run one at a
// time.
func (a *cell[M]) memberContext() *ContextOf[M] {
	c := a.kind.member
	c.cell = a
	return c
}

func (a *cell[M]) panicked(value any) error { return a.panicError(value) }

func (a *cell[M]) hasEnded() bool { return a.attention.Load()&ended != 0 }

// endMember ends a member in the goroutine of its group.
func (a *cell[M]) endMember(runHook bool) {
	a.drop(dropGroupStopped)
	g := a.kind.group
	g.mu.Lock()
	g.ended++
	g.mu.Unlock()
	if runHook {
		a.finish(a.memberContext(), nil)
		return
	}
	a.end(ErrGroupFailed)
}
