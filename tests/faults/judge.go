package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/verify"
)

// evidence is all that is known after a scenario.
type evidence struct {
	report   verify.Report // of atrium verify
	findings []string
	ledger   []client.LedgerEntry
	runs     []client.Run
	seqs     map[string]map[uint64]bool // of each run, the sequences that the history holds
	withheld int                        // readings that samplers did not take into a row, as they were under pressure
	// guessed: readings from before their gateway learned the time, in runs whose
	// boot the cloud no longer names, have an estimated one. Their numbers and
	// ticks are in order.
	guessed bool
}

// byGuess is the end of a finding that compares times alone.
const byGuess = "along sample time"

// judge says what is wrong: what verify found, ledger entries of a reason that
// the fault does not have, and sequences of a run that are not in the history or
// else in exactly one range of the ledger.
func judge(e evidence, costs []string) []string {
	if e.guessed {
		before := len(e.findings)
		e.findings = slices.DeleteFunc(slices.Clone(e.findings), func(f string) bool { return strings.HasSuffix(f, byGuess) })
		e.report.Reordered -= before - len(e.findings)
	}
	var wrong []string
	if e.report.Sampled == 0 {
		wrong = append(wrong, "nothing was sampled")
	}
	switch r := &e.report; {
	case e.withheld > 0 && r.Lost == e.withheld && r.Duplicated+r.Reordered+r.Unexpected+r.Contradicted == 0:
		// They were counted and not committed, one by one: nothing is lost.
	case e.withheld > 0:
		wrong = append(wrong, fmt.Sprintf("%d readings were withheld: %s", e.withheld, r))
		fallthrough
	default:
		wrong = append(wrong, e.findings...)
		if len(e.findings) == 0 && r.Lost+r.Duplicated+r.Reordered > 0 {
			wrong = append(wrong, r.String())
		}
	}
	for _, l := range e.ledger {
		if !slices.Contains(costs, l.Reason) {
			wrong = append(wrong, fmt.Sprintf("ledger: %s of run %s %d..%d, %d readings: this fault has no such cost", l.Reason, l.Run, l.A, l.B, l.Readings))
		}
	}
	for _, run := range e.telemetry() {
		wrong = append(wrong, e.dense(run)...)
	}
	return wrong
}

// telemetry returns the runs whose frames hold counters.
func (e *evidence) telemetry() []string {
	runs := map[string]bool{}
	for run := range e.seqs {
		runs[run] = true
	}
	for _, r := range e.runs {
		if r.Class == "telemetry" {
			runs[r.Run] = true
		}
	}
	return slices.Sorted(maps.Keys(runs))
}

// span is a range of sequences, both ends counted; b is 0 for an open end.
type span struct {
	a, b uint64
	what string
}

// dense checks that a run's sequences are in the history or in one range of the
// ledger, from 1 to its end.
func (e *evidence) dense(run string) (wrong []string) {
	var spans []span
	for seq := range e.seqs[run] {
		spans = append(spans, span{seq, seq, "history"})
	}
	for _, l := range e.ledger {
		if l.Run == run && l.A > 0 {
			spans = append(spans, span{l.A, l.B, l.Reason})
		}
	}
	slices.SortFunc(spans, func(x, y span) int { return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b)) })
	next, open := uint64(1), false
	for _, s := range spans {
		switch {
		case open:
			wrong = append(wrong, fmt.Sprintf("run %s: %s at %d is behind the run's end", run, s.what, s.a))
		case s.a > next:
			wrong = append(wrong, fmt.Sprintf("run %s: sequences %d..%d are in no range", run, next, s.a-1))
		case s.a < next:
			wrong = append(wrong, fmt.Sprintf("run %s: %s at %d..%d covers what something else holds", run, s.what, s.a, s.b))
		}
		if s.b == 0 {
			open = true
			continue
		}
		next = max(next, s.b+1)
	}
	for _, r := range e.runs {
		if r.Run == run && r.Next != next {
			wrong = append(wrong, fmt.Sprintf("run %s: the cloud is at %d, history and ledger end before %d", run, r.Next, next))
		}
	}
	return wrong
}
