package uplink_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

// A gate may stop before it reads its clock or behind it, and a gateway cannot
// tell: each time that it learns is as far off as it says, and not farther.
func TestATimeIsNeverFartherOffThanItIsSaidToBe(t *testing.T) { // I4
	for name, rests := range map[string][2]time.Duration{
		"at once": {}, "late": {3 * time.Second, 0}, "old": {0, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, settings{gate: func(g *gate) { g.rests, g.slow = rests, rests[0] }})
				r.start()
				time.Sleep(wire.TimeEvery + 10*time.Second)
				r.timesMu.Lock()
				defer r.timesMu.Unlock()
				if len(r.times) != 3 {
					t.Fatalf("%d times, want welcome's, and of two questions", len(r.times))
				}
				rested := rests[0] + rests[1]
				for i, told := range r.times {
					if told.off.Abs() > told.within {
						t.Errorf("time %d is off by %v, said to be within %v", i, told.off, told.within)
					}
					if i > 0 && told.within > delay+rested+5*time.Millisecond {
						t.Errorf("time %d is within %v, a round trip is %v and the gate rested for %v", i, told.within, 2*delay, rested)
					}
				}
				if again := r.times[2].at.Sub(r.times[1].at); again < wire.TimeEvery || again > wire.TimeEvery+time.Second {
					t.Errorf("asked again after %v", again)
				}
			})
		})
	}
}

func TestATimeThatAnswersNothingIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stray := wire.Time{Question: 99, Now: uint64(time.Now().Add(time.Hour).UnixMilli())}
		r := newRig(t, settings{gate: func(g *gate) { g.also = [][]byte{stray.Append(nil)} }})
		r.start()
		time.Sleep(time.Second)
		r.timesMu.Lock()
		defer r.timesMu.Unlock()
		for _, told := range r.times {
			if told.off.Abs() > time.Minute {
				t.Errorf("believed a time %v off", told.off)
			}
		}
		if n := r.metric("atrium_uplink_stray_times_total", ""); n != 1 || len(r.times) != 2 {
			t.Errorf("%v counted, %d believed", n, len(r.times))
		}
	})
}
