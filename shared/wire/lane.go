package wire

// LaneStart is the first message of a lane's stream.
type LaneStart struct {
	Lane Lane
}

const laneItems = 3

// Append writes the message.
func (m *LaneStart) Append(dst []byte) []byte {
	return appendUint(appendStart(dst, laneItems, KindLane), uint64(m.Lane))
}

// ParseLaneStart reads what Append wrote.
func ParseLaneStart(b []byte) (LaneStart, error) {
	c := open(b, laneItems, KindLane)
	m := LaneStart{Lane(c.uintIn("lane", uint64(LaneLive), uint64(LaneBacklog)))}
	if err := c.end(); err != nil {
		return LaneStart{}, err
	}
	return m, nil
}
