package actor

// tellInTurn enqueues a message for a member, whose group is in a turn.
func (a *actorOf[M]) tellInTurn(msg M) error {
	g := a.kind.group
	if !g.inTurn {
		return a.refuse(ErrOutsideGroup, 1)
	}
	a.mu.Lock()
	closing := a.closing
	a.mu.Unlock()
	if closing {
		return a.refuse(ErrStopped, 1)
	}
	if g.taken == g.limit {
		g.overrun = true
		return a.refuse(ErrTurnLimit, 1)
	}
	g.taken++
	a.box.put(msg, &a.kind.pools.chunks)
	g.queue = append(g.queue, a)
	return nil
}

// handleOne takes the oldest message. A message that waits when the member
// panics stays in the group's queue, and is discarded there.
func (a *actorOf[M]) handleOne() {
	c := a.ctx
	a.start(c)
	batch := a.box.take(&c.inline, 1, &a.kind.pools.chunks)
	a.box.done(1)
	a.kind.stats.handled(1)
	c.current = &batch[0]
	a.receiver.Receive(c)
	c.current = nil
	clear(batch)
	if a.box.count > 0 {
		return
	}
	a.box.rest(&a.kind.pools.chunks)
	a.mu.Lock()
	closing := a.closing
	a.mu.Unlock()
	if closing {
		a.endMember(true)
	}
}

func (a *actorOf[M]) panicked(value any) error { return a.panicError(value) }

// discard drops what the member has not handled; the queue names it once a
// message, so all but the first call find nothing.
func (a *actorOf[M]) discard(why drop) {
	a.kind.stats.dead(why, int(a.box.discard()))
}

func (a *actorOf[M]) hasEnded() bool { return a.gone.Load() }

// endMember ends a member in the goroutine of its group.
func (a *actorOf[M]) endMember(runHook bool) {
	a.mu.Lock()
	a.closing = true
	a.mu.Unlock()
	a.discard(dropGroupStopped)
	g := a.kind.group
	g.mu.Lock()
	g.ended++
	g.mu.Unlock()
	a.ctx.current = nil
	if runHook {
		a.finish(a.ctx, nil)
		return
	}
	a.end(ErrGroupFailed)
}
