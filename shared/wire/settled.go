package wire

import "github.com/atrium-iot/atrium/shared/id"

// Settled names commands whose results are durable in the journal (I2): the
// gateway need not send these again.
type Settled struct {
	IDs []id.Command // 1 to MaxSettled
}

const settledItems = 3

// Append writes the message.
func (m *Settled) Append(dst []byte) []byte {
	dst = appendStart(dst, settledItems, KindSettled)
	dst = appendArray(dst, len(m.IDs))
	for i := range m.IDs {
		dst = appendBytes(dst, m.IDs[i][:])
	}
	return dst
}

// ParseSettled reads what Append wrote.
func ParseSettled(b []byte) (Settled, error) {
	var m Settled
	c := open(b, settledItems, KindSettled)
	if n := c.array("ids", 1, MaxSettled); n > 0 {
		m.IDs = make([]id.Command, n)
		for i := range m.IDs {
			c.fixed("id", m.IDs[i][:])
		}
	}
	if err := c.end(); err != nil {
		return Settled{}, err
	}
	return m, nil
}
