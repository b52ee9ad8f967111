package sim_test

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/tests/sim"
)

var (
	seeds = flag.Int("sim.seeds", 50, "how many seeds to run, from 1")
	seed  = flag.Uint64("sim.seed", 0, "run this seed alone")
	trace = flag.Bool("sim.trace", false, "print the whole trace of every run")
)

// lastLines is how much of the trace a failing run prints.
const lastLines = 150

// run carries out a plan in a bubble.
func run(t *testing.T, plan sim.Plan, sabotage sim.Sabotage) (out sim.Outcome) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var err error
		if out, err = sim.Run(t.Context(), plan, sabotage, dir); err != nil {
			t.Fatal(err)
		}
	})
	return out
}

// sum is what all seeds together put the line through.
type sum struct {
	mu                          sync.Mutex
	readings, gaps, uncommitted int
	tally                       sim.Tally
}

func (s *sum) add(out sim.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readings += out.Report.Readings
	s.gaps += out.Report.Gaps
	s.uncommitted += out.Report.Uncommitted
	s.tally.Duplicates += out.Tally.Duplicates
	s.tally.Purged += out.Tally.Purged
	s.tally.Nodes += out.Tally.Nodes
	s.tally.Agents += out.Tally.Agents
	s.tally.Refused += out.Tally.Refused
	s.tally.Done += out.Tally.Done
	s.tally.Unknown += out.Tally.Unknown
	s.tally.Expired += out.Tally.Expired
	s.tally.Again += out.Tally.Again
	s.tally.Windows += out.Tally.Windows
	s.tally.LateParts += out.Tally.LateParts
	s.tally.Alarms += out.Tally.Alarms
	s.tally.Events += out.Tally.Events
	s.tally.Withheld += out.Tally.Withheld
	s.tally.Thinned += out.Tally.Thinned
	s.tally.Quota += out.Tally.Quota
	s.tally.Unvouched += out.Tally.Unvouched
	s.tally.Redirects += out.Tally.Redirects
	s.tally.Shared += out.Tally.Shared
	s.tally.Rebinds += out.Tally.Rebinds
	s.tally.TCP += out.Tally.TCP
}

// enough fails if the seeds, which are many, left a way of the line untrodden.
func (s *sum) enough(t *testing.T) {
	t.Logf("%d readings, %d in gaps, %d uncommitted, %+v", s.readings, s.gaps, s.uncommitted, s.tally)
	c := &s.tally
	if least := min(s.readings, s.gaps, s.uncommitted, c.Duplicates, c.Purged, c.Refused, c.Done, c.Unknown, c.Expired, c.Again, c.Windows, c.LateParts, c.Alarms, c.Events, c.Withheld, c.Thinned, c.Quota, c.Unvouched, c.Redirects, c.Shared, c.Rebinds, c.TCP); least == 0 {
		t.Error("something never happened: the plans are too tame")
	}
}

// TestEverySeedKeepsTheInvariants protects I1 to I7.
func TestEverySeedKeepsTheInvariants(t *testing.T) {
	first, last := uint64(1), uint64(*seeds)
	if *seed != 0 {
		first, last = *seed, *seed
	}
	var all sum
	if last-first >= 49 {
		t.Cleanup(func() { all.enough(t) }) // after the parallel runs
	}
	for n := first; n <= last; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			all.add(keeps(t, sim.Draw(n)))
		})
	}
}

// TestDisastersTakeWhatTheLedgerSays protects I1 where a card is lost, put
// back or cloned, and where the cloud is put back: one seed in ten, as what
// happens beside that is tame.
func TestDisastersTakeWhatTheLedgerSays(t *testing.T) {
	first, last := uint64(1), uint64(*seeds/10)
	if *seed != 0 {
		first, last = *seed, *seed
	}
	var lost atomic.Int64
	if last-first >= 4 {
		t.Cleanup(func() {
			if t.Logf("%d readings are gone", lost.Load()); lost.Load() == 0 {
				t.Error("nothing was ever lost: the plans are too tame")
			}
		})
	}
	for n := first; n <= last; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			lost.Add(int64(keeps(t, sim.DrawDisaster(n)).Report.Remainder))
		})
	}
}

// keeps runs a plan and fails if it broke an invariant.
func keeps(t *testing.T, plan sim.Plan) sim.Outcome {
	out := run(t, plan, sim.Sabotage{})
	if *trace {
		t.Logf("trace:\n%s", strings.Join(out.Trace(-1), "\n"))
	}
	if len(out.Complaints) == 0 {
		t.Log(out.Report)
		return out
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	t.Errorf("%s\n\nagain: go test -race ./tests/sim -run %s -sim.seed=%d\n\nend of the trace:\n%s",
		strings.Join(out.Complaints, "\n"), name, plan.Seed, strings.Join(out.Trace(lastLines), "\n"))
	return out
}
