package actor

import (
	"slices"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/actor/wheel"
)

// Timer is a message that an actor ordered for itself, once or periodically.
// It ends with the actor. The zero Timer is one that was stopped.
type Timer struct{ order stopper }

// stopper is an order of any message type.
type stopper interface{ stop() bool }

// Stop takes the order back. When it returns true in the actor's own turn, the
// message does not come any more, even if its time has passed. It is false when
// the message has come, and when it was stopped before.
func (t Timer) Stop() bool { return t.order != nil && t.order.stop() }

// After lets msg come to the actor when d has passed, at most one wheel.Tick
// later if the actor is idle. The message goes before those that wait in the
// normal lane, and beyond MailboxSize: a flood does not make it late, and it
// cannot be refused. There are no timers in a group, which has no time: its
// Timer never fires.
func (c *ContextOf[M]) After(d time.Duration, msg M) Timer { return c.order(d, 0, msg) }

// Every lets msg come to the actor each time that d has passed, as After does.
// While one of them waits for its turn, no further one comes.
func (c *ContextOf[M]) Every(d time.Duration, msg M) Timer {
	return c.order(d, max(d, wheel.Tick), msg)
}

func (c *ContextOf[M]) order(d, period time.Duration, msg M) Timer {
	a := c.cell
	if a.member() {
		return Timer{}
	}
	a.mu.Lock()
	cold := a.coldLocked()
	if cold.timers == nil {
		cold.timers = &timers[M]{cell: a}
	}
	a.mu.Unlock()
	return Timer{cold.timers.order(a.kind.system.clock, d, period, msg)}
}

// timers are the orders of one actor. An order whose time has come waits in due
// until a turn takes it; up to that moment it can be taken back.
type timers[M any] struct {
	cell *cell[M]

	mu     sync.Mutex // taken after the cell's lock and before the clock's
	orders []*order[M]
	due    []*order[M] // oldest first
}

// order is one timer's message.
type order[M any] struct {
	timers   *timers[M]
	alarm    *wheel.Alarm
	msg      M
	at       int // in orders; -1 is ended
	periodic bool
	waits    bool // in due
}

func (t *timers[M]) order(clock *wheel.Clock, d, period time.Duration, msg M) *order[M] {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := &order[M]{timers: t, msg: msg, at: len(t.orders), periodic: period > 0}
	t.orders = append(t.orders, o)
	if o.periodic {
		o.alarm = clock.Every(period, o.fire)
	} else {
		o.alarm = clock.After(d, o.fire)
	}
	return o
}

// fire is called by the clock.
func (o *order[M]) fire() {
	t, a := o.timers, o.timers.cell
	t.mu.Lock()
	fresh := o.at >= 0 && !o.waits
	if fresh {
		o.waits = true
		t.due = append(t.due, o)
	}
	t.mu.Unlock()
	if !fresh {
		return
	}
	a.mu.Lock()
	if a.gate&passive != 0 { // it has just ended
		a.mu.Unlock()
		return
	}
	a.attention.Or(urgent)
	a.wakeAndUnlock(nil)
}

// take removes the oldest message that is due.
func (t *timers[M]) take() (msg M, ok bool) {
	if t == nil {
		return msg, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.due) == 0 {
		return msg, false
	}
	o := t.due[0]
	t.due[0] = nil
	t.due = t.due[1:]
	o.waits = false
	if !o.periodic {
		t.removeLocked(o)
	}
	return o.msg, true
}

// set reports whether a message is due or will be.
func (t *timers[M]) set() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.orders) > 0
}

// waiting reports whether a message is due.
func (t *timers[M]) waiting() bool {
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.due) > 0
}

// removeLocked ends an order.
func (t *timers[M]) removeLocked(o *order[M]) {
	last := len(t.orders) - 1
	t.orders[o.at] = t.orders[last]
	t.orders[o.at].at = o.at
	t.orders[last] = nil
	t.orders = t.orders[:last]
	o.at = -1
}

func (o *order[M]) stop() bool {
	t := o.timers
	t.mu.Lock()
	defer t.mu.Unlock()
	if o.at < 0 {
		return false
	}
	o.alarm.Stop()
	if o.waits {
		t.due = slices.DeleteFunc(t.due, func(other *order[M]) bool { return other == o })
	}
	t.removeLocked(o)
	return true
}

// stop ends all orders of an actor that ends or begins anew.
func (t *timers[M]) stop() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range t.orders {
		o.alarm.Stop()
		o.at = -1
	}
	t.orders, t.due = nil, nil
}

// takeLocked takes what the turn handles next: what a timer brings, or up to
// most messages of the mailbox.
func (a *cell[M]) takeLocked(c *ContextOf[M], most int32) bool {
	if a.cold == nil {
		return a.box.Take(&c.batch, most)
	}
	msg, ok := a.cold.timers.take()
	if !ok {
		return a.box.Take(&c.batch, most)
	}
	a.box.Bring(&c.batch, msg)
	if a.cold.pill > 0 {
		a.cold.pill++
	}
	return true
}
