package pipeline

import (
	"bytes"
	order "cmp"
	"math"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/id"
)

const (
	second = int64(1_000_000)
	every  = 10 * second
	hold   = 15 * second
)

// chain uses each kind of stage before the window, which stands at 4, and an
// alarm on both sides of it.
const chain = `
kind: pipeline
name: hq/p
points: [x, y]
stages:
  - filter: "x > -5"
  - alarm: {of: x, above: 6, clear: 4, for: 15s}
  - filter: "y"
  - derive: {name: q, expr: "x / (y - 1)"}
  - window: {every: 10s, of: q}
  - alarm: {below: 0, clear: 1}
`

// before is what chain does to a row up to its window, written again.
func before(x, y float64) (q float64, ok bool) {
	return x / (y - 1), x > -5 && y != 0 && y != 1
}

// delivery is one frame, or a tick if it has no rows.
type delivery struct {
	now  int64
	run  id.Run
	seq  uint64
	rows []Row
}

func (d *delivery) apply(p *Pipeline, s *State, out *Output) {
	if len(d.rows) == 0 {
		p.Tick(d.now, s, out)
		return
	}
	rows := make([]Row, len(d.rows)) // Step may change them
	for i, r := range d.rows {
		rows[i] = Row{r.At, slices.Clone(r.V)}
	}
	p.Step(d.now, s, d.run, d.seq, rows, out)
}

// drawDeliveries draws frames of three runs, each run in order and the runs
// interleaved anyhow, with rows around now, out of order, far too late and
// from the future, and ticks between them.
func drawDeliveries(t *rapid.T) []delivery {
	now, seqs := base+lateness.Microseconds(), [3]uint64{}
	var all []delivery
	for range rapid.IntRange(1, 30).Draw(t, "deliveries") {
		now += rapid.Int64Range(0, 12).Draw(t, "later") * second
		d := delivery{now: now}
		if rapid.IntRange(0, 4).Draw(t, "tick") == 0 {
			all = append(all, d)
			continue
		}
		run := rapid.IntRange(0, 2).Draw(t, "run")
		seqs[run]++
		d.run, d.seq = id.Run{0: byte(run + 1)}, seqs[run]
		behind := rapid.Int64Range(0, 60).Draw(t, "behind") * second
		for range rapid.IntRange(1, 8).Draw(t, "rows") {
			at := now - behind + rapid.Int64Range(-20, 20).Draw(t, "at")*second
			switch rapid.IntRange(0, 30).Draw(t, "clock") {
			case 0:
				at -= lateness.Microseconds()
			case 1:
				at += 2 * futureTolerance.Microseconds()
			}
			d.rows = append(d.rows, Row{at, []float64{
				rapid.Float64Range(-10, 10).Draw(t, "x"),
				float64(rapid.IntRange(0, 3).Draw(t, "y")),
			}})
		}
		all = append(all, d)
	}
	return append(all, delivery{now: now + futureTolerance.Microseconds() + every + grace.Microseconds()})
}

// accepted is the time at which a row counts: DESIGN.md, Times.
func accepted(now, at int64) (int64, bool) {
	if at > now+futureTolerance.Microseconds() {
		return now, true
	}
	return at, now-at <= lateness.Microseconds()
}

// allRows is the oracle of windows: every row that counts, by window, whatever
// it came with. It computes each figure from the rows when it is asked.
func allRows(deliveries []delivery) map[int64][]Row {
	windows := map[int64][]Row{}
	for _, d := range deliveries {
		for _, r := range d.rows {
			at, taken := accepted(d.now, r.At)
			q, ok := before(r.V[0], r.V[1])
			if taken && ok {
				start := at / every * every
				windows[start] = append(windows[start], Row{at, []float64{q}})
			}
		}
	}
	return windows
}

