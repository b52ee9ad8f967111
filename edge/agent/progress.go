package agent

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

// minStall is the least time without a reading that counts as stuck: above a
// bus's deadline and a device's first quarantines.
const minStall = 2 * time.Minute

// stallAfter is how long nothing may be sampled before the agent counts as
// stuck: three heartbeats of the device that has the shortest. Failed reads
// make rows too. Without devices nothing is expected.
func stallAfter(devices map[id.Device]DeviceConfig) time.Duration {
	least := time.Duration(math.MaxInt64 / 3)
	for _, d := range devices {
		least = min(least, max(d.Heartbeat, 2*d.Every))
	}
	return max(minStall, 3*least)
}

// progress notices that a counter stands still.
type progress struct {
	read func() uint64

	mu    sync.Mutex
	value uint64
	since time.Time
	limit time.Duration
}

// expect says how long the counter may stand still from now on: what it did
// under another field of devices says nothing about this one.
func (p *progress) expect(now time.Time, limit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.limit = now, limit
}

// check reports a counter that has not moved for too long.
func (p *progress) check(now time.Time) error {
	v := p.read()
	p.mu.Lock()
	defer p.mu.Unlock()
	if v != p.value {
		p.value, p.since = v, now
		return nil
	}
	if still := now.Sub(p.since); still > p.limit {
		return fmt.Errorf("no reading for %s", still.Round(time.Second))
	}
	return nil
}
