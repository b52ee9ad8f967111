package wire

import "github.com/atrium-iot/atrium/shared/id"

// Gap says that the frames A to B of a run will never come, and what they
// held. It takes their place in the run and is acked as B.
type Gap struct {
	Run           id.Run
	A, B          uint64 // A <= B
	Reason        GapReason
	Readings      uint64 // how many readings the frames held
	TFirst, TLast int64  // milliseconds since boot
}

const gapItems = 10

// Append writes the gap with its CRC.
func (m *Gap) Append(dst []byte) []byte {
	start := len(dst)
	dst = appendStart(dst, gapItems, KindGap)
	dst = appendBytes(dst, m.Run[:])
	dst = appendUint(dst, m.A)
	dst = appendUint(dst, m.B)
	dst = appendUint(dst, uint64(m.Reason))
	dst = appendUint(dst, m.Readings)
	dst = appendInt(dst, m.TFirst)
	dst = appendInt(dst, m.TLast)
	return appendCRC(dst, start)
}

// ParseGap reads a gap and checks its CRC.
func ParseGap(b []byte) (Gap, error) {
	if k, err := Peek(b); err != nil {
		return Gap{}, err
	} else if k == KindGap {
		if b, err = checkCRC(b); err != nil {
			return Gap{}, err
		}
	}
	var m Gap
	c := open(b, gapItems, KindGap)
	c.fixed("run", m.Run[:])
	m.A = c.uintIn("a", 1, maxUint64)
	m.B = c.uintIn("b", m.A, maxUint64)
	m.Reason = GapReason(c.uintIn("reason", uint64(GapQuota), uint64(GapCrash)))
	m.Readings = c.uint("readings")
	m.TFirst = c.int("t-first")
	m.TLast = c.int("t-last")
	if err := c.end(); err != nil {
		return Gap{}, err
	}
	return m, nil
}
