package wire

import "github.com/atrium-iot/atrium/shared/id"

// Reject says that the gate did not take a frame or gap and discards what
// follows in the run until it sees Seq again.
type Reject struct {
	Run    id.Run
	Seq    uint64
	Reason RejectReason
	Text   string // for people, at most MaxText bytes; Append cuts a longer one
}

const rejectItems = 6

// Append writes the message.
func (m *Reject) Append(dst []byte) []byte {
	dst = appendStart(dst, rejectItems, KindReject)
	dst = appendBytes(dst, m.Run[:])
	dst = appendUint(dst, m.Seq)
	dst = appendUint(dst, uint64(m.Reason))
	return appendText(dst, clip(m.Text))
}

// ParseReject reads what Append wrote.
func ParseReject(b []byte) (Reject, error) {
	var m Reject
	c := open(b, rejectItems, KindReject)
	c.fixed("run", m.Run[:])
	m.Seq = c.uintIn("seq", 1, maxUint64)
	m.Reason = RejectReason(c.uintIn("reason", uint64(RejectCRC), uint64(RejectUnsupportedKind)))
	m.Text = c.text("text", MaxText)
	if err := c.end(); err != nil {
		return Reject{}, err
	}
	return m, nil
}
