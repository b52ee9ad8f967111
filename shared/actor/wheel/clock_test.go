package wheel_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/shared/actor/wheel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBubble runs a test in fake time with a clock that ends with it.
func inBubble(t *testing.T, test func(t *testing.T, c *wheel.Clock)) {
	synctest.Test(t, func(t *testing.T) {
		c := wheel.NewClock()
		defer c.Stop()
		test(t, c)
	})
}

// journal notes when something happened, from when it was made.
type journal struct {
	from  time.Time
	times []time.Duration
}

func (j *journal) note() { j.times = append(j.times, time.Since(j.from)) }

func (j *journal) want(t *testing.T, want ...time.Duration) {
	t.Helper()
	synctest.Wait()
	if !slices.Equal(j.times, want) {
		t.Errorf("called at %v, want %v", j.times, want)
	}
}

func TestAnAlarmFiresOnceAtItsTick(t *testing.T) {
	inBubble(t, func(t *testing.T, c *wheel.Clock) {
		j := journal{from: time.Now()}
		c.After(time.Hour, j.note)
		c.After(1500*time.Microsecond, j.note)
		c.After(0, j.note)
		c.After(-time.Second, j.note)
		time.Sleep(48 * time.Hour)
		j.want(t, 0, 0, 2*time.Millisecond, time.Hour)
		if n := c.Len(); n != 0 {
			t.Errorf("%d alarms left", n)
		}
	})
}

func TestAShorterAlarmNeedNotWaitForALonger(t *testing.T) {
	inBubble(t, func(t *testing.T, c *wheel.Clock) {
		j := journal{from: time.Now()}
		for d := 10 * time.Second; d > 0; d -= time.Second {
			c.After(d, j.note)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		want := make([]time.Duration, 10)
		for i := range want { // the one of i+1 seconds was set 100 ms before the next shorter
			want[i] = time.Duration(i+1)*time.Second + time.Duration(9-i)*100*time.Millisecond
		}
		j.want(t, want...)
	})
}

func TestAStoppedAlarmDoesNotFire(t *testing.T) {
	inBubble(t, func(t *testing.T, c *wheel.Clock) {
		a := c.After(time.Second, func() { t.Error("a stopped alarm fired") })
		if !a.Stop() {
			t.Error("Stop of an alarm that is set: false")
		}
		if a.Stop() {
			t.Error("Stop of a stopped alarm: true")
		}
		fired := c.After(time.Second, func() {})
		time.Sleep(time.Minute)
		if fired.Stop() {
			t.Error("Stop of an alarm that has fired: true")
		}
		if n := c.Len(); n != 0 {
			t.Errorf("%d alarms left", n)
		}
	})
}

// TestAnAlarmStopsAnotherOfItsTick: both are due, and one is already taken out
// of its slot, when the first stops the second.
func TestAnAlarmStopsAnotherOfItsTick(t *testing.T) {
	inBubble(t, func(t *testing.T, c *wheel.Clock) {
		second := make(chan *wheel.Alarm, 1)
		c.After(time.Second, func() {
			if !(<-second).Stop() {
				t.Error("Stop: false, before it fired")
			}
		})
		second <- c.After(time.Second, func() { t.Error("a stopped alarm fired") })
		time.Sleep(time.Minute)
	})
}

func TestAnAlarmSetsTheNext(t *testing.T) {
	inBubble(t, func(t *testing.T, c *wheel.Clock) {
		j := journal{from: time.Now()}
		var again func()
		again = func() {
			j.note()
			if len(j.times) < 3 {
				c.After(time.Second, again)
			}
		}
		c.After(time.Second, again)
		time.Sleep(time.Minute)
		j.want(t, time.Second, 2*time.Second, 3*time.Second)
	})
}

func TestAPeriodDoesNotDrift(t *testing.T) {
	inBubble(t, func(t *testing.T, c *wheel.Clock) {
		j := journal{from: time.Now()}
		// A third of a second is no whole number of ticks; each call takes time.
		a := c.Every(time.Second/3, func() { j.note(); time.Sleep(50 * time.Millisecond) })
		time.Sleep(2100 * time.Millisecond)
		if !a.Stop() {
			t.Error("Stop of a period: false")
		}
		time.Sleep(time.Minute)
		ms := time.Millisecond
		j.want(t, 334*ms, 667*ms, 1000*ms, 1334*ms, 1667*ms, 2000*ms)
	})
}

func TestMissedPeriodsAreLeftOut(t *testing.T) {
	inBubble(t, func(t *testing.T, c *wheel.Clock) {
		j := journal{from: time.Now()}
		a := c.Every(time.Second, func() {
			j.note()
			if len(j.times) == 1 {
				time.Sleep(3500 * time.Millisecond)
			}
		})
		time.Sleep(6500 * time.Millisecond)
		a.Stop()
		// That of 2 s fires as soon as it can, those of 3 and 4 s do not.
		j.want(t, time.Second, 4500*time.Millisecond, 5*time.Second, 6*time.Second)
	})
}

func TestAPeriodStopsItself(t *testing.T) {
	inBubble(t, func(t *testing.T, c *wheel.Clock) {
		self := make(chan *wheel.Alarm, 1)
		calls := 0
		self <- c.Every(0, func() { // one Tick
			if calls++; calls == 3 && !(<-self).Stop() {
				t.Error("Stop in its own function: false")
			}
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if calls != 3 {
			t.Errorf("%d calls, want 3", calls)
		}
	})
}

func TestStopWaitsForTheFunctionThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := wheel.NewClock()
		ended := false
		c.After(time.Second, func() { time.Sleep(time.Second); ended = true })
		c.After(time.Second, func() { t.Error("an alarm fired after Stop") })
		c.After(time.Hour, func() { t.Error("an alarm fired after Stop") })
		time.Sleep(1500 * time.Millisecond)
		c.Stop()
		if !ended {
			t.Error("Stop did not wait")
		}
		if n := c.Len(); n != 0 {
			t.Errorf("%d alarms left", n)
		}
		a := c.After(0, func() { t.Error("an alarm fired after Stop") })
		time.Sleep(2 * time.Hour)
		if a.Stop() {
			t.Error("an alarm was set after Stop")
		}
		c.Stop() // again changes nothing
	})
}

