package wheel

import (
	"math"
	"math/bits"
	"time"
)

// Tick is the resolution: short against every timeout of the runtime, long
// against the cost of a wake-up.
const Tick = time.Millisecond

// A level has 64 slots, one for each bit of a word. Eight levels span 2^48
// ticks, and an int64 of nanoseconds only 2^45.
const (
	slotBits = 6
	slots    = 1 << slotBits
	levels   = 8
)

// Timer is a place in a wheel. The zero Timer is not set. It is part of the
// wheel's lists while it is set, so it must not be copied, and it belongs to
// the wheel that it was added to until it has fired or is cancelled.
type Timer[T any] struct {
	// Owner is for whoever made the timer, to know it again when it fires.
	Owner T

	next, prev *Timer[T] // nil when not set
	tick       uint64    // when it is due
}

// Set reports whether the timer is in a wheel and will fire.
func (t *Timer[T]) Set() bool { return t.next != nil }

// Wheel is a hierarchical timing wheel (Varghese and Lauck, "Hashed and
// hierarchical timing wheels", SOSP 1987, scheme 7). All its times are
// nanoseconds from an origin that the caller chooses. It is not safe for
// concurrent use.
//
// A timer is in the level of the highest group of six bits in which its tick
// differs from the current one. So all timers of one tick are in one slot, in
// order of Add, and every slot of a level is due before any of the level above.
type Wheel[T any] struct {
	start    int64  // the time of tick 0
	now      uint64 // no slot holds a tick at or before it
	timers   int
	late     list[T] // due when they were added: for the next Advance
	firing   list[T] // what Advance is at
	slots    [levels][slots]list[T]
	occupied [levels]uint64 // a bit for each slot that is not empty
}

// New makes an empty wheel whose time is now.
func New[T any](now int64) *Wheel[T] { return &Wheel[T]{start: now} }

// Len counts the timers that are set.
func (w *Wheel[T]) Len() int { return w.timers }

// Add sets t to fire when the time has reached due, at most one Tick after. One
// that is due already fires at the next Advance, also when a timer's firing
// adds it. A timer that is set is moved.
func (w *Wheel[T]) Add(t *Timer[T], due int64) {
	w.Cancel(t)
	w.timers++
	t.tick = w.tickAfter(due)
	if t.tick <= w.now {
		w.late.push(t)
		return
	}
	w.place(t)
}

// Cancel takes t out in constant time. It is false when t was not set.
func (w *Wheel[T]) Cancel(t *Timer[T]) bool {
	if !t.Set() {
		return false
	}
	w.timers--
	if t.tick <= w.now {
		// Behind the head of firing, t leaves its list as it would leave late's.
		if w.firing.head == t {
			w.firing.remove(t)
		} else {
			w.late.remove(t)
		}
		return true
	}
	level, slot := w.where(t.tick)
	l := &w.slots[level][slot]
	l.remove(t)
	if l.head == nil {
		w.occupied[level] &^= 1 << slot
	}
	return true
}

// Clear cancels all timers.
func (w *Wheel[T]) Clear() {
	w.empty(&w.late)
	w.empty(&w.firing)
	for level := range w.slots {
		for slot := range w.slots[level] {
			w.empty(&w.slots[level][slot])
		}
	}
}

func (w *Wheel[T]) empty(l *list[T]) {
	for l.head != nil {
		w.Cancel(l.head)
	}
}

// Next is when Advance has something to do, which for a timer far ahead may be
// before it is due. It is false when no timer is set.
func (w *Wheel[T]) Next() (due int64, ok bool) {
	if w.late.head != nil || w.firing.head != nil {
		return w.timeOf(w.now), true
	}
	tick, _, ok := w.first()
	return w.timeOf(tick), ok
}

// Advance sets the time and calls fire for each timer that is due, when it is
// no longer set: first those that were due when they were added, in order of
// Add, then by tick, and within a tick in order of Add. fire may add and cancel
// any timer, but not call Advance. A time before that of the last Advance
// counts as that one.
func (w *Wheel[T]) Advance(now int64, fire func(*Timer[T])) {
	w.firing.take(&w.late)
	w.fireAll(fire)
	until := w.tickBefore(now)
	for {
		tick, level, ok := w.first()
		if !ok || tick > until {
			break
		}
		l := w.leave(tick, level)
		if level == 0 {
			w.firing.take(l)
			w.fireAll(fire)
			continue
		}
		for l.head != nil {
			w.place(l.pop())
		}
	}
	w.now = max(w.now, until)
}

func (w *Wheel[T]) fireAll(fire func(*Timer[T])) {
	for w.firing.head != nil {
		t := w.firing.pop()
		w.timers--
		fire(t)
	}
}

// first is the first slot that is not empty: the tick at which it begins, and
// its level.
func (w *Wheel[T]) first() (tick uint64, level int, ok bool) {
	for level, occupied := range w.occupied {
		if occupied == 0 {
			continue
		}
		shift := level * slotBits
		begin := w.now >> (shift + slotBits) << (shift + slotBits)
		return begin | uint64(bits.TrailingZeros64(occupied))<<shift, level, true
	}
	return 0, 0, false
}

// leave moves the time to the beginning of a slot, whose timers the caller
// takes.
func (w *Wheel[T]) leave(tick uint64, level int) *list[T] {
	w.now = tick
	slot := tick >> (level * slotBits) % slots
	w.occupied[level] &^= 1 << slot
	return &w.slots[level][slot]
}

func (w *Wheel[T]) place(t *Timer[T]) {
	level, slot := w.where(t.tick)
	w.slots[level][slot].push(t)
	w.occupied[level] |= 1 << slot
}

func (w *Wheel[T]) where(tick uint64) (level int, slot uint64) {
	level = (bits.Len64((tick^w.now)|1) - 1) / slotBits
	return level, tick >> (level * slotBits) % slots
}

// tickAfter is the first tick at or after a time.
func (w *Wheel[T]) tickAfter(t int64) uint64 {
	tick := w.tickBefore(t)
	if w.timeOf(tick) < t {
		tick++
	}
	return tick
}

// tickBefore is the last tick at or before a time; before the start it is 0.
func (w *Wheel[T]) tickBefore(t int64) uint64 {
	if t <= w.start {
		return 0
	}
	return (uint64(t) - uint64(w.start)) / uint64(Tick)
}

// timeOf is the time of a tick, or the last there is.
func (w *Wheel[T]) timeOf(tick uint64) int64 {
	if tick > w.tickBefore(math.MaxInt64) {
		return math.MaxInt64
	}
	return int64(uint64(w.start) + tick*uint64(Tick))
}
