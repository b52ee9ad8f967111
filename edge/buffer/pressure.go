package buffer

import (
	"context"
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

// Pressure says how much less the sampler should send, so that what is held
// reaches further back: a series with fewer rows is worth more than a gap.
type Pressure uint8

// The levels.
const (
	PressureNone Pressure = iota
	PressureLow
	PressureHigh
	PressureHighest
)

// Keep returns how many rows that are due one is to be kept of: 1, 2, 4 or 8.
func (p Pressure) Keep() int { return 1 << p }

func (p Pressure) String() string {
	return [...]string{"none", "low", "high", "highest"}[min(p, PressureHighest)]
}

// load is what presses: how full each thing is that is bounded, in parts of
// fullParts, and what is beyond the buffer.
type load struct {
	limit   int  // telemetry in the store and in memory, of its limit
	memory  int  // frames that are not committed, of MaxMemory
	reserve int  // the band above the reserve that is used up
	starved bool // the link has no credit: the cloud cannot take more
	spent   bool // the day's write budget is used up
}

// fullParts are the parts of what is full.
const fullParts = 100

// pressureAt are the parts from which each level is due. At the first, an
// outage of days still has its last third before it, with half of the rows.
var pressureAt = [...]int{PressureLow: 70, PressureHigh: 85, PressureHighest: 95}

// pressureEase is how far what presses must go back until a level is left: a
// level that comes and goes with each commit would only make series uneven.
const pressureEase = 5

// reserveBand is the room above the file system's reserve in which pressure
// rises, in MaxMemory: as much as may have to be committed at once.
const reserveBand = 8

// pressure returns the level after before.
func (l *load) pressure(before Pressure) Pressure {
	if l.spent {
		return PressureHighest
	}
	full := max(l.limit, l.memory, l.reserve)
	level := PressureNone
	for p := PressureLow; p <= PressureHighest; p++ {
		at := pressureAt[p]
		if p <= before {
			at -= pressureEase
		}
		if full >= at {
			level = p
		}
	}
	if l.starved {
		level = max(level, PressureLow)
	}
	return level
}

// parts returns n of all in fullParts, at most fullParts.
func parts(n, all int64) int {
	if all <= 0 || n >= all {
		return fullParts
	}
	return int(max(n, 0) * fullParts / all)
}

// load returns what presses now.
func (c *core) load() load {
	in := c.class(wire.Telemetry)
	band := reserveBand * c.cfg.MaxMemory
	return load{
		limit:   parts(in.live+in.memory, in.limit),
		memory:  parts(c.memory(), c.cfg.MaxMemory),
		reserve: parts(band-(c.free-c.cfg.Reserve), band),
		starved: c.starved,
		spent:   c.spent,
	}
}

// press takes a new look at what presses.
func (c *core) press() {
	l := c.load()
	c.level = l.pressure(c.level)
}

// observeEvery is how often the buffer looks at what changes without it: what
// others leave free on the file system, and what the process has written.
const observeEvery = 10 * time.Second

// observer looks at what presses from outside until ctx ends.
func (b *Buffer) observer(ctx context.Context) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	saved := b.cfg.Now()
	for {
		b.observe()
		if now := b.cfg.Now(); now-saved >= budgetEvery {
			saved = now
			if err := b.saveBudget(); err != nil {
				b.log.Warn("buffer: what was written today is not written down", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (b *Buffer) observe() {
	b.spend()
	free, err := b.store.Free()
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil { // otherwise the next commit says so
		b.core.free = free
	}
	b.core.press()
}

// Pressure returns the present level.
func (b *Buffer) Pressure() Pressure {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.core.level
}

// SetStarved says whether the link wants to send and has no credit.
func (b *Buffer) SetStarved(starved bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.core.starved = starved
	b.core.press()
}
