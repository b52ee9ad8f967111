package verify_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/verify"
	"github.com/atrium-iot/atrium/shared/id"
)

var (
	c1   = id.Device{Site: "hq", Name: "c1"}
	c2   = id.Device{Site: "hq", Name: "c2"}
	gw   = id.Gateway{Site: "hq", Name: "gw"}
	boot = id.Boot{1}
	run1 = id.Run{1}
	run2 = id.Run{2}
)

const every = 100 * time.Millisecond

// world is a line that works: numbers 1 to 40 of two devices, 1 to 20 in the
// first run and the rest in the second.
func world() verify.Input {
	in := verify.Input{Runs: []verify.Run{{Run: run1, Gateway: gw, Boot: boot}, {Run: run2, Gateway: gw, Boot: boot}}}
	for _, dev := range []id.Device{c1, c2} {
		for n := int64(1); n <= 40; n++ {
			in.Truth = append(in.Truth, verify.Sample{Device: dev, N: n})
			in.Readings = append(in.Readings, reading(dev, n))
		}
		in.Twins = append(in.Twins, verify.Twin{Device: dev, Value: 40, Run: run2, Seq: 10})
	}
	return in
}

// reading is number n of a device: two in a frame, ten frames a run.
func reading(dev id.Device, n int64) verify.Reading {
	r := verify.Reading{Device: dev, Run: run1, Seq: uint64(n+1) / 2, Tick: time.Duration(n) * every, Value: n}
	if n > 20 {
		r.Run, r.Seq = run2, uint64(n-20+1)/2
	}
	r.Time = time.Unix(1_000_000, 0).Add(r.Tick)
	return r
}

// without removes numbers of c1 from the history.
func without(in verify.Input, from, to int64) verify.Input {
	in.Readings = slices.DeleteFunc(in.Readings, func(r verify.Reading) bool { return r.Device == c1 && r.Value >= from && r.Value <= to })
	return in
}

func at(in verify.Input, n int64) *verify.Reading {
	return &in.Readings[slices.IndexFunc(in.Readings, func(r verify.Reading) bool { return r.Device == c1 && r.Value == n })]
}

func crash(interval time.Duration) verify.Entry {
	return verify.Entry{Gateway: gw, Run: run1, Boot: boot, A: 11, Cause: verify.Crash, Interval: interval}
}

func gap(run id.Run, a, b, readings uint64, from, to int64) verify.Entry {
	return verify.Entry{Gateway: gw, Run: run, Boot: boot, A: a, B: b, Cause: verify.Declared, Readings: readings, From: time.Duration(from) * every, To: time.Duration(to) * every}
}

func check(t *testing.T, in verify.Input, want string, ok bool, findings ...string) {
	t.Helper()
	r := verify.Compare(in)
	if got := r.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r.OK() != ok {
		t.Errorf("OK is %v, want %v: %v", r.OK(), ok, r.Findings)
	}
	var all strings.Builder
	for _, f := range r.Findings {
		all.WriteString(f.String() + "\n")
	}
	for _, f := range findings {
		if !strings.Contains(all.String(), f) {
			t.Errorf("no finding %q in:\n%s", f, all.String())
		}
	}
}

func TestALineThatWorksPasses(t *testing.T) { // I1
	check(t, world(), "verify: 80 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", true)
}

