package actor

import "errors"

// cold is what few actors have. It is made when first needed; the cell's lock
// guards it unless a field says otherwise.
type cold[M any] struct {
	watchers  []watcher
	done      chan struct{}
	reason    error // why the actor stopped
	waiters   []*waiter[M]
	questions questions
	signals   []func() // run by the turn, before messages
	pill      int32    // messages that wait before the pill, plus one; 0 is none
	aside     int32    // messages in stash; the one in hand is not counted yet
	counted   int32    // messages in the account of site
	sweepAt   int32    // length of watchers at which ended ones are removed
	place     *place   // of an actor on another node; set when the cell is made
	stay      *stay[M] // of a virtual actor that is in memory
	site      *site    // where sites have limits

	family *family[M] // nil unless supervised, a parent, or failed
	timers *timers[M] // nil before the first

	stash   []M         // the turn's
	earlier *earlier[M] // behaviour, the turn's: what Unbecome returns to
}

func (a *cell[M]) coldLocked() *cold[M] {
	if a.cold == nil {
		a.cold = new(cold[M])
	}
	return a.cold
}

// post lets the actor's turn run f before its next message. It reports false
// when the actor has ended.
func (a *cell[M]) post(f func()) bool {
	a.mu.Lock()
	if a.status == dead || a.gate&passive != 0 {
		a.mu.Unlock()
		return false
	}
	a.stirLocked()
	cold := a.coldLocked()
	cold.signals = append(cold.signals, f)
	a.attention.Or(urgent)
	a.rouseAndUnlock()
	return true
}

// rouseAndUnlock schedules an actor that does nothing, also a suspended one.
func (a *cell[M]) rouseAndUnlock() {
	if a.status == suspended {
		a.status = idle
	}
	a.wakeAndUnlock(nil)
}

// signalAndUnlock runs the oldest of what was posted. One that panics leaves
// the others to the turn after the restart.
func (a *cell[M]) signalAndUnlock() {
	first := a.cold.signals[0]
	a.cold.signals[0] = nil
	if a.cold.signals = a.cold.signals[1:]; len(a.cold.signals) == 0 {
		a.cold.signals = nil
	}
	a.mu.Unlock()
	first()
}

// due reports whether a turn has something to do beside messages.
func (c *cold[M]) due() bool {
	return c != nil && (len(c.signals) > 0 || c.pill != 0 || c.timers.waiting() || c.family.disturbed())
}

// poison lets the actor end once it has handled the messages of the normal lane
// that were accepted before.
func (a *cell[M]) poison() {
	a.mu.Lock()
	if a.gate&passive != 0 {
		a.stopPassiveAndUnlock()
		return
	}
	a.stirLocked()
	if a.gate&closing == 0 && (a.cold == nil || a.cold.pill == 0) {
		cold := a.coldLocked()
		cold.pill = a.box.NormalSize() - cold.aside + 1
		if cold.stay != nil {
			cold.stay.final = true
		}
		a.attention.Or(urgent)
	}
	a.wakeAndUnlock(nil)
}

// maxStash bounds the messages that an actor has put aside. They keep their
// room in the mailbox, whose bound is usually smaller.
const maxStash = 10_000

// ErrStashFull: the actor has put maxStash messages aside.
var ErrStashFull = errors.New("actor: stash full")

// Stash puts the message in hand aside, for a behaviour that can't handle it
// yet. It keeps its room in the mailbox until Unstash, and is a dead letter if
// the actor ends before. It is refused with ErrStashFull when 10,000 messages
// are aside; outside Receive, and in a group, it does nothing.
func (c *ContextOf[M]) Stash() error {
	if c.current == nil || c.stashed || c.cell.kind.group != nil {
		return nil
	}
	a := c.cell
	a.mu.Lock()
	defer a.mu.Unlock()
	cold := a.coldLocked()
	if len(cold.stash) >= maxStash {
		return ErrStashFull
	}
	cold.stash = append(cold.stash, *c.current)
	c.stashed = true
	return nil
}

// Unstash makes the messages that were put aside the next ones on the normal
// lane, in the order of their arrival.
func (c *ContextOf[M]) Unstash() {
	a := c.cell
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cold == nil || len(a.cold.stash) == 0 {
		return
	}
	c.unstash = true
	a.attention.Or(urgent)
}

// setAsideLocked gives n messages that were put aside their room: whatever lane
// brought them, they come back on the normal one. The pill does not wait for
// them.
func (a *cell[M]) setAsideLocked(n int32) {
	a.box.Hold(n)
	a.cold.aside += n
}

// bringBackLocked makes the messages that were put aside the next ones.
func (a *cell[M]) bringBackLocked() {
	cold := a.cold
	if cold.pill > 0 {
		cold.pill += cold.aside
	}
	a.box.Prepend(cold.stash, a.kind.chunks)
	cold.stash, cold.aside = nil, 0
}

// Become makes receive the actor's behaviour from the next message on. The
// receiver stays what its hooks belong to.
func (c *ContextOf[M]) Become(receive func(*ContextOf[M])) {
	a := c.cell
	a.mu.Lock()
	defer a.mu.Unlock()
	cold := a.coldLocked()
	cold.earlier = &earlier[M]{a.receiver, cold.earlier}
	a.receiver = behaviour[M](receive)
}

// Unbecome returns to the behaviour before the last Become; the first one is
// the receiver itself.
func (c *ContextOf[M]) Unbecome() {
	a := c.cell
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cold == nil || a.cold.earlier == nil {
		return
	}
	a.receiver = a.cold.earlier.receiver
	a.cold.earlier = a.cold.earlier.earlier
}

// earlier is a behaviour beneath the present one.
type earlier[M any] struct {
	receiver ReceiverOf[M]
	earlier  *earlier[M]
}

// behaviour is a function as a receiver.
type behaviour[M any] func(*ContextOf[M])

// Receive implements ReceiverOf.
func (b behaviour[M]) Receive(c *ContextOf[M]) { b(c) }

// rootReceiver is the receiver that the actor was made with.
func (a *cell[M]) rootReceiver() ReceiverOf[M] {
	a.mu.Lock()
	defer a.mu.Unlock()
	root := a.receiver
	if a.cold != nil {
		for e := a.cold.earlier; e != nil; e = e.earlier {
			root = e.receiver
		}
	}
	return root
}
