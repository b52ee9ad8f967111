package wire

import "github.com/atrium-iot/atrium/shared/id"

// Ack says what is durable in the journal (I2), cumulatively per run.
type Ack struct {
	Runs []RunSeq
}

// RunSeq is a sequence of a run; in an ack, all frames up to it.
type RunSeq struct {
	Run id.Run
	Seq uint64
}

const (
	ackItems    = 3
	runSeqItems = 2
)

// Append writes the message.
func (m *Ack) Append(dst []byte) []byte {
	dst = appendStart(dst, ackItems, KindAck)
	dst = appendArray(dst, len(m.Runs))
	for i := range m.Runs {
		dst = appendArray(dst, runSeqItems)
		dst = appendBytes(dst, m.Runs[i].Run[:])
		dst = appendUint(dst, m.Runs[i].Seq)
	}
	return dst
}

// ParseAck reads what Append wrote.
func ParseAck(b []byte) (Ack, error) {
	var m Ack
	c := open(b, ackItems, KindAck)
	if n := c.array("runs", 1, MaxRuns); n > 0 {
		m.Runs = make([]RunSeq, n)
		for i := range m.Runs {
			c.tuple("run", runSeqItems)
			c.fixed("run", m.Runs[i].Run[:])
			m.Runs[i].Seq = c.uintIn("seq", 1, maxUint64)
		}
	}
	if err := c.end(); err != nil {
		return Ack{}, err
	}
	return m, nil
}
