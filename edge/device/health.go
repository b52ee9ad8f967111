package device

import (
	"time"

	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

// healthTick is the unit of time of health events.
const healthTick = time.Millisecond

// HealthBody is the series of a device's health: an event whenever it changes,
// with one text.
//
//	ok             its reads succeed
//	absent         nobody answers at its address
//	quarantined    it stalled its bus, and is left alone for a while
//	unreachable    the simulated board that it sits on is not there
//	faulty: KIND   its reads fail in another way: timeout, crc, ...
func HealthBody() wire.Body {
	return wire.Body{
		Profile: "atrium.health", Version: 1, Tick: uint64(healthTick),
		Columns: []wire.Column{{Point: profile.HealthPoint, Kind: wire.KindText, Mantissa: 1}},
	}
}

// health says how a device is whose read ended so.
func health(kind bus.ErrorKind) string {
	switch kind {
	case bus.KindNone:
		return "ok"
	case bus.KindNack:
		return "absent"
	case bus.KindQuarantine:
		return "quarantined"
	case bus.KindUnreachable:
		return "unreachable"
	default:
		return "faulty: " + string(kind)
	}
}

// tell makes an event of a device's health if it is not what was told last. One
// that is not taken is told with the next read.
func (d *deviceActor) tell(at time.Duration, kind bus.ErrorKind) {
	now := health(kind)
	if now == d.told || d.events.AppendText(int64(at/healthTick), now) != nil {
		return
	}
	d.told = now
	d.m.events.Inc()
}
