package world_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/simulator/world"
)

var midnight = noon.Add(-12 * time.Hour)

func TestPeopleComeInTheMorningAndAreGoneAtNight(t *testing.T) {
	w, r := world.World{Seed: 7}, world.Room{People: 10}
	count := func(hour float64) int {
		return w.Occupancy("lobby", r, midnight.Add(time.Duration(hour*float64(time.Hour))))
	}
	for _, hour := range []float64{0, 3, 6.9, 18.8, 22} {
		if n := count(hour); n != 0 {
			t.Errorf("%d people at %v h", n, hour)
		}
	}
	if n := count(9.6); n < 7 {
		t.Errorf("%d of 10 people at 9.6 h", n)
	}
	lunch := 10
	for m := range 120 {
		lunch = min(lunch, count(11.75+float64(m)/60))
	}
	if lunch > 5 {
		t.Errorf("about noon there are never less than %d of 10", lunch)
	}
}

func TestTwoRoomsAndTwoDaysHaveOtherPeople(t *testing.T) {
	r := world.Room{People: 3}
	first := func(seed uint64, room string, day int) time.Duration {
		for m := time.Duration(0); m < 24*time.Hour; m += time.Second {
			if (world.World{Seed: seed}).Occupancy(room, r, midnight.AddDate(0, 0, day).Add(m)) > 0 {
				return m
			}
		}
		return 0
	}
	a := first(7, "lobby", 0)
	if a != first(7, "lobby", 0) {
		t.Error("one seed has two mornings")
	}
	for what, b := range map[string]time.Duration{"room": first(7, "attic", 0), "day": first(7, "lobby", 1), "seed": first(8, "lobby", 0)} {
		if a == b {
			t.Errorf("another %s begins at the same %v", what, a)
		}
	}
}

func TestPeopleWarmAndMoistenTheirRoom(t *testing.T) {
	w := world.World{Seed: 7}
	empty := world.Room{Temperature: 20, Humidity: 50}
	full := empty
	full.People = 10
	gain := func(hour float64) (kelvins, percent float64) {
		at := midnight.Add(time.Duration(hour * float64(time.Hour)))
		a, b := w.Climate("lobby", empty, at), w.Climate("lobby", full, at)
		return b.Celsius - a.Celsius, b.Humidity - a.Humidity
	}
	if k, pct := gain(5); k != 0 || pct != 0 {
		t.Errorf("at night people add %v K and %v %%", k, pct)
	}
	if k, pct := gain(15); k < 2 || k > 6.01 || pct < 1 {
		t.Errorf("in the afternoon people add %v K and %v %%", k, pct)
	}
	if k, _ := gain(23.9); k > 1e-9 {
		t.Errorf("before midnight %v K are left, which midnight would take", k)
	}
}

// The warmth follows the occupancy as a low-pass does: compared with one that
// is integrated in small steps.
func TestTheWarmthOfPeopleIsTheLowPassOfTheirNumber(t *testing.T) {
	w := world.World{Seed: 3}
	empty := world.Room{Temperature: 20, Humidity: 50}
	full := empty
	full.People = 4
	const step = time.Second
	kelvins := 0.0
	for m := 6 * time.Hour; m < 20*time.Hour; m += step {
		at := midnight.Add(m)
		kelvins += (0.6*float64(w.Occupancy("r", full, at)) - kelvins) * (1 - math.Exp(-step.Minutes()/10))
		if m%time.Minute != 0 {
			continue
		}
		next := at.Add(step)
		if got := w.Climate("r", full, next).Celsius - w.Climate("r", empty, next).Celsius; math.Abs(got-kelvins) > 0.01 {
			t.Fatalf("at %v: %v K, want %v", m, got, kelvins)
		}
	}
}

func TestPeopleMoveOnlyWhereTheyAre(t *testing.T) {
	w, r := world.World{Seed: 7}, world.Room{People: 2}
	moves := 0
	for at := midnight; at.Before(midnight.Add(24 * time.Hour)); {
		next, ok := w.Movement("lobby", r, at, at.Add(time.Hour))
		if !ok {
			at = at.Add(time.Hour)
			continue
		}
		if !next.After(at) || next.After(at.Add(time.Hour)) {
			t.Fatalf("after %v comes %v", at, next)
		}
		if w.Occupancy("lobby", r, next) == 0 {
			t.Fatalf("nobody moves at %v", next)
		}
		at = next
		moves++
	}
	// Two people for eight hours, one movement each in 16 s.
	if moves < 1500 || moves > 4500 {
		t.Errorf("%d movements in a day", moves)
	}
}

// A detector that asks in small steps must find what it finds in one.
func TestMovementsDoNotDependOnHowTheyAreAskedFor(t *testing.T) {
	w, r := world.World{Seed: 7}, world.DefaultRoom()
	rapid.Check(t, func(t *rapid.T) {
		after := midnight.Add(time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "after")))
		until := after.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "until")))
		want, ok := w.Movement("r", r, after, until)
		middle := after.Add(until.Sub(after) / 2)
		got, found := w.Movement("r", r, after, middle)
		if !found {
			got, found = w.Movement("r", r, middle, until)
		}
		if ok != found || !got.Equal(want) {
			t.Fatalf("%v, %v in two steps, %v, %v in one", got, found, want, ok)
		}
	})
}

func BenchmarkClimateOfAFullRoom(b *testing.B) {
	w, r := world.World{Seed: 7}, world.DefaultRoom()
	b.ReportAllocs()
	for b.Loop() {
		w.Climate("lobby", r, noon)
	}
}
