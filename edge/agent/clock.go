package agent

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// sinceBoot reads CLOCK_BOOTTIME, which counts through suspend and never steps.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		// Linux has had the clock since 2.6.39; without it no reading has a time.
		panic(fmt.Sprintf("BUG: CLOCK_BOOTTIME: %v", err))
	}
	return time.Duration(ts.Nano())
}

// readBoot names this start of the kernel.
func readBoot() (id.Boot, error) {
	const path = "/proc/sys/kernel/random/boot_id"
	b, err := os.ReadFile(path)
	if err != nil {
		return id.Boot{}, fmt.Errorf("boot id: %w", err)
	}
	boot, err := id.ParseBoot(strings.TrimSpace(string(b)))
	if err != nil {
		return id.Boot{}, fmt.Errorf("boot id: %s: %w", path, err)
	}
	return boot, nil
}

// utcMapping is where UTC stood at the boot's zero, with how far off it may be.
type utcMapping struct {
	utc0, uncertainty int64 // microseconds
	source            wire.ClockSource
}

// systemClock maps CLOCK_BOOTTIME to the system's UTC and says whether the
// kernel takes itself to be synchronised (adjtimex(2): STA_UNSYNC). The two
// clocks are read around each other, so that a preemption between them shows
// as uncertainty.
func systemClock() utcMapping {
	before := sinceBoot()
	now := time.Now()
	after := sinceBoot()
	m := utcMapping{
		utc0:        now.UnixMicro() - (before + (after-before)/2).Microseconds(),
		uncertainty: unknownUncertainty.Microseconds(),
		source:      wire.ClockNone,
	}
	var tx unix.Timex
	state, err := unix.Adjtimex(&tx)
	if err != nil || state == unix.TIME_ERROR || tx.Status&unix.STA_UNSYNC != 0 {
		return m
	}
	m.source = wire.ClockSystem
	m.uncertainty = (after - before).Microseconds() + 1 + int64(tx.Maxerror)
	return m
}

const (
	// clockEvery is how often the system's clock is looked at, for steps: a
	// slew moves CLOCK_BOOTTIME and UTC alike (clock_gettime(2)).
	clockEvery = time.Minute
	// clockStep is the least difference that makes a new mapping. Each one
	// cuts a frame and is a record in the cloud for good; samples are stamped
	// to the millisecond.
	clockStep = 2 * time.Millisecond
	// unknownUncertainty stands with a clock that nobody vouches for.
	unknownUncertainty = 100 * 365 * 24 * time.Hour
)

// replaces says whether next is worth a new mapping after last: it comes from
// a better source, or from the same one and differs by more than a step, or
// is known at least twice as well.
func (next utcMapping) replaces(last utcMapping) bool {
	if next.source != last.source {
		return trust(next.source) > trust(last.source)
	}
	off := time.Duration(next.utc0-last.utc0) * time.Microsecond
	if next.source == wire.ClockWelcome {
		// The path's jitter moves a welcome's time within its uncertainty.
		return off.Abs() > time.Duration(last.uncertainty)*time.Microsecond || 2*next.uncertainty < last.uncertainty
	}
	return off.Abs() > clockStep || 2*next.uncertainty < last.uncertainty
}

func trust(s wire.ClockSource) int {
	switch s {
	case wire.ClockSystem:
		return 2
	case wire.ClockWelcome:
		return 1
	default:
		return 0
	}
}

// clockKeeper gives the buffer the best known mapping of the boot's clock.
type clockKeeper struct {
	set func(utc0us int64, uncertaintyUS uint64, src wire.ClockSource)

	mu   sync.Mutex
	last utcMapping
	any  bool
}

// offer takes a mapping if it is better than what is in force.
func (k *clockKeeper) offer(m utcMapping) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.any && !m.replaces(k.last) {
		return
	}
	k.any, k.last = true, m
	k.set(m.utc0, uint64(m.uncertainty), m.source)
}

// welcomed takes the time that a gate told.
func (k *clockKeeper) welcomed(utc time.Time, uncertainty time.Duration) {
	k.offer(utcMapping{utc0: utc.UnixMicro() - sinceBoot().Microseconds(), uncertainty: uncertainty.Microseconds() + 1, source: wire.ClockWelcome})
}

// run looks at the system's clock until ctx ends.
func (k *clockKeeper) run(ctx context.Context) {
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.offer(systemClock())
		}
	}
}
