package agent

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/shared/wire"
)

func TestAMappingReplacesAnotherOnlyIfItIsBetter(t *testing.T) {
	const now = 1_750_000_000_000_000 // microseconds
	mapping := func(src wire.ClockSource, utc0, uncertainty int64) utcMapping {
		return utcMapping{utc0: utc0, uncertainty: uncertainty, source: src}
	}
	for name, c := range map[string]struct {
		last, next utcMapping
		want       bool
	}{
		"a synchronised system beats a welcome, even a sharper one":   {mapping(wire.ClockWelcome, now, 500), mapping(wire.ClockSystem, now, 90_000), true},
		"a synchronised system beats a clock that nobody vouches for": {mapping(wire.ClockNone, now, 1<<50), mapping(wire.ClockSystem, now, 90_000), true},
		"a welcome beats a clock that nobody vouches for":             {mapping(wire.ClockNone, now, 1<<50), mapping(wire.ClockWelcome, now+1e9, 20_000), true},
		"a welcome does not beat a synchronised system":               {mapping(wire.ClockSystem, now, 90_000), mapping(wire.ClockWelcome, now+1e9, 1000), false},
		"a system that lost its sync does not beat a welcome":         {mapping(wire.ClockWelcome, now, 20_000), mapping(wire.ClockNone, now, 1<<50), false},
		"a system that lost its sync does not beat what it was":       {mapping(wire.ClockSystem, now, 500), mapping(wire.ClockNone, now+1e9, 1<<50), false},

		"the system's clock within a step":           {mapping(wire.ClockSystem, now, 500), mapping(wire.ClockSystem, now+2000, 500), false},
		"the system's clock stepped ahead":           {mapping(wire.ClockSystem, now, 500), mapping(wire.ClockSystem, now+2001, 500), true},
		"the system's clock stepped back":            {mapping(wire.ClockSystem, now, 500), mapping(wire.ClockSystem, now-2001, 500), true},
		"the system's clock known twice as well":     {mapping(wire.ClockSystem, now, 500), mapping(wire.ClockSystem, now, 249), true},
		"the system's clock known hardly better":     {mapping(wire.ClockSystem, now, 500), mapping(wire.ClockSystem, now, 250), false},
		"an unsynchronised clock that was set":       {mapping(wire.ClockNone, now, 1<<50), mapping(wire.ClockNone, now+1e9, 1<<50), true},
		"an unsynchronised clock that goes on":       {mapping(wire.ClockNone, now, 1<<50), mapping(wire.ClockNone, now+100, 1<<50), false},
		"a welcome within the path's jitter":         {mapping(wire.ClockWelcome, now, 20_000), mapping(wire.ClockWelcome, now-19_999, 15_000), false},
		"a welcome that contradicts the one before":  {mapping(wire.ClockWelcome, now, 20_000), mapping(wire.ClockWelcome, now+40_001, 20_000), true},
		"a slow welcome that may say the same":       {mapping(wire.ClockWelcome, now, 61_000), mapping(wire.ClockWelcome, now+2_500_000, 2_500_000), false},
		"a welcome over a path twice as short":       {mapping(wire.ClockWelcome, now, 20_000), mapping(wire.ClockWelcome, now, 9_999), true},
		"a welcome over a path that is hardly other": {mapping(wire.ClockWelcome, now, 20_000), mapping(wire.ClockWelcome, now, 10_000), false},
	} {
		if got := c.next.replaces(c.last); got != c.want {
			t.Errorf("%s: replaces = %v, want %v", name, got, c.want)
		}
	}
}

func TestAClockThatIsLeftAloneIsDoubtedMoreAndMore(t *testing.T) {
	var k knownTime
	told := utcMapping{utc0: 1_750_000_000_000_000, uncertainty: 5_000, source: wire.ClockWelcome}
	k.offer(0, told)
	doubts := 0
	for now := time.Duration(0); now <= 7*24*time.Hour; now += clockEvery {
		drifted := now.Microseconds() * maxDrift / 1e6
		if k.doubt(now) {
			doubts++
		}
		if off := told.uncertainty + drifted; k.uncertainty < off/2 && off > 2*leastDoubt.Microseconds() {
			t.Fatalf("after %v the clock may be %d us off, said to be within %d", now, off, k.uncertainty)
		}
	}
	if doubts == 0 || doubts > 12 {
		t.Errorf("%d records in a week, want one each time the doubt has doubled", doubts)
	}
	if k.utc0 != told.utc0 || k.source != wire.ClockWelcome {
		t.Errorf("doubt moved the clock to %+v", k.utcMapping)
	}
	if !k.offer(7*24*time.Hour, told) || k.uncertainty != told.uncertainty {
		t.Errorf("the cloud stands by it again, within %d us, and %d us are said", told.uncertainty, k.uncertainty)
	}
}

