package verify

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

func newComparison(in Input) *comparison {
	c := &comparison{
		truth:    make(map[id.Device]map[int64]int),
		readings: make(map[id.Device][]Reading),
		runs:     make(map[id.Run]Run, len(in.Runs)),
		order:    make(map[id.Run]int, len(in.Runs)),
		highest:  make(map[id.Device]Reading),
	}
	c.report.HasTruth = in.Truth != nil
	for _, s := range in.Truth {
		if c.truth[s.Device] == nil {
			c.truth[s.Device] = make(map[int64]int)
			c.devices = append(c.devices, s.Device)
		}
		c.truth[s.Device][s.N]++
	}
	for _, r := range in.Readings {
		if r.Bad {
			continue
		}
		if c.report.HasTruth && c.truth[r.Device] == nil {
			continue
		}
		if !c.report.HasTruth && c.readings[r.Device] == nil {
			c.devices = append(c.devices, r.Device)
		}
		c.readings[r.Device] = append(c.readings[r.Device], r)
	}
	c.learnRuns(in)
	held := make(map[id.Run]bool)
	for _, r := range in.Readings {
		held[r.Run] = true
	}
	for _, e := range in.Ledger {
		switch e.Cause {
		case Declared:
			c.gaps = append(c.gaps, entry{Entry: e, left: e.Readings})
		case Crash:
			c.crashes = append(c.crashes, entry{Entry: e, empty: !held[e.Run]})
			c.report.UncommittedWithin += min(max(e.Interval, 0), maxInterval)
		case Remainder:
			c.rests = append(c.rests, entry{Entry: e})
		case Missing:
			c.find(Finding{Kind: FindingMissing, Run: e.Run, Seq: e.A, Text: "sequences to " + strconv.FormatUint(e.B, 10) + " of " + e.Gateway.String() + " were never declared"})
		}
	}
	// The latest crash first: the numbers just before it are its own. Those whose
	// place is not known take what is left, the one that was found first before
	// others, which may also have been later.
	slices.SortStableFunc(c.crashes, func(a, b entry) int {
		switch {
		case a.empty && b.empty:
			return a.Found.Compare(b.Found)
		case a.empty:
			return 1
		case b.empty:
			return -1
		}
		return cmp.Compare(c.order[b.Run], c.order[a.Run])
	})
	slices.SortFunc(c.devices, compareDevices)
	return c
}

// learnRuns finds out which gateway and boot each run belongs to, and in which
// order the runs began: as listed, if all live, otherwise by sample times.
func (c *comparison) learnRuns(in Input) {
	listed := true
	began := make(map[id.Run]time.Time)
	for _, r := range in.Runs {
		c.runs[r.Run] = r
		if !r.Retired {
			c.order[r.Run] = len(c.order)
		}
	}
	see := func(run id.Run, t time.Time) {
		if old, ok := began[run]; !ok || t.Before(old) {
			began[run] = t
		}
		_, known := c.order[run]
		listed = listed && known
	}
	for _, r := range in.Readings {
		see(r.Run, r.Time)
	}
	for _, e := range in.Ledger {
		if _, ok := began[e.Run]; !ok && e.Cause == Crash {
			see(e.Run, e.Found) // nothing of it was applied: it ended before it was found
		}
		if _, ok := c.runs[e.Run]; !ok {
			c.runs[e.Run] = Run{Run: e.Run, Gateway: e.Gateway, Boot: e.Boot}
		}
	}
	if listed {
		return
	}
	runs := slices.SortedFunc(maps.Keys(began), func(a, b id.Run) int {
		return cmp.Or(began[a].Compare(began[b]), slices.Compare(a[:], b[:]))
	})
	clear(c.order)
	for i, run := range runs {
		c.order[run] = i
	}
}

func compareDevices(a, b id.Device) int {
	return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Name, b.Name))
}

// rowKey is the identity of a row of one device: two rows of a frame differ
// in their tick.
type rowKey struct {
	run   id.Run
	seq   uint64
	tick  int64
	value int64
}

func keyOf(r Reading) rowKey { return rowKey{r.Run, r.Seq, int64(r.Tick), r.Value} }

// distinct returns the rows once each.
func distinct(rows []Reading) []Reading {
	seen := make(map[rowKey]struct{}, len(rows))
	out := make([]Reading, 0, len(rows))
	for _, r := range rows {
		if _, ok := seen[keyOf(r)]; !ok {
			seen[keyOf(r)] = struct{}{}
			out = append(out, r)
		}
	}
	return out
}

