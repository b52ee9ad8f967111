package world

import (
	"slices"
	"sync"
	"time"
)

// What a load does to its room: a fan heater of 2 kW, whose air ends that much
// warmer, and a lamp above the desk.
const (
	heaterK = 12.0
	lampLux = 400.0
)

// maxStretches bounds the past of a Load. A chip asks at most some minutes back
// (a TMP102 17), in which a relay that is switched more than four times a second
// forgets its oldest.
const maxStretches = 4096

// Load is what a relay switches in a room. The zero value has always been off.
// It is safe for concurrent use.
type Load struct {
	mu   sync.Mutex
	past []stretch // by time; on and off in turn
}

// stretch is a time without a switch, up to the next stretch.
type stretch struct {
	from  time.Time
	on    bool
	share float64 // at from: of what the load does to its room in the end
}

// Switch says that the load is on, or off, from a moment on, whatever was said
// of later ones.
func (l *Load) Switch(at time.Time, on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := len(l.past)
	for end > 0 && !l.past[end-1].from.Before(at) {
		end--
	}
	l.past = l.past[:end]
	now := l.at(at)
	if now.on == on {
		return
	}
	if len(l.past) == maxStretches {
		l.past = slices.Delete(l.past, 0, 1)
	}
	l.past = append(l.past, stretch{at, on, now.share})
}

// at returns the state at a moment, whatever came later. Before the oldest
// stretch it is what that began from.
func (l *Load) at(t time.Time) stretch {
	for _, s := range slices.Backward(l.past) {
		if s.from.After(t) {
			continue
		}
		goal := 0.0
		if s.on {
			goal = 1
		}
		return stretch{t, s.on, goal + (s.share-goal)*fade(int64(t.Sub(s.from)))}
	}
	if len(l.past) == 0 {
		return stretch{from: t}
	}
	return stretch{t, !l.past[0].on, l.past[0].share}
}

// Kelvins returns by how much the load, a heater, has warmed its room's air: a
// first-order low-pass of its switching, of ten minutes.
func (l *Load) Kelvins(t time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return heaterK * l.at(t).share
}

// Lux returns what the load, a lamp, adds to its room's light.
func (l *Load) Lux(t time.Time) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at(t).on {
		return lampLux
	}
	return 0
}