func figures(rows []Row) Partial {
	slices.SortFunc(rows, func(a, b Row) int {
		return order.Or(order.Compare(a.At, b.At), order.Compare(a.V[0], b.V[0]))
	})
	first, last := rows[0], rows[len(rows)-1]
	p := Partial{Count: uint64(len(rows)), First: first.V[0], FirstAt: first.At, Last: last.V[0], LastAt: last.At, Min: math.Inf(1), Max: math.Inf(-1)}
	for _, r := range rows {
		p.Sum += r.V[0]
		p.Min, p.Max = math.Min(p.Min, r.V[0]), math.Max(p.Max, r.V[0])
	}
	return p
}

// TestMergedWindowsAreThoseOfAllRowsInWhateverOrderFramesCome: I1 for window
// results, and each key is written once, so that a replay rewrites the same.
func TestMergedWindowsAreThoseOfAllRowsInWhateverOrderFramesCome(t *testing.T) {
	p := compile(t, chain)
	rapid.Check(t, func(t *rapid.T) {
		deliveries := drawDeliveries(t)
		type key struct {
			start int64
			run   id.Run
			seq   uint64
		}
		stored := map[key]Partial{} // as history does: the last write of a key stays
		var s State
		var out Output
		var sum Counts
		for _, d := range deliveries {
			d.apply(p, &s, &out)
			sum.Add(out.Counts)
			for _, w := range out.Windows {
				if w.Stage != 4 || w.End != w.Start+every || w.Start%every != 0 {
					t.Fatalf("window %+v", w)
				}
				stored[key{w.Start, w.Run, w.Seq}] = w.Partial
			}
		}
		got := map[int64]Partial{}
		for k, part := range stored {
			merged := got[k.start]
			merged.Merge(part)
			got[k.start] = merged
		}
		want := map[int64]Partial{}
		for start, rows := range allRows(deliveries) {
			want[start] = figures(rows)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Partial{}), cmpopts.IgnoreFields(Partial{}, "Sum")); diff != "" {
			t.Fatal(diff)
		}
		for start, w := range want {
			if d := math.Abs(w.Sum - got[start].Sum); d > 1e-9*math.Max(1, math.Abs(w.Sum)) {
				t.Fatalf("window %d: sum %v, want %v", start, got[start].Sum, w.Sum)
			}
		}
		checkCounts(t, deliveries, want, sum)
	})
}

// checkCounts: no row goes without a counter (I5).
func checkCounts(t *rapid.T, deliveries []delivery, windows map[int64]Partial, got Counts) {
	var want Counts
	for _, d := range deliveries {
		for _, r := range d.rows {
			want.Rows++
			at, taken := accepted(d.now, r.At)
			switch {
			case !taken:
				want.TooLate++
			case r.V[0] <= -5 || r.V[1] == 0:
				want.Filtered++
			case r.V[1] == 1:
				want.Bad++
			}
			if at != r.At {
				want.Suspect++
			}
		}
	}
	in := uint64(0)
	for _, w := range windows {
		in += w.Count
	}
	if in+want.TooLate+want.Filtered+want.Bad != want.Rows {
		t.Fatalf("the oracle lost a row: %d in windows, %+v", in, want)
	}
	// Order decides the others.
	want.Late, want.Windows, want.Raised, want.Overtaken = got.Late, got.Windows, got.Raised, got.Overtaken
	if got != want {
		t.Fatalf("counts %+v, want %+v", got, want)
	}
}

// seen is what the alarm at stage 1 looks at, in the order of frames, sorted
// in each, and how many rows it does not look at.
func seen(deliveries []delivery) (all []Row, overtaken uint64) {
	newest := int64(0)
	for _, d := range deliveries {
		var rows []Row
		for _, r := range d.rows {
			if at, taken := accepted(d.now, r.At); taken && r.V[0] > -5 {
				rows = append(rows, Row{at, r.V})
			}
		}
		slices.SortStableFunc(rows, func(a, b Row) int { return order.Compare(a.At, b.At) })
		for _, r := range rows {
			if r.At < newest {
				overtaken++
				continue
			}
			all, newest = append(all, r), r.At
		}
	}
	return all, overtaken
}