// repeated returns the rows that distinct leaves out.
func repeated(rows []Reading) []Reading {
	seen := make(map[rowKey]struct{}, len(rows))
	var out []Reading
	for _, r := range rows {
		if _, ok := seen[keyOf(r)]; ok {
			out = append(out, r)
		}
		seen[keyOf(r)] = struct{}{}
	}
	return out
}

func sortedByValue(rows []Reading) []Reading {
	out := slices.Clone(rows)
	slices.SortFunc(out, func(a, b Reading) int {
		return cmp.Or(cmp.Compare(a.Value, b.Value), a.Time.Compare(b.Time), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Tick, b.Tick))
	})
	return out
}

// reordered counts the readings whose number is lower than that of the reading
// before them: along the sequence within a run, along the ticks within a boot,
// and along sample time from one boot to another. Within a boot wall time does
// not decide (I4): a clock that was corrected may step back between two frames.
func (c *comparison) reordered(rows []Reading) {
	flagged := make(map[rowKey]bool)
	check := func(before, after Reading, along string) {
		if after.Value >= before.Value || flagged[keyOf(after)] {
			return
		}
		flagged[keyOf(after)] = true
		c.report.Reordered++
		c.find(reading(FindingReordered, after, "it follows "+itoa(before.Value)+" along "+along))
	}
	bySeq := slices.Clone(rows)
	slices.SortFunc(bySeq, func(a, b Reading) int {
		return cmp.Or(slices.Compare(a.Run[:], b.Run[:]), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Tick, b.Tick))
	})
	for i := 1; i < len(bySeq); i++ {
		if bySeq[i].Run == bySeq[i-1].Run {
			check(bySeq[i-1], bySeq[i], "its run")
		}
	}
	along := func(order func(a, b Reading) int, together func(a, b Reading) bool, name string) {
		sorted := slices.Clone(rows)
		slices.SortFunc(sorted, order)
		for from := 0; from < len(sorted); {
			to := from + 1
			for to < len(sorted) && order(sorted[from], sorted[to]) == 0 {
				to++
			}
			if to < len(sorted) { // readings of one instant have no order
				if before := slices.MaxFunc(sorted[from:to], compareValues); together(before, sorted[to]) {
					check(before, sorted[to], name)
				}
			}
			from = to
		}
	}
	along(c.compareTicks, c.sameBoot, "its boot's ticks")
	along(compareTime, func(a, b Reading) bool { return !c.sameBoot(a, b) }, "sample time")
}

// frameID names a frame.
type frameID struct {
	run id.Run
	seq uint64
}

// clockSlack is what the rounding of a sample time may take.
const clockSlack = time.Millisecond

// displaced counts the readings whose sample time is not that of the others of
// their frame, of whichever device: a frame has one clock.
func (c *comparison) displaced(readings []Reading) {
	zeros := make(map[frameID]time.Time)
	for _, r := range readings {
		f, zero := frameID{r.Run, r.Seq}, r.Time.Add(-r.Tick)
		first, seen := zeros[f]
		if !seen {
			zeros[f] = zero
			continue
		}
		if zero.Sub(first).Abs() > clockSlack {
			c.report.Reordered++
			c.find(reading(FindingReordered, r, "its sample time is not by its frame's clock"))
		}
	}
}

// sameBoot reports whether two readings are known to be of one boot of a
// gateway.
func (c *comparison) sameBoot(a, b Reading) bool {
	x, y := c.runs[a.Run], c.runs[b.Run]
	return x.Boot != id.Boot{} && x.Boot == y.Boot && x.Gateway == y.Gateway
}

// compareTicks orders by boot and time since it.
func (c *comparison) compareTicks(a, b Reading) int {
	x, y := c.runs[a.Run], c.runs[b.Run]
	return cmp.Or(cmp.Compare(x.Gateway.String(), y.Gateway.String()), slices.Compare(x.Boot[:], y.Boot[:]), cmp.Compare(a.Tick, b.Tick))
}

func compareValues(a, b Reading) int { return cmp.Compare(a.Value, b.Value) }

// compareTime orders by sample time in UTC, the only time that all boots share.
func compareTime(a, b Reading) int { return a.Time.Compare(b.Time) }

// contradicted counts the readings that lie in a range which the ledger says
// to have none.
func (c *comparison) contradicted(rows []Reading) {
	for _, r := range rows {
		for _, g := range c.gaps {
			if g.Run == r.Run && r.Seq >= g.A && r.Seq <= g.B {
				c.report.Contradicted++
				c.find(reading(FindingContradicted, r, "the ledger holds a gap over its sequence"))
			}
		}
	}
}

func itoa(v int64) string { return strconv.FormatInt(v, 10) }
