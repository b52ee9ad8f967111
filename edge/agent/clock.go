package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	// clockEvery is how often the system's clock is looked at, for what no
	// step tells: that it is synchronised now, and how well. A slew moves
	// CLOCK_BOOTTIME and UTC alike (clock_gettime(2)).
	clockEvery = time.Minute
	// clockStep is the least difference that makes a new mapping. Each one
	// cuts a frame and is a record in the cloud for good; samples are stamped
	// to the millisecond.
	clockStep = 2 * time.Millisecond
	// unknownUncertainty stands with a clock that nobody vouches for.
	unknownUncertainty = 100 * 365 * 24 * time.Hour
	// maxDrift is how much a board's crystal may be off, in parts per million:
	// twice what datasheets of cheap ones allow over temperature and age.
	maxDrift = 100
	// leastDoubt is the uncertainty from which on a clock that is left alone is
	// doubted: what the most drift makes of a thousand seconds.
	leastDoubt = 100 * time.Millisecond
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
		// Two that can both be right do not contradict each other.
		return off.Abs() > time.Duration(last.uncertainty+next.uncertainty)*time.Microsecond || 2*next.uncertainty < last.uncertainty
	}
	return off.Abs() > clockStep || 2*next.uncertainty < last.uncertainty
}

// knownTime is the mapping in force, and when somebody last stood by it.
type knownTime struct {
	utcMapping
	any     bool
	vouched time.Duration // since boot
	sure    int64         // the uncertainty then, microseconds
}

// offer takes a mapping at a time since boot if it is better than what is in
// force, and says whether it did.
func (k *knownTime) offer(now time.Duration, m utcMapping) bool {
	if k.any && !m.replaces(k.utcMapping) {
		if m.source == k.source && m.source != wire.ClockNone && m.uncertainty < 2*k.uncertainty {
			k.vouched, k.sure = now, m.uncertainty
		}
		return false
	}
	*k = knownTime{utcMapping: m, any: true, vouched: now, sure: m.uncertainty}
	return true
}

// doubt widens the uncertainty of a clock that nobody has stood by for long, as
// it drifts, and says whether it did: each time to the double at least, as each
// is a record in the cloud.
func (k *knownTime) doubt(now time.Duration) bool {
	if !k.any || k.source == wire.ClockNone {
		return false
	}
	u := k.sure + (now-k.vouched).Microseconds()*maxDrift/1e6
	if u < leastDoubt.Microseconds() || u < 2*k.uncertainty {
		return false
	}
	k.uncertainty = u
	return true
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
	log *slog.Logger

	mappings    *prometheus.CounterVec // by source
	uncertainty prometheus.Gauge

	mu    sync.Mutex
	known knownTime
}

func newClockKeeper(set func(int64, uint64, wire.ClockSource), log *slog.Logger, reg prometheus.Registerer) *clockKeeper {
	k := &clockKeeper{
		set: set, log: log,
		mappings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "atrium_agent_clock_mappings_total", Help: "Mappings of the boot's clock to UTC that readings were stamped with, by source.",
		}, []string{"source"}),
		uncertainty: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_agent_clock_uncertainty_seconds", Help: "How far off the time of readings may be; a hundred years while nobody vouches for it.",
		}),
	}
	for _, s := range [...]wire.ClockSource{wire.ClockNone, wire.ClockSystem, wire.ClockWelcome} {
		k.mappings.WithLabelValues(s.String())
	}
	reg.MustRegister(k.mappings, k.uncertainty)
	return k
}

// offer takes a mapping if it is better than what is in force.
func (k *clockKeeper) offer(m utcMapping) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before, any := k.known.source, k.known.any
	if !k.known.offer(sinceBoot(), m) {
		return
	}
	if any && before != m.source {
		k.log.Info("the time of readings comes from another source", "source", m.source.String(),
			"uncertainty", time.Duration(m.uncertainty)*time.Microsecond)
	}
	k.apply()
}

// doubt lets the uncertainty grow of a clock that was left alone.
func (k *clockKeeper) doubt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known.doubt(sinceBoot()) {
		k.apply()
	}
}

// apply makes the known time the buffer's.
func (k *clockKeeper) apply() {
	m := &k.known
	k.mappings.WithLabelValues(m.source.String()).Inc()
	k.uncertainty.Set(float64(m.uncertainty) / 1e6)
	k.set(m.utc0, uint64(m.uncertainty), m.source)
}

// told takes the time that a gate told. It holds until the gate tells it again,
// so that the drift until then counts.
func (k *clockKeeper) told(utc time.Time, uncertainty time.Duration) {
	const drift = wire.TimeEvery * maxDrift / 1_000_000
	k.offer(utcMapping{utc0: utc.UnixMicro() - sinceBoot().Microseconds(), uncertainty: (uncertainty + drift).Microseconds() + 1, source: wire.ClockWelcome})
}

// now is the best known time, and whether somebody vouches for it:
// identity.Clock.
func (k *clockKeeper) now() (now time.Time, vouched bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.known.any || k.known.source == wire.ClockNone {
		return time.Now(), false
	}
	return time.UnixMicro(k.known.utc0).Add(sinceBoot()), true
}

// run looks at the system's clock now and then, and whenever it was set, until
// ctx ends.
func (k *clockKeeper) run(ctx context.Context) {
	set := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		if err := watchClock(ctx, set); err != nil {
			k.log.Warn("a step of the clock is noticed within a minute only", "err", err)
		}
	})
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-set:
		}
		k.offer(systemClock())
		k.doubt()
	}
}
