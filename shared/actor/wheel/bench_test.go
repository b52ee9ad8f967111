package wheel_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/shared/actor/wheel"
)

const million = 1_000_000

// spread gives a million timers and when they are due: within the hour.
func spread() (timers []wheel.Timer[int], dues []int64) {
	random := rand.New(rand.NewPCG(1, 2))
	dues = make([]int64, million)
	for i := range dues {
		dues[i] = random.Int64N(int64(time.Hour))
	}
	return make([]wheel.Timer[int], million), dues
}

// BenchmarkAddAndCancel is a timeout that does not happen, the usual one, in a
// wheel of a million.
func BenchmarkAddAndCancel(b *testing.B) {
	timers, dues := spread()
	w := wheel.New[int](0)
	for i := range timers {
		w.Add(&timers[i], dues[i])
	}
	var t wheel.Timer[int]
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Add(&t, dues[i%million])
		w.Cancel(&t)
	}
}

// BenchmarkMove is an idle timer that each message puts off.
func BenchmarkMove(b *testing.B) {
	timers, dues := spread()
	w := wheel.New[int](0)
	for i := range timers {
		w.Add(&timers[i], dues[i])
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.Add(&timers[i%million], dues[(i+1)%million])
	}
}

// BenchmarkAdvance is the whole life of a timer that fires: added within the
// hour and carried down, in an hour of a thousand wakes a second.
func BenchmarkAdvance(b *testing.B) {
	timers, dues := spread()
	fired := 0
	b.ReportAllocs()
	b.ResetTimer()
	for fired < b.N {
		w := wheel.New[int](0)
		n := min(million, b.N-fired)
		for i := range n {
			w.Add(&timers[i], dues[i])
		}
		for now := int64(0); w.Len() > 0; now += int64(wheel.Tick) {
			w.Advance(now, func(*wheel.Timer[int]) { fired++ })
		}
	}
}

// BenchmarkAnEmptyTick is a wake with nothing due, a million timers waiting.
func BenchmarkAnEmptyTick(b *testing.B) {
	timers, _ := spread()
	w := wheel.New[int](0)
	for i := range timers {
		w.Add(&timers[i], int64(1000*24*time.Hour))
	}
	now := int64(0)
	for b.Loop() {
		now++
		w.Advance(now, func(*wheel.Timer[int]) { b.Fatal("fired") })
	}
}

func BenchmarkClockAfterAndStop(b *testing.B) {
	c := wheel.NewClock()
	defer c.Stop()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.After(time.Minute, func() {}).Stop()
		}
	})
}

// BenchmarkAfterFuncAndStop is the same with the runtime's own timers.
func BenchmarkAfterFuncAndStop(b *testing.B) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			time.AfterFunc(time.Minute, func() {}).Stop()
		}
	})
}
