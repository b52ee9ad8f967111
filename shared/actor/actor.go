package actor

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// status is where an actor stands; DESIGN.md draws the machine.
type status uint8

const (
	idle      status = iota // nothing waits, nobody runs it
	scheduled               // in a run queue, or a worker runs it
	dead                    // has stopped; Stopped has returned
)

// kind is what actors with the same receiver and message types in the same
// place share.
type kind[M any] struct {
	system     *ActorSystem
	dispatcher *dispatcher // nil for members of a group
	group      *Group      // nil for actors of a dispatcher
	bound      int32       // MailboxSize
	stats      *stats
	pools      *pools
}

// pools recycle what belongs to one message type.
type pools struct {
	chunks   sync.Pool // *chunk[M]
	contexts sync.Pool // *ContextOf[M]
}

// actorOf is one actor. Its turn is run by whoever moved it to scheduled, or
// took it from the run queue after that; in a group, by the turn's goroutine.
type actorOf[M any] struct {
	kind     *kind[M]
	receiver ReceiverOf[M]
	id       string
	next     runnable // link of the run queue, the dispatcher's
	gone     atomic.Bool
	started  bool // owned by the turn

	mu      sync.Mutex
	status  status
	closing bool          // told to stop: accepts nothing more
	ctx     *ContextOf[M] // of the running turn; of a member, always
	box     mailbox[M]
	cold    *cold // watchers and who waits for the end; nil for most
}

func (a *actorOf[M]) pid() PID { return PID{Address: a.kind.system.address, ID: a.id} }

func (a *actorOf[M]) link() *runnable { return &a.next }

// enter refuses what does not come by Send: messages to members of a group,
// and, when the guard is on, whatever a turn's goroutine sends.
func (a *actorOf[M]) enter(n int) error {
	if a.kind.group != nil {
		return a.refuse(ErrOutsideGroup, n)
	}
	if g := a.kind.system.guard; g != nil && g.inTurn() {
		return a.refuse(ErrOutsideGroup, n)
	}
	return nil
}

// refuse counts n refused messages and returns their reason.
func (a *actorOf[M]) refuse(err error, n int) error {
	a.kind.stats.refused(err, n)
	return err
}

func (a *actorOf[M]) tell(msg M) error {
	a.mu.Lock()
	if a.closing {
		a.mu.Unlock()
		return a.refuse(ErrStopped, 1)
	}
	if a.roomLocked(1) == 0 {
		a.mu.Unlock()
		return a.refuse(ErrMailboxFull, 1)
	}
	a.box.put(msg, &a.kind.pools.chunks)
	a.wakeAndUnlock()
	return nil
}

func (a *actorOf[M]) tellBatch(msgs []M) (int, error) {
	if len(msgs) == 0 {
		return 0, nil
	}
	a.mu.Lock()
	if a.closing {
		a.mu.Unlock()
		return 0, a.refuse(ErrStopped, len(msgs))
	}
	n := min(len(msgs), int(a.roomLocked(len(msgs))))
	for i := range n {
		a.box.put(msgs[i], &a.kind.pools.chunks)
	}
	if n > 0 {
		a.wakeAndUnlock()
	} else {
		a.mu.Unlock()
	}
	if n < len(msgs) {
		return n, a.refuse(ErrMailboxFull, len(msgs)-n)
	}
	return n, nil
}

// force enqueues beyond the bound; false when the actor takes nothing more.
// Only notices that a watch has asked for come this way, one for each watch.
func (a *actorOf[M]) force(msg M) bool {
	a.mu.Lock()
	if a.closing {
		a.mu.Unlock()
		return false
	}
	a.box.put(msg, &a.kind.pools.chunks)
	a.wakeAndUnlock()
	return true
}

// roomLocked returns how many messages fit, and may say less where want fit. It
// is exact below want: a message gives its room back when its Receive returns,
// not when its batch ends.
func (a *actorOf[M]) roomLocked(want int) int32 {
	room := a.kind.bound - a.box.count
	if int(room) < want && a.ctx != nil {
		room += a.ctx.handled.Load()
	}
	return max(0, room)
}

// wakeAndUnlock schedules an idle actor.
func (a *actorOf[M]) wakeAndUnlock() {
	if a.status != idle {
		a.mu.Unlock()
		return
	}
	a.status = scheduled
	a.mu.Unlock()
	if !a.kind.dispatcher.push(a) {
		a.abandon()
	}
}

// stop lets an actor end. An idle one is scheduled, so that it ends in a turn.
func (a *actorOf[M]) stop() {
	a.mu.Lock()
	a.closing = true
	if a.kind.group != nil { // the turn ends it after the message in hand
		a.mu.Unlock()
		return
	}
	a.wakeAndUnlock()
}

// turn handles up to Throughput messages and reports whether the actor wants
// another turn. It is called by one goroutine at a time.
func (a *actorOf[M]) turn() (again bool) {
	c, ok := a.kind.pools.contexts.Get().(*ContextOf[M])
	if !ok {
		c = new(ContextOf[M])
	}
	c.actor = a
	returned := false
	defer func() {
		if !returned && !a.gone.Load() {
			a.crash(c, recover())
		}
		c.actor, c.current, c.turned = nil, nil, 0
		clear(c.inline[:])
		c.handled.Store(0)
		a.kind.pools.contexts.Put(c)
	}()
	again = a.run(c)
	returned = true
	return again
}

