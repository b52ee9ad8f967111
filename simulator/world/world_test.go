package world_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/simulator/world"
)

var noon = time.Date(2026, 6, 21, 12, 0, 0, 0, time.UTC)

func TestOneSeedGivesOneWorld(t *testing.T) {
	r := world.DefaultRoom()
	a := world.World{Seed: 7}.Climate("lobby", r, noon)
	if b := (world.World{Seed: 7}).Climate("lobby", r, noon); a != b {
		t.Errorf("same seed: %+v and %+v", a, b)
	}
	if b := (world.World{Seed: 8}).Climate("lobby", r, noon); a == b {
		t.Errorf("seeds 7 and 8 agree on %+v", a)
	}
	b := world.World{Seed: 7}.Climate("attic", r, noon)
	if a.Celsius == b.Celsius || a.Humidity == b.Humidity {
		t.Errorf("two rooms move as one: %+v", b)
	}
	if a.Pascal != b.Pascal {
		t.Errorf("one building has two pressures: %v and %v", a.Pascal, b.Pascal)
	}
}

// Thick walls damp the day and delay its peak; the walls' time constant says by
// how much (first-order low-pass).
func TestInertiaDampsAndDelaysTheDay(t *testing.T) {
	peak := func(inertia time.Duration) (height float64, at time.Duration) {
		r := world.Room{Temperature: 20, Swing: 10, Inertia: inertia, Humidity: 50}
		midnight := noon.Add(-12 * time.Hour)
		height = math.Inf(-1)
		for m := time.Duration(0); m < 24*time.Hour; m += time.Minute {
			if c := (world.World{}).Climate("r", r, midnight.Add(m)).Celsius - 20; c > height {
				height, at = c, m
			}
		}
		return height, at
	}
	h0, at0 := peak(0)
	if math.Abs(h0-10) > 0.3 || (at0-15*time.Hour).Abs() > time.Hour {
		t.Errorf("without walls: peak %.2f K at %v, want 10 K at 15h", h0, at0)
	}
	// wT = 2*pi*6/24 = 1.571: damped to 0.537, delayed by atan(1.571)/w = 3h50m.
	h6, at6 := peak(6 * time.Hour)
	if math.Abs(h6-5.37) > 0.3 || (at6-18*time.Hour-50*time.Minute).Abs() > time.Hour {
		t.Errorf("with 6h walls: peak %.2f K at %v, want 5.37 K at 18h50m", h6, at6)
	}
}

func TestAClimateIsPhysicalAndMovesSmoothly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := world.World{Seed: rapid.Uint64().Draw(t, "seed")}
		r := world.Room{
			Temperature: rapid.Float64Range(-40, 85).Draw(t, "temperature"),
			Swing:       rapid.Float64Range(0, 40).Draw(t, "swing"),
			Inertia:     time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "inertia")),
			Humidity:    rapid.Float64Range(0, 100).Draw(t, "humidity"),
			People:      rapid.IntRange(0, 5).Draw(t, "people"),
		}
		at := time.Unix(rapid.Int64Range(-1e9, 4e9).Draw(t, "unix"), 0)
		a, b := w.Climate("r", r, at), w.Climate("r", r, at.Add(time.Second))
		if a.Humidity < 0 || a.Humidity > 100 || a.Pascal < 95e3 || a.Pascal > 105e3 || math.IsNaN(a.Celsius) {
			t.Fatalf("not a climate: %+v", a)
		}
		if math.Abs(a.Celsius-b.Celsius) > 0.01 || math.Abs(a.Pascal-b.Pascal) > 1 {
			t.Fatalf("a jump within a second: %+v then %+v", a, b)
		}
	})
}

func TestWarmAirIsDrier(t *testing.T) {
	r := world.Room{Temperature: 20, Swing: 10, Humidity: 50}
	afternoon := world.World{}.Climate("r", r, noon.Add(3*time.Hour))
	night := world.World{}.Climate("r", r, noon.Add(15*time.Hour))
	if afternoon.Celsius <= night.Celsius || afternoon.Humidity >= night.Humidity {
		t.Errorf("15h %+v, 03h %+v", afternoon, night)
	}
}
