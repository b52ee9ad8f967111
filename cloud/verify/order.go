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
	for _, e := range in.Ledger {
		switch e.Cause {
		case Declared:
			c.gaps = append(c.gaps, entry{e, e.Readings})
		case Crash:
			c.crashes = append(c.crashes, entry{Entry: e})
			c.report.UncommittedWithin += min(max(e.Interval, 0), maxInterval)
		case Remainder:
			c.rests = append(c.rests, entry{Entry: e})
		case Missing:
			c.find(Finding{Kind: FindingMissing, Run: e.Run, Seq: e.A, Text: "sequences to " + strconv.FormatUint(e.B, 10) + " of " + e.Gateway.String() + " were never declared"})
		}
	}
	// The latest crash first: the numbers just before it are its own.
	slices.SortStableFunc(c.crashes, func(a, b entry) int { return cmp.Compare(c.order[b.Run], c.order[a.Run]) })
	slices.SortFunc(c.devices, compareDevices)
	return c
}

// learnRuns finds out which gateway and boot each run belongs to, and in which
// order the runs began: as listed, if all are, otherwise by sample times.
func (c *comparison) learnRuns(in Input) {
	listed := true
	began := make(map[id.Run]time.Time)
	for _, r := range in.Runs {
		c.runs[r.Run] = r
		c.order[r.Run] = len(c.order)
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
			c.runs[e.Run] = Run{e.Run, e.Gateway, e.Boot}
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
// before them: along the sequence within a run, or along sample time.
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
	byTime := slices.Clone(rows)
	slices.SortFunc(byTime, compareTime)
	for from := 0; from < len(byTime); {
		to := from + 1
		for to < len(byTime) && byTime[to].Time.Equal(byTime[from].Time) {
			to++
		}
		if to < len(byTime) { // readings of one instant have no order by time
			check(slices.MaxFunc(byTime[from:to], compareValues), byTime[to], "sample time")
		}
		from = to
	}
}

func compareValues(a, b Reading) int { return cmp.Compare(a.Value, b.Value) }

// compareTime orders by sample time in UTC, the only time that all boots share.
func compareTime(a, b Reading) int {
	return cmp.Or(a.Time.Compare(b.Time), slices.Compare(a.Run[:], b.Run[:]), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Tick, b.Tick))
}

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