func TestAnAlarmForEverDoesNotFire(t *testing.T) {
	inBubble(t, func(t *testing.T, c *wheel.Clock) {
		time.Sleep(time.Second)
		c.After(math.MaxInt64, func() { t.Error("fired") })
		c.Every(math.MaxInt64, func() { t.Error("fired") })
		time.Sleep(100 * 365 * 24 * time.Hour)
		if n := c.Len(); n != 2 {
			t.Errorf("%d alarms set, want 2", n)
		}
	})
}

// TestEachAlarmFiresOrWasStopped is the promise of Stop under contention, in
// real time: an alarm's function runs if and only if Stop was not true.
func TestEachAlarmFiresOrWasStopped(t *testing.T) {
	const workers, each = 4, 2000
	c := wheel.NewClock()
	defer c.Stop()
	var fired, stopped atomic.Int64
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			alarms := make(chan *wheel.Alarm, each)
			for range each {
				alarms <- c.After(time.Duration(random.IntN(5))*time.Millisecond, func() { fired.Add(1) })
				if random.IntN(2) == 0 && (<-alarms).Stop() {
					stopped.Add(1)
				}
			}
		})
	}
	all.Wait()
	var rest sync.WaitGroup
	rest.Add(1)
	c.After(10*time.Millisecond, rest.Done) // behind all others
	rest.Wait()
	if f, s := fired.Load(), stopped.Load(); f+s != workers*each {
		t.Errorf("%d fired and %d stopped of %d", f, s, workers*each)
	}
}

func ExampleClock() {
	c := wheel.NewClock()
	defer c.Stop()
	done := make(chan struct{})
	timeout := c.After(time.Hour, func() { fmt.Println("too late") })
	c.After(time.Millisecond, func() { close(done) })
	<-done
	fmt.Println(timeout.Stop())
	// Output: true
}
