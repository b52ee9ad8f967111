package verify

import (
	"slices"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

// hole is a series of numbers that a device delivered and the history does not
// hold, between two readings that it does hold.
type hole struct {
	numbers    []int64
	prev, next *Reading // nil at the ends
}

// holes returns a device's missing numbers. Without truth, only numbers
// between two readings can be seen to be missing.
func (c *comparison) holes(dev id.Device, present []Reading) []hole {
	missing := c.missing(dev, present)
	var out []hole
	at := 0 // the first of present above the hole before
	for _, n := range missing {
		from := at
		for at < len(present) && present[at].Value < n {
			at++
		}
		if len(out) > 0 && from == at {
			out[len(out)-1].numbers = append(out[len(out)-1].numbers, n)
			continue
		}
		h := hole{numbers: []int64{n}}
		if at > 0 {
			h.prev = &present[at-1]
		}
		if at < len(present) {
			h.next = &present[at]
		}
		out = append(out, h)
	}
	return out
}

func (c *comparison) missing(dev id.Device, present []Reading) []int64 {
	var out []int64
	if !c.report.HasTruth {
		for i := 1; i < len(present); i++ {
			for n := present[i-1].Value + 1; n < present[i].Value && len(out) < maxHole; n++ {
				out = append(out, n)
			}
		}
		return out
	}
	held := make(map[int64]int, len(present))
	for _, r := range present {
		held[r.Value]++
	}
	for n, count := range c.truth[dev] {
		for range count - held[n] {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// maxHole bounds the numbers that are listed as missing without truth: a chip
// that was replaced by one with a far higher number would fill the memory.
const maxHole = 1 << 20

// explain says of each number of a hole whether it is uncommitted, in a gap, in
// a remainder or lost. The numbers just before a crash are the uncommitted ones, so that
// crashes take from the top.
func (c *comparison) explain(dev id.Device, h *hole, present []Reading) {
	rest := h.numbers
	crashed := func(empty bool) {
		for i := range c.crashes {
			e := &c.crashes[i]
			if len(rest) == 0 {
				return
			}
			if e.empty != empty || e.spent || !c.follows(h, e) {
				continue
			}
			e.spent = e.empty
			n := min(uncommittedLimit(e.Interval, period(present)), len(rest))
			c.report.Uncommitted += n
			rest = rest[:len(rest)-n]
		}
	}
	crashed(false)
	for i := range c.gaps {
		g := &c.gaps[i]
		if g.left == 0 || len(rest) == 0 || !c.covers(g, h) {
			continue
		}
		n := int(min(g.left, uint64(len(rest))))
		g.left -= uint64(n)
		c.report.Gaps += n
		rest = rest[n:]
	}
	crashed(true) // whose place is not known: what is declared comes first
	for i := range c.rests {
		if len(rest) > 0 && c.covers(&c.rests[i], h) {
			c.report.Remainder += len(rest)
			rest = nil
		}
	}
	for _, n := range rest {
		c.report.Lost++
		f := Finding{Kind: FindingLost, Device: dev, Value: n, Text: "no reading, no gap, not uncommitted"}
		if h.prev != nil {
			f.Run, f.Seq = h.prev.Run, h.prev.Seq
			f.Text += "; after " + itoa(h.prev.Value)
		}
		c.find(f)
	}
}

// follows reports whether a hole lies behind the last applied frame of a
// crashed run: nothing after it in the device's numbers belongs to the run or
// to one before it. One of which nothing was applied may have been anywhere
// before it was found.
func (c *comparison) follows(h *hole, e *entry) bool {
	if e.empty {
		return c.sameGateway(h, e.Gateway) && (h.prev == nil || !h.prev.Time.After(e.Found))
	}
	at, known := c.order[e.Run]
	if !known || !c.sameGateway(h, e.Gateway) {
		return false
	}
	if h.prev != nil {
		if o, ok := c.order[h.prev.Run]; !ok || o > at {
			return false
		}
	}
	if h.next != nil {
		if o, ok := c.order[h.next.Run]; !ok || o <= at {
			return false
		}
	}
	return true
}

// covers reports whether a range may have held a hole's readings: it lies
// between the hole's ends by the order of runs, by sequence within a run, and if
// a gateway declared it by time since boot within a boot.
func (c *comparison) covers(g *entry, h *hole) bool {
	if !c.sameGateway(h, g.Gateway) {
		return false
	}
	if c.before(g.Run, h.prev) || c.after(g.Run, h.next) {
		return false
	}
	timed := g.Cause == Declared
	if p := h.prev; p != nil {
		if p.Run == g.Run && g.B != 0 && g.B <= p.Seq || timed && c.runs[p.Run].Boot == g.Boot && g.To+time.Millisecond < p.Tick {
			return false
		}
	}
	if n := h.next; n != nil {
		if n.Run == g.Run && g.A >= n.Seq || timed && c.runs[n.Run].Boot == g.Boot && g.From > n.Tick {
			return false
		}
	}
	return true
}

// before reports whether a run is known to have begun before that of a reading
// which came over the same gateway.
func (c *comparison) before(run id.Run, r *Reading) bool {
	a, b, known := c.orders(run, r)
	return known && a < b
}

func (c *comparison) after(run id.Run, r *Reading) bool {
	a, b, known := c.orders(run, r)
	return known && a > b
}

func (c *comparison) orders(run id.Run, r *Reading) (a, b int, known bool) {
	if r == nil {
		return 0, 0, false
	}
	// A run that is known by its readings alone counts as the gateway's own: a
	// device hangs on one at a time.
	if of, listed := c.runs[r.Run]; listed && of.Gateway != c.runs[run].Gateway {
		return 0, 0, false
	}
	a, known = c.order[run]
	b, also := c.order[r.Run]
	return a, b, known && also
}

// sameGateway reports whether a neighbour of the hole came over the gateway, as
// far as is known. A device without any reading may hang on each gateway of its
// site.
func (c *comparison) sameGateway(h *hole, gw id.Gateway) bool {
	over := func(r *Reading) bool {
		if r == nil {
			return false
		}
		run, known := c.runs[r.Run]
		return known && run.Gateway == gw || !known && r.Device.Site == gw.Site
	}
	return h.prev == nil && h.next == nil || over(h.prev) || over(h.next)
}

// uncommittedLimit is the most readings of one device that fit into a commit
// interval, both ends counted. Without a known period there is no bound to
// hold against, and one reading is allowed.
func uncommittedLimit(interval, period time.Duration) int {
	if period <= 0 {
		return 1
	}
	interval = min(max(interval, 0), maxInterval)
	return int(min((interval+commitSlack)/period, maxHole)) + 1
}

// period is the usual time between two numbers of a device: the median over
// neighbours in one run. 0 is unknown.
func period(present []Reading) time.Duration {
	var spacings []time.Duration
	for i := 1; i < len(present); i++ {
		a, b := present[i-1], present[i]
		if a.Run == b.Run && b.Value > a.Value {
			spacings = append(spacings, (b.Tick-a.Tick)/time.Duration(b.Value-a.Value))
		}
	}
	if len(spacings) == 0 {
		return 0
	}
	slices.Sort(spacings)
	return spacings[len(spacings)/2]
}
