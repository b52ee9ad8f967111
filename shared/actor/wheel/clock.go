package wheel

import (
	"math"
	"sync"
	"time"
)

// Clock runs functions later: a Wheel that follows the time. It has no
// goroutine while nothing is due, and one of the runtime's timers however many
// alarms are set. It is safe for concurrent use. Make one with NewClock.
type Clock struct {
	epoch time.Time // alarms are timed from here, by the monotonic clock

	mu      sync.Mutex
	wheel   *Wheel[*Alarm]
	wake    *time.Timer // calls run; nil before the first alarm
	wakeAt  int64       // what wake is set to
	asleep  bool        // wake is set, or its call of run waits for the lock
	running bool
	stopped bool
	quiet   sync.Cond // neither asleep nor running
}

// Alarm is one function that a Clock calls.
type Alarm struct {
	timer  Timer[*Alarm]
	clock  *Clock
	f      func()
	period int64 // ns; 0 for once
	due    int64
}

// NewClock makes a clock without alarms.
func NewClock() *Clock {
	c := &Clock{epoch: time.Now(), wheel: New[*Alarm](0)}
	c.quiet.L = &c.mu
	return c
}

// After calls f once when d has passed, at most one Tick later unless other
// alarms keep the clock busy; at once when d is not positive. The clock calls
// one function at a time, without a lock: f must not block, and may use the
// clock, except for Stop.
func (c *Clock) After(d time.Duration, f func()) *Alarm {
	return c.set(&Alarm{clock: c, f: f}, d)
}

// Every calls f each time that d has passed, as After does. The times do not
// drift, whatever f takes; one that has passed when its turn comes is left out.
// A period under one Tick is one Tick.
func (c *Clock) Every(d time.Duration, f func()) *Alarm {
	d = max(d, Tick)
	return c.set(&Alarm{clock: c, f: f, period: int64(d)}, d)
}

func (c *Clock) set(a *Alarm, d time.Duration) *Alarm {
	a.timer.Owner = a
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return a
	}
	a.due = later(c.now(), int64(d))
	c.wheel.Add(&a.timer, a.due)
	if !c.running {
		c.sleep()
	}
	return a
}

// Stop ends the alarm. It is false when f was called for the last time, or the
// alarm was stopped before. When it is true f does not begin any more; it may
// still be in a call that began before.
func (a *Alarm) Stop() bool {
	a.clock.mu.Lock()
	defer a.clock.mu.Unlock()
	return a.clock.wheel.Cancel(&a.timer)
}

// Len counts the alarms that are set.
func (c *Clock) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wheel.Len()
}

// Stop ends all alarms and waits for the function that runs. An alarm that is
// made afterwards never fires. A function of the clock must not call it: it
// would wait for itself.
func (c *Clock) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.wheel.Clear()
	if c.asleep && c.wake.Stop() {
		c.asleep = false
	}
	for c.asleep || c.running {
		c.quiet.Wait()
	}
}

// run is called by wake. There is never more than one.
func (c *Clock) run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asleep, c.running = false, true
	c.wheel.Advance(c.now(), c.fire)
	c.running = false
	c.sleep()
	c.quiet.Broadcast()
}

// fire calls an alarm's function without the lock, and with its next time set,
// so that the function can stop it.
func (c *Clock) fire(t *Timer[*Alarm]) {
	a := t.Owner
	if a.period > 0 {
		a.due = next(a.due, a.period, c.now())
		c.wheel.Add(&a.timer, a.due)
	}
	c.mu.Unlock()
	defer c.mu.Lock()
	a.f()
}

// sleep sets wake to when the wheel has something to do.
func (c *Clock) sleep() {
	at, ok := c.wheel.Next()
	if !ok || c.asleep && c.wakeAt <= at {
		return
	}
	if c.asleep && !c.wake.Stop() {
		return // run is about to begin, and will sleep again
	}
	c.asleep, c.wakeAt = true, at
	d := time.Duration(at - c.now())
	if c.wake == nil {
		c.wake = time.AfterFunc(d, c.run)
		return
	}
	c.wake.Reset(d)
}

func (c *Clock) now() int64 { return int64(time.Since(c.epoch)) }

// next is the first time after now that is whole periods after due.
func next(due, period, now int64) int64 {
	if due+period > now {
		return due + period
	}
	return due + (now-due)/period*period + period
}

func later(now, d int64) int64 {
	if d > math.MaxInt64-now {
		return math.MaxInt64
	}
	return now + d
}
