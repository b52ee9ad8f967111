// Package account says of everything that gateways committed whether the cloud
// has it once, or a range of the gap ledger whose reason the fault may have
// (I1). It asks atrium verify and the API; it raises nothing and waits for
// nothing but what is under way.
package account

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/verify"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// underWay is how long verify waits for what is on its way into the history.
const underWay = "30s"

// Evidence is all that is known after a scenario.
type Evidence struct {
	Report   verify.Report // of atrium verify
	Findings []string
	Ledger   []client.LedgerEntry
	Runs     []client.Run
	Seqs     map[string]map[uint64]bool // of each run, the sequences that the history holds
	Withheld int                        // readings that samplers did not take into a row, as they were under pressure
	// Guessed: readings from before their gateway learned the time, in runs whose
	// boot the cloud no longer names, have an estimated one. Their numbers and
	// ticks are in order.
	Guessed bool
}

// Collect asks the line's cloud.
func Collect(ctx context.Context, l *line.Line) (Evidence, error) {
	e := Evidence{Seqs: map[string]map[uint64]bool{}}
	var err error
	if e.Report, e.Findings, err = l.Report(ctx, underWay); err != nil {
		return e, err
	}
	c, err := client.New(l.API())
	if err != nil {
		return e, err
	}
	sites, err := c.Sites(ctx)
	if err != nil {
		return e, err
	}
	for _, s := range sites {
		ledger, err := c.Ledger(ctx, id.Site(s.Site))
		if err != nil {
			return e, err
		}
		gateways, err := c.Gateways(ctx, id.Site(s.Site))
		if err != nil {
			return e, err
		}
		e.Ledger = append(e.Ledger, ledger...)
		for _, g := range gateways {
			e.Runs = append(e.Runs, g.Runs...)
		}
	}
	in, err := c.Verification(ctx, nil)
	if err != nil {
		return e, err
	}
	for _, r := range in.Readings {
		e.holds(r.Run.String(), r.Seq)
	}
	for _, s := range sites {
		if err := e.collectRest(ctx, c, id.Site(s.Site)); err != nil {
			return e, err
		}
	}
	return e, nil
}

// collectRest asks for a site's readings that are no counter's: a frame may hold
// nothing else, as that which follows a command.
func (e *Evidence) collectRest(ctx context.Context, c *client.Client, site id.Site) error {
	devices, err := c.Devices(ctx, site)
	if err != nil {
		return err
	}
	for _, d := range devices {
		dev, err := id.ParseDevice(d.Device)
		if err != nil {
			return err
		}
		for _, p := range d.Points {
			if p.Kind == "counter" {
				continue
			}
			for r, err := range c.History(ctx, dev, id.Point(p.Point), time.Time{}, time.Time{}, true) {
				if err != nil {
					return err
				}
				e.holds(r.Run, r.Seq)
			}
		}
	}
	return nil
}

// holds notes that the history has something of a frame.
func (e *Evidence) holds(run string, seq uint64) {
	if e.Seqs[run] == nil {
		e.Seqs[run] = map[uint64]bool{}
	}
	e.Seqs[run][seq] = true
}

// byGuess is the end of a finding that compares times alone.
const byGuess = "along sample time"

// Judge says what is wrong: what verify found, ledger entries of a reason that
// the fault does not have, and sequences of a run that are not in the history or
// else in exactly one range of the ledger.
func (e Evidence) Judge(costs []string) []string {
	if e.Guessed {
		before := len(e.Findings)
		e.Findings = slices.DeleteFunc(slices.Clone(e.Findings), func(f string) bool { return strings.HasSuffix(f, byGuess) })
		e.Report.Reordered -= before - len(e.Findings)
	}
	var wrong []string
	if e.Report.Sampled == 0 {
		wrong = append(wrong, "nothing was sampled")
	}
	switch r := &e.Report; {
	case e.Withheld > 0 && r.Lost == e.Withheld && r.Duplicated+r.Reordered+r.Unexpected+r.Contradicted == 0:
		// They were counted and not committed, one by one: nothing is lost.
	case e.Withheld > 0:
		wrong = append(wrong, fmt.Sprintf("%d readings were withheld: %s", e.Withheld, r))
		fallthrough
	default:
		wrong = append(wrong, e.Findings...)
		if len(e.Findings) == 0 && r.Lost+r.Duplicated+r.Reordered > 0 {
			wrong = append(wrong, r.String())
		}
	}
	for _, l := range e.Ledger {
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
func (e *Evidence) telemetry() []string {
	runs := map[string]bool{}
	for run := range e.Seqs {
		runs[run] = true
	}
	for _, r := range e.Runs {
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
func (e *Evidence) dense(run string) (wrong []string) {
	var spans []span
	for seq := range e.Seqs[run] {
		spans = append(spans, span{seq, seq, "history"})
	}
	for _, l := range e.Ledger {
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
	for _, r := range e.Runs {
		if r.Run == run && r.Next != next {
			wrong = append(wrong, fmt.Sprintf("run %s: the cloud is at %d, history and ledger end before %d", run, r.Next, next))
		}
	}
	return wrong
}
