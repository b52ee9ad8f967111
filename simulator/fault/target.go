package fault

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/simulator/chip"
)

// target is a chip in its faults: a chip.Chip itself. Its lock is not held
// while the chip works, because a chip may stretch the clock.
type target struct {
	Target
	start    time.Time
	injected [kinds]prometheus.Counter

	mu      sync.Mutex
	powerOn func() chip.Chip
	chip    chip.Chip
	absent  bool
	active  []*active // planned and in force, by kind and then by age
	random  *rand.Rand
	replies replies
}

// active is a fault that is not over.
type active struct {
	Fault
	id       uint64
	injected uint64 // transactions that it changed
	timers   []*time.Timer
}

// Tx implements chip.Chip.
func (t *target) Tx(w, r []byte) error {
	at := time.Since(t.start)
	c, ok := t.before(at)
	if !ok {
		return chip.NACK
	}
	if err := c.Tx(w, r); err != nil || len(r) == 0 {
		return err
	}
	t.after(at, w, r)
	return nil
}

// before returns the chip, or false if the transaction does not reach it.
func (t *target) before(at time.Duration) (chip.Chip, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(at)
	if t.strikes(Unplugged, at) || t.strikes(NACK, at) {
		return nil, false
	}
	return t.chip, true
}

// after changes what was read at a time.
func (t *target) after(at time.Duration, w, r []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last, ok := t.replies.of(w, len(r)); ok && t.strikes(Stuck, at) {
		copy(r, last)
	} else {
		t.replies.keep(w, r)
	}
	if t.strikes(CRC, at) {
		bit := t.random.IntN(len(r) * 8)
		r[bit/8] ^= 1 << (bit % 8)
	}
}

// strikes says whether a fault of the kind hits the transaction, and counts it.
func (t *target) strikes(k Kind, at time.Duration) bool {
	for _, a := range t.active {
		if a.Kind != k || !a.InForce(at) || a.Probability < 1 && t.random.Float64() >= a.Probability {
			continue
		}
		a.injected++
		t.injected[k].Inc()
		return true
	}
	return false
}

// settle forgets the faults that are over and, when the chip is plugged in
// again, powers it on.
func (t *target) settle(at time.Duration) {
	t.active = slices.DeleteFunc(t.active, func(a *active) bool { return a.Over(at) })
	was := t.absent
	t.absent = slices.ContainsFunc(t.active, func(a *active) bool { return a.Kind == Unplugged && a.InForce(at) })
	if was && !t.absent && t.powerOn != nil {
		t.chip, t.replies = t.powerOn(), replies{}
	}
}

// wake settles at a moment when a chip is unplugged or plugged in, whether or
// not a host looks at it then.
func (t *target) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(time.Since(t.start))
}

// insert adds a fault.
func (t *target) insert(a *active, at time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.active = append(t.active, a)
	t.settle(at)
	if a.Kind == Unplugged {
		for _, when := range []time.Duration{a.Begin, a.End} {
			if when > at {
				a.timers = append(a.timers, time.AfterFunc(when-at, t.wake))
			}
		}
	}
}

// remove ends the faults that match and returns how many there were.
func (t *target) remove(match func(*active) bool) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := time.Since(t.start)
	t.settle(at)
	before := len(t.active)
	t.active = slices.DeleteFunc(t.active, func(a *active) bool {
		if !match(a) {
			return false
		}
		for _, timer := range a.timers {
			timer.Stop()
		}
		return true
	})
	removed := before - len(t.active)
	t.settle(at)
	return removed
}

// Limits of what is remembered of a chip: more requests, and longer ones, than
// the reading of a sensor needs.
const (
	maxReplies = 64
	maxRequest = 16
	maxReply   = 64
)

// replies are the last answers of a chip by request. The zero value is empty.
type replies struct{ last map[string][]byte }

// of returns the last answer to the request, if it had n bytes.
func (m *replies) of(w []byte, n int) ([]byte, bool) {
	last := m.last[string(w)]
	return last, len(last) == n
}

// keep remembers an answer; it copies both.
func (m *replies) keep(w, r []byte) {
	last, known := m.last[string(w)]
	switch {
	case len(w) > maxRequest || len(r) > maxReply || !known && len(m.last) == maxReplies:
		return
	case len(last) == len(r):
		copy(last, r)
		return
	case m.last == nil:
		m.last = map[string][]byte{}
	}
	m.last[string(w)] = slices.Clone(r)
}
