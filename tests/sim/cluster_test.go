package sim_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/tests/sim"
)

// deaths sums, over all runs with a cluster, where nodes died.
type deaths struct {
	mu  sync.Mutex
	all map[sim.Moment]int
}

func (d *deaths) add(out sim.Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for at, n := range out.Tally.Deaths {
		d.all[at] += n
	}
}

// table says how often a node died at each moment of the protocol.
func (d *deaths) table() string {
	var b strings.Builder
	for _, at := range sim.Moments() {
		fmt.Fprintf(&b, "\n%-24s %4d", at, d.all[at])
	}
	return b.String()
}

// TestAClusterKeepsTheInvariants protects I1 to I7 where three nodes share the
// shards: one seed in five.
func TestAClusterKeepsTheInvariants(t *testing.T) {
	first, last := uint64(1), uint64(*seeds/5)
	if *seed != 0 {
		first, last = *seed, *seed
	}
	died := deaths{all: map[sim.Moment]int{}}
	t.Cleanup(func() { t.Logf("deaths of nodes:%s", died.table()) })
	for n := first; n <= last; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			died.add(keeps(t, sim.DrawCluster(n)))
		})
	}
}

// three is a calm line with three nodes.
func three(events ...sim.Event) sim.Plan {
	plan := calm(events...)
	plan.Length = 20 * time.Second
	plan.Cloud.Nodes, plan.Cloud.Shards = 3, 3
	return plan
}

// Protects I1 and I3: at each moment between two steps of the protocol a node
// dies, and the line goes on. A node that is emptied brings offers, and one that
// is killed claims.
func TestANodeMayDieBetweenAnyTwoSteps(t *testing.T) {
	died := deaths{all: map[sim.Moment]int{}}
	t.Cleanup(func() { t.Logf("deaths of nodes:%s", died.table()) }) // after the parallel runs
	for i, at := range sim.Moments() {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			out := keeps(t, three(
				sim.Event{At: 4 * time.Second, Kind: sim.DeathAt, N: i},
				sim.Event{At: 5 * time.Second, Kind: sim.NodeDrained, N: 0, For: 10 * time.Second},
				sim.Event{At: 9 * time.Second, Kind: sim.NodeKilled, N: 1, For: 4 * time.Second},
				sim.Event{At: 6 * time.Second, Kind: sim.Order, Number: 1, N: int(sim.Dial), For: 5 * time.Second},
			))
			died.add(out)
			if out.Tally.Deaths[at] != 1 {
				t.Errorf("no node came to it: %v", out.Tally.Deaths)
			}
		})
	}
}

func TestThreeCalmNodesHaveNothingToComplainOf(t *testing.T) {
	if out := keeps(t, three()); out.Tally.Epochs != 3 || out.Tally.Nodes != 3 {
		t.Errorf("%d nodes had shards %d times, want each of three shards claimed once", out.Tally.Nodes, out.Tally.Epochs)
	}
}

// A gateway is told where its site's owner is, and follows it: the work goes on
// at two nodes without the first.
func TestGatewaysFollowTheirShards(t *testing.T) {
	var events []sim.Event
	for n := range 3 {
		events = append(events, sim.Event{At: time.Duration(4+14*n) * time.Second, Kind: sim.NodeDrained, N: n, For: 12 * time.Second})
	}
	plan := three(events...)
	plan.Length = 50 * time.Second
	if out := keeps(t, plan); out.Tally.Redirects == 0 || out.Tally.Epochs < 6 {
		t.Errorf("%+v", out.Tally)
	}
}

// An owner that stood still while others took its shards for their own wakes and
// wants to write. Protects I3.
func TestAnOwnerThatStoodStillIsRefused(t *testing.T) {
	var events []sim.Event
	for n := range 2 {
		events = append(events, sim.Event{At: 5 * time.Second, Kind: sim.NodePaused, N: n, For: 15 * time.Second})
	}
	plan := three(events...)
	plan.Length, plan.Cloud.SnapshotEvery = 25*time.Second, time.Minute // it finds its devices silent before it refences
	out := keeps(t, plan)
	if story := strings.Join(out.Trace(-1), "\n"); !strings.Contains(story, "shard lost") || out.Tally.Epochs < 5 {
		t.Errorf("nothing was taken over: %d epochs", out.Tally.Epochs)
	}
	// Unfenced, it writes before it reads of the others' claim in about every
	// second run: which goroutine is first nobody says.
	const runs = 20
	for range runs {
		if complains(run(t, plan, sim.Sabotage{Unfenced: true}), []string{"I3", "but the owner is"}) {
			return
		}
	}
	t.Errorf("%d runs without a fence, and no complaint", runs)
}
