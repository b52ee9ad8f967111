package account

import (
	"slices"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/verify"
)

// clean is evidence without a fault: run a ended with a crash after 5, run b is
// at 8 and gave 3 and 4 up.
func clean() Evidence {
	return Evidence{
		Report: verify.Report{Sampled: 40, Readings: 36, Gaps: 4, HasTruth: true},
		Ledger: []client.LedgerEntry{
			{Run: "a", A: 6, Reason: "crash"},
			{Run: "b", A: 3, B: 4, Reason: "quota", Readings: 4},
		},
		Runs: []client.Run{
			{Run: "a", Class: "telemetry", State: "retired", Next: 6},
			{Run: "b", Class: "telemetry", State: "open", Next: 8},
			{Run: "e", Class: "events", State: "open", Next: 3}, // no counter sends events
		},
		Seqs: map[string]map[uint64]bool{
			"a": {1: true, 2: true, 3: true, 4: true, 5: true},
			"b": {1: true, 2: true, 5: true, 6: true, 7: true},
		},
	}
}

var costs = []string{"crash", "quota"}

func TestWhatIsAccountedForPasses(t *testing.T) { // I1
	if wrong := clean().Judge(costs); len(wrong) > 0 {
		t.Error(wrong)
	}
}

// Under pressure a sampler withholds rows and counts them: so many are missing,
// and not one more.
func TestWhatWasWithheldIsNotLost(t *testing.T) { // I1
	e := clean()
	e.Withheld, e.Report.Lost, e.Findings = 2, 2, []string{"lost hq/c1: number 7", "lost hq/c1: number 8"}
	if wrong := e.Judge(costs); len(wrong) > 0 {
		t.Error(wrong)
	}
	for _, lost := range []int{1, 3} {
		e.Report.Lost = lost
		if wrong := e.Judge(costs); len(wrong) == 0 {
			t.Errorf("2 were withheld, %d are lost, and nothing is wrong", lost)
		}
	}
	e.Report.Lost, e.Report.Duplicated = 2, 1
	if wrong := e.Judge(costs); len(wrong) == 0 {
		t.Error("a duplicate hides behind what was withheld")
	}
}

// Times that are estimated have no order; sequences and numbers have.
func TestAGuessedTimeHidesNothingElse(t *testing.T) { // I4
	e := clean()
	e.Guessed, e.Report.Reordered = true, 1
	e.Findings = []string{"reordered hq/c1: number 2: it follows 4 along sample time"}
	if wrong := e.Judge(costs); len(wrong) > 0 {
		t.Error(wrong)
	}
	e.Report.Reordered, e.Findings = 2, append(e.Findings, "reordered hq/c1: number 2: it follows 4 along its run")
	if wrong := e.Judge(costs); len(wrong) != 1 {
		t.Errorf("found %q, want the one along the run", wrong)
	}
}

func TestEachKindOfDamageIsFound(t *testing.T) { // I1
	for _, row := range []struct {
		name   string
		damage func(e *Evidence)
		want   string
	}{
		{"nothing sampled", func(e *Evidence) { e.Report.Sampled = 0 }, "nothing was sampled"},
		{"a finding", func(e *Evidence) { e.Findings = []string{"lost hq/c1: number 7"} }, "lost hq/c1: number 7"},
		{"a count without a finding", func(e *Evidence) { e.Report.Duplicated = 1 }, "1 duplicated"},
		{"a frame that is nowhere", func(e *Evidence) { delete(e.Seqs["b"], 6) }, "run b: sequences 6..6 are in no range"},
		{"a first frame that is nowhere", func(e *Evidence) { delete(e.Seqs["a"], 1) }, "run a: sequences 1..1 are in no range"},
		{"a last frame that is nowhere", func(e *Evidence) { delete(e.Seqs["b"], 7) }, "run b: the cloud is at 8, history and ledger end before 7"},
		{"a frame in a gap", func(e *Evidence) { e.Seqs["b"][4] = true }, "covers what something else holds"},
		{"two ranges over one frame", func(e *Evidence) {
			e.Ledger = append(e.Ledger, client.LedgerEntry{Run: "b", A: 4, B: 4, Reason: "quota"})
		}, "covers what something else holds"},
		{"a range too short", func(e *Evidence) { e.Ledger[1].B = 3 }, "run b: sequences 4..4 are in no range"},
		{"a frame behind a crash", func(e *Evidence) { e.Seqs["a"][6] = true }, "run a:"},
		{"a crash too early", func(e *Evidence) { e.Ledger[0].A = 5 }, "run a:"},
		{"a run that is nowhere", func(e *Evidence) { delete(e.Seqs, "b") }, "run b: sequences 1..2 are in no range"},
		{"a reason that the fault has not", func(e *Evidence) { e.Ledger[1].Reason = "missing" }, "this fault has no such cost"},
	} {
		e := clean()
		row.damage(&e)
		wrong := e.Judge(costs)
		if !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, row.want) }) {
			t.Errorf("%s: found %q, want %q", row.name, wrong, row.want)
		}
	}
}
