package actor

// tellInTurn enqueues a message for a member, whose group is in a turn.
func (a *cell[M]) tellInTurn(msg M) error {
	g := a.kind.group
	if !g.inTurn {
		return a.refuse(ErrOutsideGroup, 1)
	}
	a.mu.Lock()
	closed := a.gate&closing != 0
	a.mu.Unlock()
	if closed {
		return a.refuse(ErrStopped, 1)
	}
	if g.taken == g.limit {
		g.overrun = true
		return a.refuse(ErrTurnLimit, 1)
	}
	g.taken++
	a.box.Put(Normal, msg, a.kind.chunks)
	g.queue = append(g.queue, a)
	return nil
}

// handleOne takes the oldest message. A message that waits when the member
// panics stays in the group's queue, and is discarded there.
func (a *cell[M]) handleOne() {
	c := a.memberContext()
	if !a.started {
		a.start(c)
	}
	a.box.Take(&c.batch, 1)
	a.box.Done(Normal, 1)
	a.kind.stats.handled(1)
	msg := &c.batch.Next(a.kind.chunks)[0]
	c.current = msg
	a.receiver.Receive(c)
	c.current = nil
	var zero M
	*msg = zero
	c.batch.Spent()
	a.mu.Lock()
	a.box.Return(&c.batch, a.kind.chunks)
	closed := a.gate&closing != 0
	var failure error
	if a.cold != nil && a.cold.family != nil {
		failure = a.cold.family.failure
	}
	a.mu.Unlock()
	if failure != nil {
		panic(failure)
	}
	if closed && a.box.Empty() {
		a.endMember(true)
	}
}

// memberContext is the one context of all members of a kind: they run one at a
// time.
func (a *cell[M]) memberContext() *ContextOf[M] {
	c := a.kind.member
	c.cell = a
	return c
}

func (a *cell[M]) panicked(value any) error { return a.panicError(value) }

// discard drops what the member has not handled; the queue names it once a
// message, so all but the first call find nothing.
func (a *cell[M]) discard(why drop) {
	a.box.Drain(a.kind.chunks, func(lane Lane, msg M) { a.deadLetter(why, lane, msg) })
}

func (a *cell[M]) hasEnded() bool { return a.attention.Load()&ended != 0 }

// endMember ends a member in the goroutine of its group.
func (a *cell[M]) endMember(runHook bool) {
	a.mu.Lock()
	a.gate |= closing
	a.mu.Unlock()
	a.discard(dropGroupStopped)
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