// holds is the oracle of the alarm at stage 1, from all that it saw: after the
// last row that ended it, some rows in sequence passed 6 for as long as hold.
func holds(rows []Row) bool {
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].V[0] <= 4 {
			return false
		}
		for j := i; j >= 0 && rows[j].V[0] > 6; j-- {
			if rows[i].At-rows[j].At >= hold {
				return true
			}
		}
	}
	return false
}

func TestAnAlarmFollowsItsHysteresisAndDurationOverEventTime(t *testing.T) {
	p := compile(t, chain)
	rapid.Check(t, func(t *rapid.T) {
		deliveries := drawDeliveries(t)
		rows, overtaken := seen(deliveries)
		var want []Transition
		active := false
		for i := range rows {
			if now := holds(rows[:i+1]); now != active {
				active = now
				tr := Transition{Stage: 1, At: rows[i].At, Value: rows[i].V[0], Severity: "warning", Text: "x is above 6", Threshold: 4}
				if active {
					tr.State, tr.Threshold = Active, 6
				}
				want = append(want, tr)
			}
		}
		var s State
		var out Output
		var sum Counts
		var got []Transition
		for _, d := range deliveries {
			d.apply(p, &s, &out)
			sum.Add(out.Counts)
			for _, a := range out.Alarms {
				if a.Stage == 1 {
					got = append(got, a)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if sum.Overtaken != overtaken {
			t.Fatalf("%d rows overtaken, want %d", sum.Overtaken, overtaken)
		}
	})
}

// TestAnAlarmBehindAWindowSeesEachWindowOnce: as it was when it was closed,
// without the rows that came later.
func TestAnAlarmBehindAWindowSeesEachWindowOnce(t *testing.T) {
	p := compile(t, chain)
	rapid.Check(t, func(t *rapid.T) {
		var s State
		var out Output
		closed := map[int64]bool{}
		active := false
		for _, d := range drawDeliveries(t) {
			d.apply(p, &s, &out)
			var want, got []Transition
			for _, w := range out.Windows {
				if w.Run != (id.Run{}) {
					continue
				}
				if closed[w.Start] {
					t.Fatalf("window %d was closed twice", w.Start)
				}
				closed[w.Start] = true
				mean := w.Sum / float64(w.Count)
				tr := Transition{Stage: 5, At: w.End, Value: mean, Severity: "warning", Text: "mean is below 0", State: Active}
				if active && mean >= 1 {
					tr.State, tr.Threshold = Inactive, 1
				} else if active || mean >= 0 {
					continue
				}
				active = !active
				want = append(want, tr)
			}
			for _, a := range out.Alarms {
				if a.Stage == 5 {
					got = append(got, a)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// TestReplayFromASnapshotGivesTheSameBytesAndResults is I7.
func TestReplayFromASnapshotGivesTheSameBytesAndResults(t *testing.T) {
	p := compile(t, chain)
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		snapshot := func(s *State) []byte {
			b, err := mode.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		var live, replayed State
		var one, two Output
		for _, d := range drawDeliveries(t) {
			d.apply(p, &live, &one)
			if rapid.Bool().Draw(t, "restart") {
				b := snapshot(&replayed)
				replayed = State{}
				if err := cbor.Unmarshal(b, &replayed); err != nil {
					t.Fatal(err)
				}
			}
			d.apply(p, &replayed, &two)
			if diff := cmp.Diff(one, two, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Partial{}, Counts{})); diff != "" {
				t.Fatal(diff)
			}
			if a, b := snapshot(&live), snapshot(&replayed); !bytes.Equal(a, b) {
				t.Fatalf("%x\n%x", a, b)
			}
			if p.Due(&live) != p.Due(&replayed) {
				t.Fatal("another time of the next tick")
			}
		}
	})
}