func TestAClockThatSomebodyStandsByIsNotDoubted(t *testing.T) {
	var k knownTime
	m := utcMapping{utc0: 1_750_000_000_000_000, uncertainty: 5_000, source: wire.ClockSystem}
	for now := time.Duration(0); now <= 7*24*time.Hour; now += clockEvery {
		k.offer(now, m)
		if k.doubt(now) {
			t.Fatalf("doubted after %v", now)
		}
	}
	none := knownTime{}
	none.offer(0, utcMapping{uncertainty: unknownUncertainty.Microseconds(), source: wire.ClockNone})
	if none.doubt(1000 * time.Hour) {
		t.Error("a clock that nobody vouches for cannot be doubted more")
	}
}

func keeper(set func(int64, uint64, wire.ClockSource)) *clockKeeper {
	return newClockKeeper(set, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

func TestTheBufferGetsTheFirstMappingAndThenOnlyBetterOnes(t *testing.T) {
	var got []wire.ClockSource
	k := keeper(func(_ int64, _ uint64, src wire.ClockSource) { got = append(got, src) })
	k.offer(utcMapping{utc0: 1, uncertainty: 1 << 50, source: wire.ClockNone})
	k.told(time.Now(), 3*time.Millisecond)
	k.offer(utcMapping{utc0: 2, uncertainty: 1 << 50, source: wire.ClockNone})
	k.told(time.Now(), 3*time.Millisecond)
	k.offer(utcMapping{utc0: 3, uncertainty: 100, source: wire.ClockSystem})
	k.told(time.Now(), time.Millisecond)
	want := []wire.ClockSource{wire.ClockNone, wire.ClockWelcome, wire.ClockSystem}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("the buffer was given %v, want %v", got, want)
	}
}

func TestAWelcomesTimeIsMappedToTheBootsClock(t *testing.T) {
	var utc0 int64
	var within uint64
	k := keeper(func(u int64, w uint64, _ wire.ClockSource) { utc0, within = u, w })
	told := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	before := sinceBoot()
	k.told(told, 7*time.Millisecond)
	after := sinceBoot()
	if at := told.UnixMicro() - utc0; at < before.Microseconds() || at > after.Microseconds() {
		t.Errorf("the boot's zero is %d us before the time told, want %v to %v", at, before, after)
	}
	if within < 67_000 || within > 68_000 {
		t.Errorf("uncertainty %d us, want 7 ms, ten minutes' drift and rounding", within)
	}
}

func TestTheSystemsMappingIsItsClock(t *testing.T) {
	m := systemClock()
	off := time.Since(time.UnixMicro(m.utc0).Add(sinceBoot()))
	if off.Abs() > time.Second || m.uncertainty <= 0 {
		t.Errorf("the mapping is %v off, uncertainty %d us", off, m.uncertainty)
	}
}

func TestTheTimeIsVouchedForOnceSomebodyToldIt(t *testing.T) {
	k := keeper(func(int64, uint64, wire.ClockSource) {})
	k.offer(utcMapping{utc0: time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), uncertainty: 1 << 50, source: wire.ClockNone})
	if _, vouched := k.now(); vouched {
		t.Error("a clock that nobody set is vouched for")
	}
	told := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	k.told(told, time.Millisecond)
	now, vouched := k.now()
	if off := now.Sub(told); !vouched || off < 0 || off > time.Minute {
		t.Errorf("after a welcome it is %v, vouched %v, want %v and a moment", now, vouched, told)
	}
}

func TestAWatchOfTheClockEndsWithItsContextAndWhenItsTimeComes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	set := make(chan struct{}, 1)
	go func() { ended <- watchClock(ctx, set) }()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("after its context ended: %v", err)
	}
	past := unix.ItimerSpec{Value: unix.Timespec{Sec: 1}}
	if err := watchTimer(t.Context(), set, &past); !errors.Is(err, errNeverCame) {
		t.Errorf("when its time came: %v, want %v", err, errNeverCame)
	}
	if len(set) != 0 {
		t.Error("a note without a change of the clock")
	}
}

func TestAClockThatSays2040IsWatchedToo(t *testing.T) {
	if last := lastTime(); strconv.IntSize == 64 && time.Unix(last.Unix()).Year() < 2200 {
		t.Errorf("a timer ends in %v", time.Unix(last.Unix()))
	}
}
