package scaling

import (
	"fmt"
	"time"
)

// Rules are the thresholds and windows that an operator may want otherwise. All
// nodes of a cluster should have the same.
type Rules struct {
	HighCPU, LowCPU   float64       // shares of the cores of all nodes
	OutAfter, InAfter time.Duration // for how long a sign of too much, or too little, must show
}

// Default are the rules of a cluster that nobody has told others.
//
//   - Between the shares lies more than a factor of two: where two nodes become
//     one, the one stays below HighCPU.
//   - A restart with its backlog, or a move of shards, is over before OutAfter.
//   - A node too many costs money, one too few costs time: InAfter is longer than
//     a quarter of an hour's silence, such as a change of shifts.
func Default() Rules {
	return Rules{HighCPU: 0.70, LowCPU: 0.30, OutAfter: 3 * time.Minute, InAfter: 20 * time.Minute}
}

const (
	// sampleEvery is how often a cluster is sampled, unless its windows are short.
	sampleEvery = 10 * time.Second
	// samples is how many a window has at least: of fewer a single one decides.
	samples = 3
	// minAfter and maxAfter bound the windows: the load is averaged over ten
	// seconds, and a record reaches back over the longest.
	minAfter, maxAfter = 3 * time.Second, 24 * time.Hour
)

// Check says what is wrong first.
func (r Rules) Check() error {
	switch {
	case !(r.HighCPU > 0 && r.HighCPU <= 1):
		return fmt.Errorf("scaling: out above a CPU share of %v: want more than 0 and at most 1", r.HighCPU)
	case !(r.LowCPU >= 0 && r.LowCPU <= r.HighCPU/2):
		return fmt.Errorf("scaling: in below a CPU share of %v: want 0 to %v, half of where nodes are added, or two nodes that become one need two again", r.LowCPU, r.HighCPU/2)
	}
	for _, w := range []time.Duration{r.OutAfter, r.InAfter} {
		if w < minAfter || w > maxAfter {
			return fmt.Errorf("scaling: a sign that lasts for %v: want %v to %v", w, minAfter, maxAfter)
		}
	}
	return nil
}

// SampleEvery is how often the cluster is to be sampled.
func (r Rules) SampleEvery() time.Duration {
	return min(sampleEvery, r.OutAfter/samples, r.InAfter/samples)
}
