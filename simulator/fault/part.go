package fault

import (
	"time"

	"periph.io/x/conn/v3/gpio"

	"github.com/atrium-iot/atrium/simulator/chip"
)

// brokenPart is a part in its faults: a chip.Part itself.
type brokenPart struct {
	*target // its lock guards what follows

	powerOn func() chip.Part
	part    chip.Part
	driven  chip.Drive // by the host, whether or not the part knows
	absent  bool
	last    *gpio.Level // as read last; nil: not yet
}

func newBrokenPart(t *target, powerOn func() chip.Part) *brokenPart {
	p := &brokenPart{target: t, powerOn: powerOn, part: powerOn()}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settled = p.plug
	return p
}

// plug tells the part what it sees of its line: nothing while it is unplugged,
// nothing new while it is stuck, otherwise what the host drives.
func (p *brokenPart) plug(at time.Duration) {
	was := p.absent
	p.absent = p.inForce(Unplugged, at)
	if was && !p.absent {
		p.part, p.last = p.powerOn(), nil
	}
	if p.inForce(Stuck, at) {
		return
	}
	sees := p.driven
	if p.absent {
		sees = chip.Released
	}
	p.part.Drive(p.start.Add(at), sees)
}

// Drive implements chip.Part.
func (p *brokenPart) Drive(now time.Time, d chip.Drive) {
	at := now.Sub(p.start)
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := d != p.driven
	p.driven = d
	p.settle(at)
	if changed && !p.strikes(Unplugged, at) {
		p.strikes(Stuck, at)
	}
}

// Level implements chip.Part. A part that was never read sticks at what it says
// first.
func (p *brokenPart) Level(now time.Time) (gpio.Level, bool) {
	at := now.Sub(p.start)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle(at)
	if p.strikes(Unplugged, at) {
		return gpio.Low, false
	}
	level, ok := p.part.Level(now)
	if !ok {
		return level, false
	}
	if p.last != nil && p.strikes(Stuck, at) {
		return *p.last, true
	}
	p.last = &level
	return level, true
}
