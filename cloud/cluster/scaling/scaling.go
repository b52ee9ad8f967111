// Package scaling advises when a cluster should get a node or give one back, by
// rules of thumb for actor systems: out when nodes are above 70 % CPU on
// average, mailboxes grow or answers are late; in below 30 %. It is pure: a
// history of samples goes in, advice with its reason comes out. It does not
// measure, and nobody need follow it.
//
// Hysteresis lies in time: a sign counts when every sample of a whole window
// shows it, and only samples with the present number of nodes count, so that
// each step is watched for a window before the next. One node at a time.
package scaling

import (
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// HighLatency is how late 99 of 100 readings may be, from their arrival at a
	// gate to their twin: from then on people who watch a room notice.
	HighLatency = 500 * time.Millisecond
	// Growing is the growth of all mailboxes, in messages/s, that is not jitter.
	Growing = 10
	// MaxGap is the longest time between two samples of which something is known
	// in between. They are taken every 10 s or so.
	MaxGap = time.Minute
)

// ErrHistory says that a history contradicts itself.
var ErrHistory = errors.New("the history is invalid")

// Sample is the cluster at one moment.
type Sample struct {
	At      time.Time
	Nodes   int           // that are live and do not drain
	CPU     float64       // share of all their cores that was busy, 0 to 1
	Growth  float64       // of all mailboxes, messages/s; negative: they shrink
	Latency time.Duration // of readings, from gate to twin: see SampleOf
}

// Action is what is advised.
type Action uint8

// The actions.
const (
	Stay Action = iota
	Out         // add one node
	In          // drain one node, and stop it
)

func (a Action) String() string {
	if a > In {
		return fmt.Sprintf("action %d", uint8(a))
	}
	return [...]string{"stay", "out", "in"}[a]
}

// Advice is an action and its reason, for people.
type Advice struct {
	Action Action
	Why    string
}

// Advise judges a history, oldest first, as of its last sample. ErrHistory: a
// sample holds what cannot be, or comes before the one before it.
func (r Rules) Advise(history []Sample) (Advice, error) {
	for i, s := range history {
		if err := s.check(); err != nil {
			return Advice{}, fmt.Errorf("scaling: %w: sample %d: %w", ErrHistory, i, err)
		}
		if i > 0 && !s.At.After(history[i-1].At) {
			return Advice{}, fmt.Errorf("scaling: %w: sample %d is not after the one before it", ErrHistory, i)
		}
	}
	if len(history) == 0 {
		return Advice{Stay, "nothing was measured yet"}, nil
	}
	recent := present(history)
	last := recent[len(recent)-1]
	for _, sign := range []struct {
		shows func(Sample) bool
		why   string
	}{
		{func(s Sample) bool { return s.CPU > r.HighCPU }, fmt.Sprintf("CPU is above %.0f %%, now %.0f %%", 100*r.HighCPU, 100*last.CPU)},
		{func(s Sample) bool { return s.Growth > Growing }, fmt.Sprintf("mailboxes grow, now by %.0f messages/s", last.Growth)},
		{func(s Sample) bool { return s.Latency > HighLatency }, fmt.Sprintf("latency is above %v, now %v", HighLatency, last.Latency)},
	} {
		if shown(recent, sign.shows) >= r.OutAfter {
			return Advice{Out, fmt.Sprintf("%s, for %v or longer", sign.why, r.OutAfter)}, nil
		}
	}
	idle := shown(recent, func(s Sample) bool {
		return s.CPU < r.LowCPU && s.Growth <= Growing && s.Latency <= HighLatency
	})
	switch {
	case last.Nodes > 1 && idle >= r.InAfter:
		return Advice{In, fmt.Sprintf("CPU is below %.0f %%, now %.0f %%, for %v or longer, and nothing waits", 100*r.LowCPU, 100*last.CPU, r.InAfter)}, nil
	case last.Nodes > 1 && idle > 0:
		return Advice{Stay, fmt.Sprintf("CPU is below %.0f %%, for %v of %v", 100*r.LowCPU, idle.Truncate(time.Second), r.InAfter)}, nil
	}
	return Advice{Stay, fmt.Sprintf("no sign has lasted for %v", r.OutAfter)}, nil
}

func (s Sample) check() error {
	switch {
	case s.Nodes < 1:
		return fmt.Errorf("%d nodes, want 1 or more", s.Nodes)
	case !(s.CPU >= 0 && s.CPU <= 1):
		return fmt.Errorf("CPU share %v, want 0 to 1", s.CPU)
	case math.IsNaN(s.Growth) || math.IsInf(s.Growth, 0):
		return fmt.Errorf("mailboxes that grow by %v a second, want a number", s.Growth)
	case s.Latency < 0:
		return fmt.Errorf("latency %v, want 0 or more", s.Latency)
	}
	return nil
}

// present returns the end of the history in which there were as many nodes as
// now, without a gap.
func present(history []Sample) []Sample {
	begin := len(history) - 1
	for begin > 0 && history[begin-1].Nodes == history[begin].Nodes && history[begin].At.Sub(history[begin-1].At) <= MaxGap {
		begin--
	}
	return history[begin:]
}

// shown returns for how long, up to the last sample, every sample has shown a
// sign.
func shown(recent []Sample, sign func(Sample) bool) time.Duration {
	last := len(recent) - 1
	begin := last + 1
	for begin > 0 && sign(recent[begin-1]) {
		begin--
	}
	if begin > last {
		return 0
	}
	return recent[last].At.Sub(recent[begin].At)
}
