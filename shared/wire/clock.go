package wire

import "github.com/atrium-iot/atrium/shared/id"

// Clock maps a boot's ticks to UTC, under a number of the run that is never
// redefined: a correction is a new clock.
type Clock struct {
	Run         id.Run
	Clk         uint32 // from 1
	Boot        id.Boot
	UTC0        int64  // Unix microseconds at the boot's zero
	Uncertainty uint64 // microseconds, either way
	Source      ClockSource
}

const clockItems = 8

// Append writes the message.
func (m *Clock) Append(dst []byte) []byte {
	dst = appendStart(dst, clockItems, KindClock)
	dst = appendBytes(dst, m.Run[:])
	dst = appendUint(dst, uint64(m.Clk))
	dst = appendBytes(dst, m.Boot[:])
	dst = appendInt(dst, m.UTC0)
	dst = appendUint(dst, m.Uncertainty)
	return appendUint(dst, uint64(m.Source))
}

// ParseClock reads what Append wrote.
func ParseClock(b []byte) (Clock, error) {
	var m Clock
	c := open(b, clockItems, KindClock)
	c.fixed("run", m.Run[:])
	m.Clk = uint32(c.uintIn("clk", 1, maxUint32))
	c.fixed("boot", m.Boot[:])
	m.UTC0 = c.int("utc0")
	m.Uncertainty = c.uint("uncertainty")
	m.Source = ClockSource(c.uintIn("source", uint64(ClockNone), uint64(ClockWelcome)))
	if err := c.end(); err != nil {
		return Clock{}, err
	}
	return m, nil
}
