package scaling

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// TestAdviceFollowsItsScenarios: each line lets time pass with the same values,
// sampled every ten seconds, and shows when the advice changes.
func TestAdviceFollowsItsScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var history []Sample
		now, said := noon, Advice{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s := Sample{Nodes: 1}
			var out strings.Builder
			var pass, latency string
			for _, a := range d.CmdArgs {
				into := map[string]any{"nodes": &s.Nodes, "cpu": &s.CPU, "growth": &s.Growth, "latency": &latency, "for": &pass}[a.Key]
				if into == nil {
					d.Fatalf(t, "unknown argument %s", a.Key)
				}
				d.ScanArgs(t, a.Key, into)
			}
			length, err := time.ParseDuration(pass)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			if latency != "" {
				if s.Latency, err = time.ParseDuration(latency); err != nil {
					d.Fatalf(t, "%v", err)
				}
			}
			for end := now.Add(length); now.Before(end); {
				now = now.Add(10 * time.Second)
				if d.Cmd == "unknown" { // nothing is measured
					continue
				}
				s.At = now
				history = append(history, s)
				a, err := Default().Advise(history)
				if err != nil {
					t.Fatal(err)
				}
				if a.Action != said.Action || len(history) == 1 {
					fmt.Fprintf(&out, "after %v: %v: %s\n", now.Sub(noon), a.Action, a.Why)
				}
				said = a
			}
			return out.String()
		})
	})
}

// TestAHistoryThatContradictsItselfIsRefused (I6).
func TestAHistoryThatContradictsItselfIsRefused(t *testing.T) {
	for want, spoil := range map[string]func(s *Sample){
		"sample 1: 0 nodes":                       func(s *Sample) { s.Nodes = 0 },
		"sample 1: CPU share NaN":                 func(s *Sample) { s.CPU = math.NaN() },
		"sample 1: CPU share 1.1, want 0 to 1":    func(s *Sample) { s.CPU = 1.1 },
		"sample 1: mailboxes that grow by +Inf":   func(s *Sample) { s.Growth = math.Inf(1) },
		"sample 1: latency -1ns":                  func(s *Sample) { s.Latency = -1 },
		"sample 1 is not after the one before it": func(s *Sample) { s.At = noon },
	} {
		h := []Sample{{At: noon, Nodes: 1}, {At: noon.Add(time.Second), Nodes: 1}}
		if _, err := Default().Advise(h); err != nil {
			t.Fatal(err)
		}
		spoil(&h[1])
		if a, err := Default().Advise(h); !errors.Is(err, ErrHistory) || !strings.Contains(err.Error(), want) || a != (Advice{}) {
			t.Errorf("%s: got %v and %v", want, a, err)
		}
	}
	if a, err := Default().Advise(nil); err != nil || a.Action != Stay {
		t.Errorf("no history: %v, %v", a, err)
	}
}

// TestAdviceNeedsAWholeWindow compares with the definition, sample by sample:
// out or in only if all of the window shows it, the window is covered, and there
// were as many nodes all the time.
func TestAdviceNeedsAWholeWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h []Sample
		at := noon
		s := Sample{Nodes: 2, CPU: 0.5}
		for range rapid.IntRange(1, 120).Draw(t, "samples") {
			at = at.Add(time.Duration(rapid.SampledFrom([]int{10, 10, 10, 10, 10, 30, 60, 61}).Draw(t, "pause")) * time.Second)
			if rapid.IntRange(0, 19).Draw(t, "changes") == 0 {
				s.Nodes = rapid.IntRange(1, 3).Draw(t, "nodes")
				s.CPU = rapid.SampledFrom([]float64{0.1, 0.3, 0.5, 0.7, 0.71, 0.9}).Draw(t, "CPU")
				s.Growth = rapid.SampledFrom([]float64{0, 0, 10, 11}).Draw(t, "growth")
				s.Latency = rapid.SampledFrom([]time.Duration{0, 0, time.Second}).Draw(t, "latency")
			}
			s.At = at
			h = append(h, s)
		}
		a, err := Default().Advise(h)
		if err != nil {
			t.Fatal(err)
		}
		all := func(window time.Duration, sign func(Sample) bool) bool {
			last := h[len(h)-1]
			for i := len(h) - 1; i >= 0; i-- {
				if h[i].Nodes != last.Nodes || !sign(h[i]) || i < len(h)-1 && h[i+1].At.Sub(h[i].At) > time.Minute {
					return false
				}
				if last.At.Sub(h[i].At) >= window {
					return true
				}
			}
			return false
		}
		out := all(3*time.Minute, func(s Sample) bool { return s.CPU > 0.7 }) ||
			all(3*time.Minute, func(s Sample) bool { return s.Growth > 10 }) ||
			all(3*time.Minute, func(s Sample) bool { return s.Latency > 500*time.Millisecond })
		in := h[len(h)-1].Nodes > 1 && all(20*time.Minute, func(s Sample) bool {
			return s.CPU < 0.3 && s.Growth <= 10 && s.Latency <= 500*time.Millisecond
		})
		want := map[bool]Action{true: In, false: Stay}[in]
		if out {
			want = Out
		}
		if a.Action != want {
			t.Fatalf("%v (%s), want %v", a.Action, a.Why, want)
		}
	})
}

// TestRulesThatSwingAreRefused (I6).
func TestRulesThatSwingAreRefused(t *testing.T) {
	for want, spoil := range map[string]func(r *Rules){
		"above a CPU share of 0:":     func(r *Rules) { r.HighCPU = 0 },
		"above a CPU share of 1.1:":   func(r *Rules) { r.HighCPU = 1.1 },
		"above a CPU share of NaN:":   func(r *Rules) { r.HighCPU = math.NaN() },
		"below a CPU share of 0.4:":   func(r *Rules) { r.LowCPU = 0.4 },
		"below a CPU share of -1:":    func(r *Rules) { r.LowCPU = -1 },
		"lasts for 1s: want 3s":       func(r *Rules) { r.OutAfter = time.Second },
		"lasts for 25h0m0s: want 3s ": func(r *Rules) { r.InAfter = 25 * time.Hour },
	} {
		r := Default()
		if err := r.Check(); err != nil {
			t.Fatal(err)
		}
		spoil(&r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestAShortWindowIsSampledOftenEnough(t *testing.T) {
	r := Default()
	if r.SampleEvery() != 10*time.Second {
		t.Errorf("by default it is sampled every %v", r.SampleEvery())
	}
	if r.OutAfter = 9 * time.Second; r.SampleEvery() != 3*time.Second {
		t.Errorf("for a window of 9 s it is sampled every %v", r.SampleEvery())
	}
}