func (a *actorOf[M]) run(c *ContextOf[M]) (again bool) {
	a.start(c)
	budget := a.kind.dispatcher.throughput
	for {
		a.mu.Lock()
		a.settleLocked(c)
		batch := a.box.take(&c.inline, budget, &a.kind.pools.chunks)
		if len(batch) == 0 {
			return a.restAndUnlock(c)
		}
		a.mu.Unlock()
		budget -= int32(len(batch))
		var zero M
		for i := range batch {
			c.current = &batch[i]
			a.receiver.Receive(c)
			batch[i] = zero
			c.handled.Store(int32(i) + 1)
		}
		c.current = nil
	}
}

// settleLocked gives back the room of the batch that c has handled.
func (a *actorOf[M]) settleLocked(c *ContextOf[M]) {
	n := c.handled.Load()
	a.box.done(n)
	c.turned += n
	c.handled.Store(0)
	a.ctx = c
}

// restAndUnlock ends a turn that has no message left to handle: the mailbox is
// empty or the budget is spent.
func (a *actorOf[M]) restAndUnlock(c *ContextOf[M]) (again bool) {
	a.ctx = nil
	more, closing := a.box.count > 0, a.closing
	if !more && !closing {
		a.box.rest(&a.kind.pools.chunks)
		a.status = idle // from here another turn may run
	}
	a.mu.Unlock()
	a.kind.stats.handled(int(c.turned))
	if !more && closing {
		a.finish(c, nil)
	}
	return more
}

func (a *actorOf[M]) start(c *ContextOf[M]) {
	if a.started {
		return
	}
	a.started = true
	if s, ok := a.receiver.(Starter[M]); ok {
		s.Started(c)
	}
}

// crash stops an actor whose Receive or Started did not return. What waited is
// lost: the state that it was meant for is.
func (a *actorOf[M]) crash(c *ContextOf[M], value any) {
	reason := a.panicError(value)
	log := a.kind.system.log
	log.Error("actor stopped by a panic", "pid", reason.PID.String(), "panic", reason.Value, "stack", string(reason.Stack))
	a.dropAll(c, dropPanic)
	a.finish(c, reason)
}

// panicError makes an error of what recover returned, and counts it.
func (a *actorOf[M]) panicError(value any) *PanicError {
	if value == nil {
		value = errGoexit
	}
	a.kind.stats.panics.Inc()
	return &PanicError{PID: a.pid(), Value: value, Stack: debug.Stack()}
}

// dropAll closes the mailbox and counts what it held as dead letters; the
// message in hand was handled, if badly.
func (a *actorOf[M]) dropAll(c *ContextOf[M], why drop) {
	a.mu.Lock()
	a.closing = true
	a.ctx = nil
	left := a.box.discard()
	a.mu.Unlock()
	if c != nil {
		n := c.handled.Load()
		if c.current != nil {
			n++
		}
		left -= n
		a.kind.stats.handled(int(c.turned + n))
		c.current = nil
	}
	a.kind.stats.dead(why, int(left))
}

// abandon ends an actor that no worker will run any more, without running any
// of its code: the system's Stop ran out of time.
func (a *actorOf[M]) abandon() {
	a.dropAll(nil, dropSystemStopped)
	a.end(ErrSystemStopped)
}

// finish runs the Stopped hook and ends the actor.
func (a *actorOf[M]) finish(c *ContextOf[M], reason error) {
	defer a.end(reason) // also when the hook ends its goroutine
	a.runStopped(c, reason)
}

func (a *actorOf[M]) runStopped(c *ContextOf[M], reason error) {
	s, ok := a.receiver.(Stopper[M])
	if !ok {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			e := a.panicError(v)
			a.kind.system.log.Error("actor panicked in Stopped", "pid", e.PID.String(), "panic", v, "stack", string(e.Stack))
		}
	}()
	s.Stopped(c, reason)
}

// end is the last step of every actor: its ID is free again, whoever waited
// for it goes on, watchers are told.
func (a *actorOf[M]) end(reason error) {
	engine := a.kind.system.engine
	engine.forget(a.id)
	a.kind.stats.actors.Dec()
	a.mu.Lock()
	a.status = dead
	a.gone.Store(true)
	a.receiver, a.box = nil, mailbox[M]{} // a Ref may be kept for long, what it refers to need not
	if reason != nil {
		a.coldLocked().reason = reason
	}
	var watchers []watcher
	if a.cold != nil {
		watchers, a.cold.watchers = a.cold.watchers, nil
		if a.cold.done != nil {
			close(a.cold.done)
		}
	}
	a.mu.Unlock()
	for _, w := range watchers {
		w.notify(Terminated{PID: a.pid(), Reason: reason})
	}
	if a.kind.group == nil {
		engine.leave()
	}
}
