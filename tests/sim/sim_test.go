package sim_test

import (
	"flag"
	"fmt"
	"strings"
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

// TestEverySeedKeepsTheInvariants protects I1 to I7.
func TestEverySeedKeepsTheInvariants(t *testing.T) {
	first, last := uint64(1), uint64(*seeds)
	if *seed != 0 {
		first, last = *seed, *seed
	}
	for n := first; n <= last; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			out := run(t, sim.Draw(n), sim.Sabotage{})
			if *trace {
				t.Logf("trace:\n%s", strings.Join(out.Trace(-1), "\n"))
			}
			if len(out.Complaints) == 0 {
				t.Log(out.Report)
				return
			}
			t.Errorf("%s\n\nagain: go test -race ./tests/sim -run TestEverySeedKeepsTheInvariants -sim.seed=%d\n\nend of the trace:\n%s",
				strings.Join(out.Complaints, "\n"), n, strings.Join(out.Trace(lastLines), "\n"))
		})
	}
}
