package world_test

import (
	"math"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/simulator/world"
)

func TestDaylightFollowsTheSunBehindClouds(t *testing.T) {
	w := world.World{Seed: 7}
	for _, night := range []time.Duration{-12 * time.Hour, -6 * time.Hour, 6 * time.Hour, 11 * time.Hour} {
		if lux := w.Light(noon.Add(night)); lux > 1e-9 {
			t.Errorf("%v from noon: %v lux", night, lux)
		}
	}
	low, high := math.Inf(1), math.Inf(-1)
	last := w.Light(noon.Add(-time.Hour))
	for at := noon.Add(-time.Hour); at.Before(noon.Add(time.Hour)); at = at.Add(time.Second) {
		lux := w.Light(at)
		low, high = min(low, lux), max(high, lux)
		if math.Abs(lux-last) > 5 {
			t.Fatalf("a jump within a second: %v to %v", last, lux)
		}
		last = lux
	}
	if low < 190 || high > 800 || high-low < 100 {
		t.Errorf("about noon the light is %v to %v lux", low, high)
	}
	if w.Light(noon) == (world.World{Seed: 8}).Light(noon) {
		t.Error("two seeds have the same clouds")
	}
}

func TestAKnobStandsStillUntilItIsTurned(t *testing.T) {
	w := world.World{Seed: 7}
	positions := map[float64]bool{}
	for at := noon; at.Before(noon.Add(time.Hour)); at = at.Add(time.Second) {
		p := w.Knob("lobby", at)
		if p < 0 || p > 1 {
			t.Fatalf("position %v", p)
		}
		positions[p] = true
	}
	if len(positions) != 6 {
		t.Errorf("%d positions in an hour, want 6", len(positions))
	}
	if w.Knob("lobby", noon) == w.Knob("attic", noon) {
		t.Error("two rooms have one knob")
	}
}
