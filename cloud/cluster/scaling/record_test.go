package scaling

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
)

func TestASampleCountsOnlyNodesThatLive(t *testing.T) {
	node := func(state placement.State, cores, cpu, growth float64) placement.Node {
		return placement.Node{Name: "n", Capacity: cores, State: state, Load: placement.NodeLoad{CPU: cpu, Growth: growth}}
	}
	s, ok := SampleOf(noon, []placement.Node{
		node(placement.Live, 4, 1, 8), node(placement.Live, 12, 0.2, -3),
		node(placement.Draining, 100, 1, 1000), node(placement.Dead, 100, 1, 1000),
	})
	if want := (Sample{At: noon, Nodes: 2, CPU: 0.4, Growth: 5}); !ok || s.Nodes != want.Nodes || s.Growth != want.Growth || s.CPU < 0.399 || s.CPU > 0.401 {
		t.Errorf("got %+v %v, want %+v", s, ok, want)
	}
	if s, ok := SampleOf(noon, []placement.Node{node(placement.Dead, 1, 1, 1)}); ok {
		t.Errorf("a cluster without a live node is sampled: %+v", s)
	}
}

// I5: a node that runs for years remembers a window, and advises as if it
// remembered all.
func TestARecordAdvisesAsTheWholeHistoryWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRecord(Default())
		var all []Sample
		at := noon
		s := Sample{Nodes: 2, CPU: 0.2}
		for range rapid.IntRange(1, 400).Draw(t, "samples") {
			at = at.Add(time.Duration(rapid.SampledFrom([]int{0, 10, 10, 10, 11, 30, 60, 90}).Draw(t, "pause")) * time.Second)
			if rapid.IntRange(0, 99).Draw(t, "changes") == 0 {
				s.CPU = rapid.SampledFrom([]float64{0.2, 0.5, 0.9}).Draw(t, "CPU")
			}
			s.At = at
			r.Add(s)
			if len(all) == 0 || s.At.After(all[len(all)-1].At) {
				all = append(all, s)
			}
		}
		want, err := Default().Advise(all)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Advise()
		if err != nil || got.Action != want.Action {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
		if span := at.Sub(r.Since()); span > r.keepFor() {
			t.Fatalf("it remembers %v", span)
		}
	})
}

// The gate that a reading meets may be one node's and its owner another.
func TestALatencyIsTheSlowestGatesAndTheSlowestOwners(t *testing.T) {
	node := func(state placement.State, ack, delay time.Duration) placement.Node {
		return placement.Node{Capacity: 1, State: state, Load: placement.NodeLoad{Ack: ack, Delay: delay}}
	}
	s, _ := SampleOf(noon, []placement.Node{
		node(placement.Live, 300*time.Millisecond, 10*time.Millisecond), node(placement.Live, 20*time.Millisecond, 250*time.Millisecond),
		node(placement.Draining, time.Hour, 0), node(placement.Dead, 0, time.Hour),
	})
	r := NewRecord(Default())
	r.Add(s)
	if want := 550 * time.Millisecond; s.Latency != want || r.Latency() != want {
		t.Errorf("latency %v, recorded as %v, want %v", s.Latency, r.Latency(), want)
	}
	if s, _ := SampleOf(noon, []placement.Node{node(placement.Live, 1<<62, 1<<62)}); s.check() != nil {
		t.Errorf("a latency that nobody can have: %v", s.check())
	}
}
