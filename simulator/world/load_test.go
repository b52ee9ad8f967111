package world_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/simulator/world"
)

// The first-order answer to a step, from its formula: 12 K and ten minutes.
func TestAHeaterWarmsItsRoomAndTheWarmthFades(t *testing.T) {
	var l world.Load
	near := func(at time.Duration, want float64) {
		t.Helper()
		if got := l.Kelvins(noon.Add(at)); math.Abs(got-want) > 1e-9 {
			t.Errorf("after %v: %v K, want %v", at, got, want)
		}
	}
	near(0, 0)
	l.Switch(noon, true)
	near(0, 0)
	near(10*time.Minute, 12*(1-math.Exp(-1)))
	near(24*time.Hour, 12)
	l.Switch(noon.Add(10*time.Minute), false)
	near(10*time.Minute, 12*(1-math.Exp(-1)))
	near(20*time.Minute, 12*(1-math.Exp(-1))*math.Exp(-1))
	near(24*time.Hour, 0)
	near(5*time.Minute, 12*(1-math.Exp(-0.5))) // a chip asks about the past
	near(-time.Hour, 0)
}

// A relay's armature that turns back takes back what it had announced.
func TestASwitchReplacesWhatWasPlannedForLater(t *testing.T) {
	var l world.Load
	l.Switch(noon.Add(10*time.Millisecond), true)
	l.Switch(noon.Add(9*time.Millisecond), false)
	if k := l.Kelvins(noon.Add(time.Hour)); k != 0 {
		t.Errorf("a pulse that never came warms by %v K", k)
	}
	l.Switch(noon, true)
	l.Switch(noon.Add(time.Second), true)
	if k, want := l.Kelvins(noon.Add(time.Hour)), 12*(1-math.Exp(-6)); math.Abs(k-want) > 1e-9 {
		t.Errorf("switched on twice: %v K, want %v", k, want)
	}
}

func TestALampIsLitWhileItIsOn(t *testing.T) {
	var l world.Load
	l.Switch(noon, true)
	l.Switch(noon.Add(time.Minute), false)
	for at, want := range map[time.Duration]float64{-1: 0, 0: 400, time.Minute - 1: 400, time.Minute: 0} {
		if got := l.Lux(noon.Add(at)); got != want {
			t.Errorf("at %v: %v lux, want %v", at, got, want)
		}
	}
}

// Against the sum of the answers to every step: the order and the number of
// switches must not leave an error behind.
func TestAHeatersWarmthIsTheSumOfItsSwitches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gaps := rapid.SliceOfN(rapid.IntRange(1, 3_600_000), 1, 50).Draw(t, "gaps")
		var l world.Load
		var moments []time.Time
		at := noon
		for i, ms := range gaps {
			at = at.Add(time.Duration(ms) * time.Millisecond)
			l.Switch(at, i%2 == 0)
			moments = append(moments, at)
		}
		ask := noon.Add(time.Duration(rapid.Int64Range(0, int64(at.Sub(noon)+time.Hour)).Draw(t, "ask")))
		want, sign := 0.0, 1.0
		for _, m := range moments {
			if m.Before(ask) {
				want += sign * 12 * (1 - math.Exp(-ask.Sub(m).Minutes()/10))
			}
			sign = -sign
		}
		if got := l.Kelvins(ask); math.Abs(got-want) > 1e-6 {
			t.Fatalf("%v K, want %v", got, want)
		}
	})
}

// I5: a relay that chatters for days does not fill the memory, and the present
// stays right.
func TestALoadsPastIsBounded(t *testing.T) {
	var l world.Load
	on := false
	at := noon
	for range 20_000 {
		at = at.Add(10 * time.Second)
		on = !on
		l.Switch(at, on)
	}
	if k := l.Kelvins(at); math.Abs(k-6) > 0.2 {
		t.Errorf("half of the time on: %v K, want about 6", k)
	}
	if k := l.Kelvins(noon); math.Abs(k-6) > 0.2 {
		t.Errorf("what was forgotten is %v K, want what the oldest stretch began from", k)
	}
}
