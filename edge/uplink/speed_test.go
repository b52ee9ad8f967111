package uplink

import (
	"math"
	"testing"
	"time"
)

func TestTheSpeedOfADrainIsOfItsLastSeconds(t *testing.T) {
	var s speed
	now, acked := time.Unix(0, 0), uint64(5000)
	run := func(span time.Duration, rate uint64, drains bool) (got float64) {
		for end := now.Add(span); now.Before(end); {
			now = now.Add(watchInterval)
			acked += rate / 4
			got = s.see(now, acked, drains)
		}
		return got
	}
	if got := run(time.Minute, 400, false); got != 0 {
		t.Errorf("without a drain it is %v", got)
	}
	if got := run(time.Second, 100_000, true); math.Round(got) != 100_000 {
		t.Errorf("after a second it is %v", got)
	}
	if got := run(time.Minute, 10_000, true); got < 10_000 || got > 12_000 {
		t.Errorf("after a minute at 10 kB/s it is %v", got)
	}
	if got := run(time.Second, 0, false); got != 0 {
		t.Errorf("after the drain it is %v", got)
	}
}
