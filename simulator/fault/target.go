package fault

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// target is the faults of one chip or part.
type target struct {
	Target
	start    time.Time
	injected [kinds]prometheus.Counter
	settled  func(at time.Duration) // called with mu held when those in force may be others

	mu     sync.Mutex
	active []*active // planned and in force, by age
	random *rand.Rand
}

// active is a fault that is not over.
type active struct {
	Fault
	id       uint64
	injected uint64 // transactions that it changed
	timers   []*time.Timer
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

// inForce says whether there is a fault of the kind now.
func (t *target) inForce(k Kind, at time.Duration) bool {
	return slices.ContainsFunc(t.active, func(a *active) bool { return a.Kind == k && a.InForce(at) })
}

// settle forgets the faults that are over and lets those in force act.
func (t *target) settle(at time.Duration) {
	t.active = slices.DeleteFunc(t.active, func(a *active) bool { return a.Over(at) })
	t.settled(at)
}

// wake settles at a moment when a fault begins or ends that acts by itself,
// whether or not a host looks then.
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
	if a.Kind == Unplugged || t.Line {
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
