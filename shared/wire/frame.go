package wire

import (
	"cmp"
	"slices"

	"github.com/atrium-iot/atrium/shared/id"
)

// Frame is the unit of telemetry: rows of some series, identified by (Run,
// Seq) alone. Its bytes are made once and never change.
type Frame struct {
	Run        id.Run
	Seq        uint64 // dense from 1
	Clk        uint32 // the clock mapping in force, from 1
	T0         int64  // milliseconds since boot; blocks' times are relative to it
	Suppressed uint32 // rows withheld since the run's frame before
	Blocks     []Block
}

// Block holds the rows of one series in a frame.
type Block struct {
	SID  uint32 // the series within the run, from 1
	N    int    // rows, 1 to MaxRows
	DT0  int64  // the first row's time; see DT0 and FirstTick
	Data []byte // columns; ParseColumns reads them. Aliases the parsed input
}

const (
	frameItems = 9
	blockItems = 4
)

// Append writes the frame with its CRC. It sorts m.Blocks by SID, which is the
// order on the wire, and does not allocate beyond dst.
func (m *Frame) Append(dst []byte) []byte {
	bySID := func(a, b Block) int { return cmp.Compare(a.SID, b.SID) }
	if !slices.IsSortedFunc(m.Blocks, bySID) {
		slices.SortFunc(m.Blocks, bySID)
	}
	start := len(dst)
	dst = appendStart(dst, frameItems, KindFrame)
	dst = appendBytes(dst, m.Run[:])
	dst = appendUint(dst, m.Seq)
	dst = appendUint(dst, uint64(m.Clk))
	dst = appendInt(dst, m.T0)
	dst = appendUint(dst, uint64(m.Suppressed))
	dst = appendArray(dst, len(m.Blocks))
	for i := range m.Blocks {
		b := &m.Blocks[i]
		dst = appendArray(dst, blockItems)
		dst = appendUint(dst, uint64(b.SID))
		dst = appendUint(dst, uint64(b.N))
		dst = appendInt(dst, b.DT0)
		dst = appendBytes(dst, b.Data)
	}
	return appendCRC(dst, start)
}

// ParseFrame reads a frame and checks its CRC. It does not look into the
// columns: their number is the schema's. Blocks' data alias b.
func ParseFrame(b []byte) (Frame, error) {
	var m Frame
	if err := m.Parse(b); err != nil {
		return Frame{}, err
	}
	return m, nil
}

// Parse is ParseFrame into m, whose Blocks are reused: it does not allocate
// once they have the capacity. After an error m holds nothing of use.
func (m *Frame) Parse(b []byte) error {
	if k, err := Peek(b); err != nil {
		return err
	} else if k == KindFrame {
		if b, err = checkCRC(b); err != nil {
			return err
		}
	}
	c := open(b, frameItems, KindFrame)
	c.fixed("run", m.Run[:])
	m.Seq = c.uintIn("seq", 1, maxUint64)
	m.Clk = uint32(c.uintIn("clk", 1, maxUint32))
	m.T0 = c.int("t0")
	m.Suppressed = uint32(c.uintIn("suppressed", 0, maxUint32))
	n := c.array("blocks", 1, MaxBlocks)
	m.Blocks = slices.Grow(m.Blocks[:0], n)
	rows, last := 0, uint32(0)
	for range n {
		blk := c.block()
		if c.err == nil && blk.SID <= last {
			c.fail(RejectMalformed, "sid", "%d after %d: want ascending order", blk.SID, last)
		}
		last = blk.SID
		if rows += blk.N; c.err == nil && rows > MaxRows {
			c.fail(RejectLimit, "n", "makes %d rows, at most %d are allowed in a frame", rows, MaxRows)
		}
		if c.err != nil {
			return c.err
		}
		m.Blocks = append(m.Blocks, blk)
	}
	return c.end()
}

func (c *cursor) block() (b Block) {
	c.tuple("block", blockItems)
	b.SID = uint32(c.uintIn("sid", 1, maxUint32))
	n := c.uintIn("n", 1, maxUint64)
	if c.err == nil && n > MaxRows {
		c.fail(RejectLimit, "n", "is %d rows, at most %d are allowed in a frame", n, MaxRows)
		return Block{}
	}
	b.N = int(n)
	b.DT0 = c.int("dt0")
	b.Data = c.bytes("columns", MaxFrame)
	return b
}
