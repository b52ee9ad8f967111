package scaling

import (
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
)

// maxLatency bounds what a node may say, so that a sum does not overflow.
const maxLatency = 24 * time.Hour

// SampleOf adds up what the nodes measured of themselves; ok is false while none
// is live. Those that drain are about to go, their work is somebody else's soon.
//
// A reading meets one gate and one owner, and these may be on two nodes: its
// latency is at most the slowest gate's and the slowest owner's together, but of
// one of a hundred.
func SampleOf(at time.Time, nodes []placement.Node) (s Sample, ok bool) {
	s.At = at
	var cores, busy float64
	var ack, delay time.Duration
	for _, n := range nodes {
		if n.State != placement.Live {
			continue
		}
		s.Nodes++
		cores += n.Capacity
		busy += n.Capacity * n.Load.CPU
		s.Growth += n.Load.Growth
		ack, delay = max(ack, n.Load.Ack), max(delay, n.Load.Delay)
	}
	if s.Nodes == 0 {
		return Sample{}, false
	}
	s.CPU = min(busy/cores, 1) // sums may round up
	s.Latency = min(ack, maxLatency) + min(delay, maxLatency)
	return s, true
}

// Record is the history that the advice by its rules needs, and no more. It is
// not for several goroutines at once.
type Record struct {
	rules   Rules
	samples []Sample
}

// NewRecord makes an empty one.
func NewRecord(r Rules) *Record { return &Record{rules: r} }

// keepFor is how far back it goes: past the longest window by a sample that came
// late.
func (r *Record) keepFor() time.Duration { return max(r.rules.OutAfter, r.rules.InAfter) + MaxGap }

// Add appends a sample, and forgets those that no window reaches any more. One
// that is not later than the last is left out.
func (r *Record) Add(s Sample) {
	if len(r.samples) > 0 && !s.At.After(r.samples[len(r.samples)-1].At) {
		return
	}
	old := 0
	for old < len(r.samples) && s.At.Sub(r.samples[old].At) > r.keepFor() {
		old++
	}
	r.samples = append(r.samples[old:], s)
}

// Since returns when the oldest sample was taken; zero without any.
func (r *Record) Since() time.Time {
	if len(r.samples) == 0 {
		return time.Time{}
	}
	return r.samples[0].At
}

// Advise judges what is recorded.
func (r *Record) Advise() (Advice, error) { return r.rules.Advise(r.samples) }

// Latency returns that of the last sample; 0 without any.
func (r *Record) Latency() time.Duration {
	if len(r.samples) == 0 {
		return 0
	}
	return r.samples[len(r.samples)-1].Latency
}
