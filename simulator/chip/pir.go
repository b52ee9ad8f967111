package chip

import (
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// PIR is a motion detector, the module HC-SR501 around the circuit BISS0001,
// from the module's user guide. Its output is push-pull: high from a movement
// until it has seen none for the hold time (jumper H, "repeatable trigger"),
// then low and blind for the lock time. Not here: the minute after power-on in
// which the module gives false pulses, its range, and the jumper's other place.
type PIR struct {
	moves Movement
	hold  time.Duration

	mu   sync.Mutex
	seen time.Time // movements until here are dealt with
	high bool
	fall time.Time // when high: of the output, without another movement
}

// Movement returns the first movement in front of a detector after a moment and
// not later than another. It must be a pure function.
type Movement func(after, until time.Time) (at time.Time, ok bool)

// Times of an HC-SR501: what its potentiometer sets ("delay time"), and what its
// circuit adds ("block time").
const (
	MinHold = 2500 * time.Millisecond
	MaxHold = 300 * time.Second
	pirLock = 2500 * time.Millisecond

	// pirCatchUp is how far back an output that was not looked at is worked
	// out: twice the longest hold. Earlier movements are forgotten.
	pirCatchUp = 2 * MaxHold
)

// NewPIR returns a detector that was powered on just now, with a hold time
// between MinHold and MaxHold.
func NewPIR(moves Movement, hold time.Duration) *PIR { return newPIR(moves, hold, time.Now()) }

func newPIR(moves Movement, hold time.Duration, now time.Time) *PIR {
	return &PIR{moves: moves, hold: min(max(hold, MinHold), MaxHold), seen: now}
}

// Drive implements Part: what a host does to an output behind its resistor
// harms neither.
func (p *PIR) Drive(time.Time, Drive) {}

// Level implements Part.
func (p *PIR) Level(now time.Time) (gpio.Level, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.advance(now)
	return gpio.Level(p.high), true
}

// advance lets the movements until now act.
func (p *PIR) advance(now time.Time) {
	p.seen = later(p.seen, now.Add(-pirCatchUp))
	for {
		until := now
		if p.high && p.fall.Before(now) {
			until = p.fall
		}
		if p.seen.Before(until) {
			if at, ok := p.moves(p.seen, until); ok {
				p.seen, p.high, p.fall = at, true, at.Add(p.hold)
				continue
			}
			p.seen = until
		}
		if !p.high || now.Before(p.fall) {
			return
		}
		p.high, p.seen = false, later(p.seen, p.fall.Add(pirLock))
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