func TestARemovedReadingIsLost(t *testing.T) { // I1
	check(t, without(world(), 7, 7), "verify: 79 readings: 1 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false,
		"lost hq/c1: number 7 (run 0100000000000000, seq 3): no reading, no gap, not uncommitted; after 6")
	check(t, without(world(), 1, 2), "verify: 78 readings: 2 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false, "lost hq/c1: number 1")
	in := without(world(), 1, 40)
	in.Twins = in.Twins[1:]
	check(t, in, "verify: 40 readings: 40 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false)
}

func TestADoubledReadingIsDuplicated(t *testing.T) { // I1
	in := world()
	again := *at(in, 7)
	again.Seq, again.Tick, again.Time = 5, again.Tick+1, again.Time.Add(1)
	in.Readings = append(in.Readings, again)
	check(t, in, "verify: 80 readings: 0 lost, 1 duplicated, 1 reordered (sampled 80, gaps 0, uncommitted 0)", false, "duplicated hq/c1: number 7 (run 0100000000000000, seq 5)")

	in = world()
	in.Readings = append(in.Readings, *at(in, 7)) // the very same row twice
	check(t, in, "verify: 80 readings: 0 lost, 1 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false, "duplicated hq/c1: number 7")

	in = world()
	other := *at(in, 20)
	other.Run, other.Seq = run2, 1 // applied again from another run
	in.Readings = append(in.Readings, other)
	check(t, in, "verify: 80 readings: 0 lost, 1 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false, "duplicated hq/c1: number 20")
}

func TestAReadingThatWasDeliveredTwiceIsNotADuplicate(t *testing.T) {
	in := world()
	again := *at(in, 7)
	again.Tick, again.Time = again.Tick+1, again.Time.Add(1)
	in.Truth, in.Readings = append(in.Truth, verify.Sample{Device: c1, N: 7}), append(in.Readings, again)
	check(t, in, "verify: 81 readings: 0 lost, 0 duplicated, 0 reordered (sampled 81, gaps 0, uncommitted 0)", true)
	check(t, without(in, 7, 7), "verify: 79 readings: 2 lost, 0 duplicated, 0 reordered (sampled 81, gaps 0, uncommitted 0)", false)
}

func TestSwappedReadingsAreReordered(t *testing.T) { // I4
	in := world()
	a, b := at(in, 7), at(in, 8)
	a.Value, b.Value = 8, 7
	check(t, in, "verify: 80 readings: 0 lost, 0 duplicated, 1 reordered (sampled 80, gaps 0, uncommitted 0)", false, "reordered hq/c1: number 7", "it follows 8 along its run")

	in = world()
	a, b = at(in, 5), at(in, 35) // across runs: only sample time shows it
	a.Time, b.Time = b.Time, a.Time
	if r := verify.Compare(in); r.Reordered == 0 || r.OK() {
		t.Errorf("swapped times: %s", r)
	}

	in = world()
	a, b = at(in, 5), at(in, 35) // across runs of a boot: its ticks show it
	a.Tick, b.Tick, a.Time, b.Time = b.Tick, a.Tick, b.Time, a.Time
	if r := verify.Compare(in); r.Reordered == 0 || r.OK() {
		t.Errorf("swapped ticks: %s", r)
	}
}

// A boot's clock that is corrected between two frames may step back; that is
// nothing that a frame's rows may do, nor readings of two boots.
func TestACorrectedClockIsNoOtherOrder(t *testing.T) { // I4
	in := world()
	for i := range in.Readings {
		if r := &in.Readings[i]; r.Run == run2 {
			r.Time = r.Time.Add(-5 * every)
		}
	}
	check(t, in, "verify: 80 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", true)
	in.Runs[1].Boot = id.Boot{9}
	if r := verify.Compare(in); r.Reordered == 0 || r.OK() {
		t.Errorf("two boots: %s", r)
	}
}

func TestATwinThatIsNotAtTheMaximumIsFound(t *testing.T) { // I4
	in := world()
	in.Twins[0].Value = 39
	check(t, in, "verify: 80 readings: 0 lost, 0 duplicated, 1 reordered (sampled 80, gaps 0, uncommitted 0)", false, "twin hq/c1: number 39", "highest number of the history, 40")
	in.Twins = in.Twins[1:]
	check(t, in, "verify: 80 readings: 0 lost, 0 duplicated, 1 reordered (sampled 80, gaps 0, uncommitted 0)", false, "no twin")
}

func TestWhatACrashCutOffIsUncommittedWithinTheInterval(t *testing.T) { // I1
	in := without(world(), 17, 20)
	in.Ledger = []verify.Entry{crash(time.Second)}
	check(t, in, "verify: 76 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 4)", true)

	// Not behind the run's last frame, but in its middle.
	in = without(world(), 7, 7)
	in.Ledger = []verify.Entry{crash(time.Second)}
	check(t, in, "verify: 79 readings: 1 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false)

	// In a run that did not crash.
	in = without(world(), 39, 40)
	in.Twins[0].Value = 38
	in.Ledger = []verify.Entry{crash(time.Second)}
	check(t, in, "verify: 78 readings: 2 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false)

	// More than an interval and a late commit can hold: 0.7 s at 10 Hz.
	in = without(world(), 5, 20)
	in.Ledger = []verify.Entry{crash(200 * time.Millisecond)}
	check(t, in, "verify: 64 readings: 8 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 8)", false, "lost hq/c1: number 5 ")

	// Another gateway's crash explains nothing.
	in = without(world(), 17, 20)
	in.Ledger = []verify.Entry{crash(time.Second)}
	in.Ledger[0].Gateway = id.Gateway{Site: "hq", Name: "gw-2"}
	check(t, in, "verify: 76 readings: 4 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false)
}

// I6: a gateway may say anything of its interval.
func TestAnIntervalBeyondAllSenseIsNoPanic(t *testing.T) {
	for _, interval := range []time.Duration{math.MinInt64, -1, math.MaxInt64} {
		in := without(world(), 19, 20)
		in.Ledger = []verify.Entry{crash(interval)}
		if r := verify.Compare(in); r.Uncommitted+r.Lost != 2 || r.UncommittedWithin < 0 {
			t.Errorf("interval %d: %s, within %s", interval, r, r.UncommittedWithin)
		}
	}
}

// I4: of two readings of one instant both come before the next instant.
func TestAReadingAfterAnInstantOfTwoIsReordered(t *testing.T) {
	in := world()
	a, b := at(in, 9), at(in, 12) // one instant, in runs of their own, and 10 after it
	b.Time, b.Run, b.Seq = a.Time, id.Run{}, 1
	r := verify.Compare(in)
	if r.Reordered != 1 || len(r.Findings) != 1 || r.Findings[0].Value != 10 {
		t.Fatalf("%s: %v", r, r.Findings)
	}
}

func TestRetiredRunsAreKnownByTheirReadingsAndTheLedger(t *testing.T) { // I1
	in := without(world(), 17, 20)
	in.Runs, in.Ledger = nil, []verify.Entry{crash(time.Second)}
	check(t, in, "verify: 76 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 4)", true)
	in = without(world(), 7, 7)
	in.Runs, in.Ledger = nil, []verify.Entry{crash(time.Second)}
	check(t, in, "verify: 79 readings: 1 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false)

	// A run that crashed before anything of it was applied.
	in = without(world(), 17, 20)
	none := crash(time.Second)
	none.Run, none.Found = id.Run{9}, at(in, 21).Time.Add(-time.Millisecond)
	in.Runs, in.Ledger = nil, []verify.Entry{none}
	check(t, in, "verify: 76 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 4)", true)
}

// I4: a slow hello maps the first frames of a boot too late, by more than one
// sampling interval. Wall time decides between boots only.
func TestWithinABootOfRetiredRunsWallTimeIsNoOrder(t *testing.T) {
	in := world()
	for i := range in.Readings {
		if r := &in.Readings[i]; r.Run == run1 {
			r.Time = r.Time.Add(3 * every)
		}
	}
	in.Runs[0].Retired, in.Runs[1].Retired = true, true
	check(t, in, "verify: 80 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", true)

	in.Runs[1].Boot = id.Boot{9}
	if r := verify.Compare(in); r.Reordered == 0 {
		t.Errorf("two boots in the wrong order: %s", r)
	}
}

func TestReadingsInGapFramesAreCountedAsGaps(t *testing.T) { // I1
	in := without(world(), 7, 10)
	in.Ledger = []verify.Entry{gap(run1, 4, 5, 4, 7, 10)}
	// c2's readings lie in that range too, and are there.
	in.Readings = slices.DeleteFunc(in.Readings, func(r verify.Reading) bool { return r.Device == c2 && r.Value >= 7 && r.Value <= 10 })
	in.Ledger[0].Readings = 8
	check(t, in, "verify: 72 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 8, uncommitted 0)", true)

	in.Ledger[0].Readings = 5 // it held fewer than are missing
	check(t, in, "verify: 72 readings: 3 lost, 0 duplicated, 0 reordered (sampled 80, gaps 5, uncommitted 0)", false)

	in.Ledger[0] = gap(run1, 8, 9, 8, 15, 18) // elsewhere
	r := verify.Compare(in)
	if r.Lost != 8 || r.Gaps != 0 {
		t.Errorf("a gap elsewhere explained readings: %s", r)
	}
}

// A gap must not be spent on a hole of another boot: the hole that it belongs
// to would then be lost.
func TestAGapIsMatchedWithTheHoleOfItsRun(t *testing.T) { // I1
	in := without(without(world(), 9, 10), 21, 22)
	in.Truth, in.Twins = in.Truth[:40], in.Twins[:1] // c1 alone
	boot2 := id.Boot{2}
	in.Runs[1].Boot = boot2
	later := gap(run2, 1, 1, 2, 21, 22)
	later.Boot = boot2
	in.Ledger = []verify.Entry{later, gap(run1, 5, 5, 2, 9, 10)}
	check(t, in, "verify: 36 readings: 0 lost, 0 duplicated, 0 reordered (sampled 40, gaps 4, uncommitted 0)", true)
}

func TestAReadingInsideADeclaredGapIsAContradiction(t *testing.T) { // I1
	in := world()
	in.Ledger = []verify.Entry{gap(run1, 4, 4, 2, 7, 8)}
	check(t, in, "verify: 80 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false, "contradicted hq/c1: number 7")
}

func TestAReadingThatWasNeverDeliveredIsFound(t *testing.T) {
	in := world()
	in.Readings = append(in.Readings, reading(c1, 41))
	check(t, in, "verify: 80 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false, "unexpected hq/c1: number 41")
}

func TestARemainderExplainsWhatLiesInItsRangeAndNothingElse(t *testing.T) { // I1
	in := without(world(), 15, 20)
	in.Ledger = []verify.Entry{{Gateway: gw, Run: run1, Boot: boot, A: 8, Cause: verify.Remainder, From: 14 * every, To: 14 * every}}
	check(t, in, "verify: 74 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0, remainder 6)", true)

	in = without(in, 5, 6) // before its first sequence
	in.Ledger[0].A = 8
	check(t, in, "verify: 72 readings: 2 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0, remainder 6)", false, "lost hq/c1: number 5")

	in = without(world(), 21, 24) // what was acked to a cloud that lost its state
	in.Ledger = []verify.Entry{{Gateway: gw, Run: run2, Boot: boot, A: 1, B: 2, Cause: verify.Remainder}}
	check(t, in, "verify: 76 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0, remainder 4)", true)

	in = without(in, 27, 28)
	check(t, in, "verify: 74 readings: 2 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0, remainder 4)", false, "lost hq/c1: number 27")
}

func TestAnUndeclaredRangeIsFound(t *testing.T) {
	in := world()
	in.Ledger = []verify.Entry{{Gateway: gw, Run: run1, A: 4, B: 6, Cause: verify.Missing}}
	check(t, in, "verify: 80 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", false, "missing-range")
}

func TestAFailedReadIsNoReading(t *testing.T) {
	in := world()
	bad := *at(in, 7)
	bad.Tick, bad.Bad = bad.Tick+1, true
	in.Readings = append(in.Readings, bad)
	check(t, in, "verify: 80 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 0)", true)
}

func TestWithoutTruthTheIntervalBoundsWhatIsUncommitted(t *testing.T) {
	in := without(world(), 17, 20)
	in.Ledger, in.Truth = []verify.Entry{crash(time.Second)}, nil
	check(t, in, "verify: 76 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted <= 1s)", true)
	in = without(world(), 7, 7)
	in.Truth = nil
	check(t, in, "verify: 79 readings: 1 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted <= 0s)", false)
}

// A run that crashed before anything of it was applied is found when its gateway
// is online again, after those that followed it; it cost one place.
func TestACrashedRunWithoutReadingsIsFoundLate(t *testing.T) { // I1
	late := crash(time.Second)
	late.Run, late.Found = id.Run{9}, time.Unix(2_000_000, 0)
	in := without(world(), 17, 20)
	in.Ledger = []verify.Entry{late}
	check(t, in, "verify: 76 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 4)", true)
	in = without(in, 30, 31)
	soon := late // found before the second place was there
	soon.Run, soon.Found = id.Run{8}, at(in, 21).Time
	in.Ledger = []verify.Entry{late, soon}
	check(t, in, "verify: 74 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 0, uncommitted 6)", true)
	declared := without(world(), 30, 31) // the first place is a gap's
	declared.Readings = slices.DeleteFunc(declared.Readings, func(r verify.Reading) bool { return r.Run == run1 && r.Seq == 4 })
	declared.Ledger = []verify.Entry{late, gap(run1, 4, 4, 4, 7, 8)}
	check(t, declared, "verify: 74 readings: 0 lost, 0 duplicated, 0 reordered (sampled 80, gaps 4, uncommitted 2)", true)
	in.Ledger = []verify.Entry{late}
	if r := verify.Compare(in); r.Lost != 2 {
		t.Errorf("one crash explains two places: %s", r)
	}
}

// A gap of a run explains nothing of a later one, also if nobody lists that.
func TestAGapExplainsNoLaterRunThatOnlyItsReadingsName(t *testing.T) { // I1
	in := without(without(world(), 7, 8), 27, 28)
	in.Runs, in.Ledger = nil, []verify.Entry{gap(run1, 4, 4, 4, 7, 8)}
	if r := verify.Compare(in); r.Gaps != 2 || r.Lost != 2 {
		t.Errorf("%s", r)
	}
}

func TestAnEmptyTruthIsNotTheLackOfOne(t *testing.T) {
	truth, err := verify.ParseTruth(nil, "t.jsonl", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	check(t, verify.Input{Truth: truth}, "verify: 0 readings: 0 lost, 0 duplicated, 0 reordered (sampled 0, gaps 0, uncommitted 0)", true)
}

// Whatever is done to the history of a device, something is found, and the
// sum holds.
func TestEveryDamageIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := world()
		if rapid.Bool().Draw(t, "crash") {
			in.Ledger = append(in.Ledger, crash(time.Second))
		}
		n := rapid.Int64Range(1, 39).Draw(t, "n")
		r := at(in, n)
		switch rapid.SampledFrom([]string{"remove", "double", "swap", "move"}).Draw(t, "damage") {
		case "remove":
			if len(in.Ledger) > 0 && (n == 20 || n == 21) { // the hole lies between the runs
				t.Skip("the crash explains it")
			}
			in = without(in, n, n)
		case "double":
			again := *r
			again.Seq, again.Tick = again.Seq+100, again.Tick+1
			in.Readings = append(in.Readings, again)
		case "swap":
			next := at(in, n+1)
			r.Value, next.Value = next.Value, r.Value
		case "move":
			r.Time = r.Time.Add(time.Duration(rapid.Int64Range(2, 50).Draw(t, "by")) * every)
			if n >= 39 {
				t.Skip("still in order")
			}
		}
		report := verify.Compare(in)
		if report.OK() || report.Lost+report.Duplicated+report.Reordered == 0 {
			t.Fatalf("not found: %s", report)
		}
		if report.Sampled != report.Readings+report.Gaps+report.Uncommitted+report.Lost {
			t.Fatalf("the sum is wrong: %s", report)
		}
	})
}

func TestTheReportIsJSONWithItsFindings(t *testing.T) {
	b, err := json.Marshal(verify.Compare(without(world(), 7, 7)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"lost":1`, `"sampled":80`, `"lost hq/c1: number 7`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}

func TestFindingsAreBounded(t *testing.T) {
	var in verify.Input
	for n := int64(1); n <= 3000; n++ {
		in.Truth = append(in.Truth, verify.Sample{Device: c1, N: n})
	}
	r := verify.Compare(in)
	if r.Lost != 3000 || len(r.Findings) != verify.MaxFindings || r.Omitted != 2000 {
		t.Fatalf("%d lost, %d findings, %d omitted", r.Lost, len(r.Findings), r.Omitted)
	}
}

func TestATruthFileIsReadStrictly(t *testing.T) {
	good := "{\"device\":\"hq/c1\",\"n\":1}\n{\"device\":\"hq/c1\",\"n\":2}\n"
	got, err := verify.ParseTruth(nil, "t.jsonl", strings.NewReader(good))
	if err != nil || !slices.Equal(got, []verify.Sample{{c1, 1}, {c1, 2}}) {
		t.Fatal(got, err)
	}
	for _, bad := range []struct{ line, want string }{
		{`{"device":"hq/c1","n":1`, "want {"},
		{`{"device":"hq/c1"}`, "want {"},
		{`{"device":"hq/c1","n":1,"x":1}`, "unknown field"},
		{`{"device":"HQ","n":1}`, "device"},
		{`{"device":"hq/c1","n":0}`, "begin with 1"},
		{`{"device":"hq/c1","n":1}{"device":"hq/c1","n":2}`, "more than one"},
		{`{"device":"hq/c1","n":"1"}`, "want {"},
		{``, "want {"},
		{strings.Repeat("x", 2000), "bytes a line"},
	} {
		_, err := verify.ParseTruth(nil, "t.jsonl", strings.NewReader(good+bad.line+"\n"))
		if err == nil || !strings.Contains(err.Error(), "t.jsonl:3: ") || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%q: %v, want t.jsonl:3 and %q", bad.line, err, bad.want)
		}
	}
}

func FuzzParseTruth(f *testing.F) {
	f.Add("{\"device\":\"hq/c1\",\"n\":1}\n")
	f.Fuzz(func(t *testing.T, s string) {
		all, err := verify.ParseTruth(nil, "t", strings.NewReader(s))
		for _, one := range all {
			if err == nil && (one.N < 1 || one.Device.Site == "") {
				t.Fatalf("%q gave %+v", s, one)
			}
		}
	})
}
