package device

import (
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

// MinEvery is the shortest interval: a bus of 100 kHz needs about 1 ms for one
// register, so a gateway cannot serve many devices faster than this.
const MinEvery = 10 * time.Millisecond

// leastHeartbeat keeps a device that has nothing to say from looking silent.
// The cloud calls a device silent after three intervals without a row, but not
// before 10 s; half of the latter leaves room for one row that is lost.
const leastHeartbeat = 5 * time.Second

// Config says how one device is sampled.
type Config struct {
	Device  id.Device
	Profile *profile.Profile
	// Every is the time between two reads; 0 is the profile's.
	Every time.Duration
	// Heartbeat is the longest time without a row while the device works, to
	// the next tick. 0 is two intervals, at least 5 s: longer ones than the
	// cloud waits for (three intervals, at least 10 s) make the device silent
	// there.
	Heartbeat time.Duration
	// Deadband is the least change of a point that makes a row, in the point's
	// unit. 0 makes a row of every sample; a point that is absent here has its
	// profile's deadband.
	Deadband map[id.Point]float64
}

func (c *Config) every() time.Duration {
	if c.Every == 0 {
		return c.Profile.Every
	}
	return c.Every
}

// Grid is the expected spacing of the device's rows in ticks of its series,
// for buffer.Series.
func (c *Config) Grid() uint64 { return uint64(c.every() / c.Profile.Tick) }

// rules checks the configuration and compiles it.
func (c *Config) rules() (Rules, error) {
	r := Rules{Every: c.every(), Heartbeat: c.Heartbeat, Deadband: make([]int64, len(c.Profile.Points)), Boolean: make([]bool, len(c.Profile.Points))}
	if r.Every < MinEvery {
		return Rules{}, fmt.Errorf("interval: want %v or more, got %v", MinEvery, r.Every)
	}
	if r.Heartbeat < 0 {
		return Rules{}, fmt.Errorf("heartbeat: want 0 or more, got %v", r.Heartbeat)
	}
	if r.Heartbeat == 0 {
		r.Heartbeat = max(2*r.Every, leastHeartbeat)
	}
	for i := range c.Profile.Points {
		p := &c.Profile.Points[i]
		r.Deadband[i] = p.DeadbandQuanta(p.Deadband)
		r.Boolean[i] = p.Kind == wire.KindBoolean
	}
	for name, v := range c.Deadband {
		i, ok := c.Profile.Point(name)
		if !ok {
			return Rules{}, fmt.Errorf("deadband: profile %s has no point %q", c.Profile.ID, name)
		}
		if !(v >= 0) { // NaN is not
			return Rules{}, fmt.Errorf("deadband of %s: want 0 or more, got %v", name, v)
		}
		r.Deadband[i] = c.Profile.Points[i].DeadbandQuanta(v)
	}
	return r, nil
}
