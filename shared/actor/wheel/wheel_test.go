package wheel_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor/wheel"
)

const tick = int64(wheel.Tick)

// oracle is what a wheel promises: a list in order of Add that is searched from
// end to end.
type oracle struct {
	start, tick int64
	advances    int
	set         []promise
}

// promise is a timer that is set: the tick at which it fires, or -1 when it was
// due already, and the first Advance that may fire it.
type promise struct {
	timer   int
	tick    int64
	advance int
}

func (o *oracle) add(timer int, due int64) {
	o.cancel(timer)
	p := promise{timer, max(0, due-o.start) / tick, o.advances}
	if o.start+p.tick*tick < due {
		p.tick++
	}
	if p.tick <= o.tick {
		p.tick, p.advance = -1, o.advances+1
	}
	o.set = append(o.set, p)
}

func (o *oracle) cancel(timer int) bool {
	n := len(o.set)
	o.set = slices.DeleteFunc(o.set, func(p promise) bool { return p.timer == timer })
	return len(o.set) < n
}

func (o *oracle) advance(now int64, fire func(timer int)) {
	o.advances++
	until := max(o.tick, (now-o.start)/tick)
	for {
		best := promise{tick: math.MaxInt64}
		for _, p := range o.set {
			if p.tick <= until && p.advance <= o.advances && p.tick < best.tick {
				best = p
			}
		}
		if best.tick == math.MaxInt64 {
			break
		}
		o.cancel(best.timer)
		o.tick = max(o.tick, best.tick)
		fire(best.timer)
	}
	o.tick = until
}

// reaction is what a timer does when it fires: to another, or to itself.
type reaction struct {
	other       int
	in          int64
	add, cancel bool
}

// distance draws times of every level, around the borders of their slots.
var distance = rapid.Custom(func(t *rapid.T) int64 {
	near := rapid.Int64Range(-2*tick, 130*tick).Draw(t, "near")
	far := rapid.Int64Range(0, 3).Draw(t, "far")
	return near + far*tick<<(6*rapid.IntRange(1, 6).Draw(t, "level"))
})

// TestTheWheelFiresAsAListWould holds all that a wheel promises: each timer
// fires once, not early, at the first Advance that reaches its tick, in order,
// whatever the timers that fire do to the others.
func TestTheWheelFiresAsAListWould(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.SampledFrom([]int64{0, -5, 1_700_000_000_123_456_789}).Draw(t, "start")
		w, o, now := wheel.New[int](start), &oracle{start: start}, start
		timers := make([]wheel.Timer[int], 30)
		reactions := make([]reaction, len(timers))
		for i := range timers {
			timers[i].Owner = i
		}
		some := rapid.IntRange(0, len(timers)-1)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				i, due := some.Draw(t, "timer"), now+distance.Draw(t, "in")
				reactions[i] = reaction{some.Draw(t, "other"), distance.Draw(t, "later"), rapid.Bool().Draw(t, "adds"), rapid.Bool().Draw(t, "cancels")}
				w.Add(&timers[i], due)
				o.add(i, due)
			},
			"cancel": func(t *rapid.T) {
				i := some.Draw(t, "timer")
				if got, want := w.Cancel(&timers[i]), o.cancel(i); got != want {
					t.Fatalf("Cancel of timer %d: %t, want %t", i, got, want)
				}
			},
			"clear": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
					w.Clear()
					o.set = nil
				}
			},
			"advance": func(t *rapid.T) {
				to := now + distance.Draw(t, "by")
				var got, want []int
				// A timer that adds itself again and again would take for ever.
				w.Advance(to, func(timer *wheel.Timer[int]) {
					i := timer.Owner
					got = append(got, i)
					if r := reactions[i]; r.add && len(got) < 100 {
						w.Add(&timers[r.other], now+r.in)
					} else if r.cancel {
						w.Cancel(&timers[r.other])
					}
				})
				o.advance(to, func(i int) {
					want = append(want, i)
					if r := reactions[i]; r.add && len(want) < 100 {
						o.add(r.other, now+r.in)
					} else if r.cancel {
						o.cancel(r.other)
					}
				})
				if !slices.Equal(got, want) {
					t.Fatalf("fired %v, want %v", got, want)
				}
				now = max(now, to)
			},
			"": func(t *rapid.T) { agree(t, w, o, timers) },
		})
	})
}

// agree compares what can be asked.
func agree(t *rapid.T, w *wheel.Wheel[int], o *oracle, timers []wheel.Timer[int]) {
	if w.Len() != len(o.set) {
		t.Fatalf("Len %d, want %d", w.Len(), len(o.set))
	}
	next, ok := w.Next()
	if ok != (len(o.set) > 0) {
		t.Fatalf("Next is %t with %d timers", ok, len(o.set))
	}
	set := make([]bool, len(timers))
	for _, p := range o.set {
		set[p.timer] = true
		if due := o.start + max(p.tick, o.tick)*tick; next > due && p.tick >= 0 || p.tick < 0 && next > o.start+o.tick*tick {
			t.Fatalf("Next is %d ns after a timer that is due", next-due)
		}
	}
	for i := range timers {
		if timers[i].Set() != set[i] {
			t.Fatalf("timer %d: Set is %t", i, timers[i].Set())
		}
	}
}

// TestNextLeadsToEveryTimer follows Next as a clock does, over years.
func TestNextLeadsToEveryTimer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := wheel.New[int64](0)
		dues := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) int64 {
			return rapid.Int64Range(1, 1<<rapid.IntRange(20, 60).Draw(t, "bits")).Draw(t, "due")
		}), 1, 50).Draw(t, "dues")
		for _, due := range dues {
			w.Add(&wheel.Timer[int64]{Owner: due}, due)
		}
		fired, wakes := 0, 0
		for now, ok := w.Next(); ok; now, ok = w.Next() {
			w.Advance(now, func(timer *wheel.Timer[int64]) {
				fired++
				if late := now - timer.Owner; late < 0 || late >= tick {
					t.Fatalf("a timer fired %d ns late", late)
				}
			})
			wakes++
		}
		if fired != len(dues) {
			t.Fatalf("%d of %d timers fired", fired, len(dues))
		}
		if wakes > 8*len(dues) {
			t.Fatalf("%d wakes for %d timers: want at most one for each level", wakes, len(dues))
		}
	})
}

func TestAFiringThatPanicsLosesNoOtherTimer(t *testing.T) {
	w := wheel.New[int](0)
	timers := make([]wheel.Timer[int], 3)
	for i := range timers {
		timers[i].Owner = i
		w.Add(&timers[i], tick)
	}
	func() {
		defer func() { _ = recover() }()
		w.Advance(tick, func(*wheel.Timer[int]) { panic("first") })
	}()
	w.Cancel(&timers[1])
	var fired []int
	w.Advance(tick, func(timer *wheel.Timer[int]) { fired = append(fired, timer.Owner) })
	if !slices.Equal(fired, []int{2}) || w.Len() != 0 {
		t.Fatalf("fired %v with %d left, want timer 2 alone", fired, w.Len())
	}
}

func TestATimeBeyondTheLastIsTheLast(t *testing.T) {
	for _, start := range []int64{math.MinInt64, -1, 0, 1 << 60} {
		w := wheel.New[int](start)
		w.Add(&wheel.Timer[int]{}, math.MaxInt64)
		w.Advance(math.MaxInt64-2*tick, func(*wheel.Timer[int]) { t.Error("fired early") })
		if next, ok := w.Next(); !ok || next < math.MaxInt64-2*tick {
			t.Errorf("from %d: Next is %d, %t", start, next, ok)
		}
	}
}
