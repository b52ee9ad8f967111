package buffer

import (
	"math"
	"slices"

	"github.com/atrium-iot/atrium/shared/wire"
)

// classes are those of runs: each has an open run, a frame that is being
// filled and a limit of its own, so that no flood of one drops the other's.
// What gives way to all goes by this order: telemetry before events.
var classes = [2]wire.Class{wire.Telemetry, wire.Events}

func known(class wire.Class) bool { return slices.Contains(classes[:], class) }

// eventShare: while memory is full, events give way only beyond this part of
// it, and telemetry only below.
const eventShare = 4

// intake is where the rows of one class come in, and what is held of it.
type intake struct {
	run    *run // the open one
	frame  openFrame
	limit  int64 // bytes of segments
	live   int64 // bytes of segments in the store
	memory int64 // bytes of items that are not committed
}

func newCore(cfg Config) core {
	c := core{cfg: cfg, clock: clockMapping{source: wire.ClockNone}, free: math.MaxInt64 / 2}
	for i := range c.in {
		c.in[i].frame.density = firstDensity
	}
	c.class(wire.Telemetry).limit = cfg.Limit
	c.class(wire.Events).limit = cfg.EventLimit
	return c
}

func (c *core) class(class wire.Class) *intake {
	return &c.in[slices.Index(classes[:], class)]
}

// of returns the intake of a run's class.
func (c *core) of(r *run) *intake { return c.class(r.class) }

// sum adds what of says of every class.
func (c *core) sum(of func(*intake) int64) (n int64) {
	for i := range c.in {
		n += of(&c.in[i])
	}
	return n
}

func (c *core) memory() int64 { return c.sum(func(in *intake) int64 { return in.memory }) }

func (c *core) live() int64 { return c.sum(func(in *intake) int64 { return in.live }) }

func (c *core) openRows() int {
	return int(c.sum(func(in *intake) int64 { return int64(in.frame.rows) }))
}

// overLimit returns the bytes by which a class would exceed its limit if what
// it has in memory were written.
func (in *intake) overLimit() int64 { return in.live + in.memory - in.limit }

// urgent says whether an event waits for its commit.
func (c *core) urgent() bool { return len(c.class(wire.Events).run.mem) > 0 }

// shedFirst returns the classes in the order in which they give way while
// memory is full.
func (c *core) shedFirst() []wire.Class {
	if c.class(wire.Events).memory > c.cfg.MaxMemory/eventShare {
		return []wire.Class{wire.Events, wire.Telemetry}
	}
	return classes[:]
}
