package wire

// Later is the answer of a gate that is busy, in the place of welcome: it
// closes the connection, and the gateway stays away for a while.
type Later struct {
	Pause uint64 // at least so long, in ms; at most MaxLater
}

const laterItems = 3

// Append writes the message.
func (m *Later) Append(dst []byte) []byte {
	return appendUint(appendStart(dst, laterItems, KindLater), m.Pause)
}

// ParseLater reads what Append wrote.
func ParseLater(b []byte) (Later, error) {
	c := open(b, laterItems, KindLater)
	m := Later{c.uintIn("ms", 0, MaxLater)}
	if err := c.end(); err != nil {
		return Later{}, err
	}
	return m, nil
}
