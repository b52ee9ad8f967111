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
	start := len(dst)
	return appendCRC(m.appendBlocks(m.appendHead(dst, KindFrame)), start)
}

// appendHead writes what precedes the blocks.
func (m *Frame) appendHead(dst []byte, kind Kind) []byte {
	dst = appendStart(dst, frameItems, kind)
	dst = appendBytes(dst, m.Run[:])
	dst = appendUint(dst, m.Seq)
	dst = appendUint(dst, uint64(m.Clk))
	dst = appendInt(dst, m.T0)
	return appendUint(dst, uint64(m.Suppressed))
}

func (m *Frame) appendBlocks(dst []byte) []byte {
	bySID := func(a, b Block) int { return cmp.Compare(a.SID, b.SID) }
	if !slices.IsSortedFunc(m.Blocks, bySID) {
		slices.SortFunc(m.Blocks, bySID)
	}
	dst = appendArray(dst, len(m.Blocks))
	for i := range m.Blocks {
		b := &m.Blocks[i]
		dst = appendArray(dst, blockItems)
		dst = appendUint(dst, uint64(b.SID))
		dst = appendUint(dst, uint64(b.N))
		dst = appendInt(dst, b.DT0)
		dst = appendBytes(dst, b.Data)
	}
	return dst
}

// ParseFrame reads a frame, plain or packed, and checks its CRC. It does not
// look into the columns: their shape is the schema's. Blocks' data alias b,
// unless it is packed.
func ParseFrame(b []byte) (Frame, error) {
	var m Frame
	if err := m.Parse(b); err != nil {
		return Frame{}, err
	}
	return m, nil
}

// Parse is ParseFrame into m, whose Blocks are reused: it does not allocate
// once they have the capacity. After an error m holds nothing of use. Who reads
// many packed frames keeps an Unpacker for them.
func (m *Frame) Parse(b []byte) error {
	var u Unpacker
	return u.Parse(m, b)
}

// parseHead reads what precedes the blocks, after the CRC.
func (m *Frame) parseHead(b []byte) (cursor, Kind, error) {
	kind, err := Peek(b)
	if err != nil {
		return cursor{}, kind, err
	}
	if !kind.IsFrame() {
		return cursor{}, kind, open(b, frameItems, KindFrame).err
	}
	if b, err = checkCRC(b); err != nil {
		return cursor{}, kind, err
	}
	c := open(b, frameItems, kind)
	c.fixed("run", m.Run[:])
	m.Seq = c.uintIn("seq", 1, maxUint64)
	m.Clk = uint32(c.uintIn("clk", 1, maxUint32))
	m.T0 = c.int("t0")
	m.Suppressed = uint32(c.uintIn("suppressed", 0, maxUint32))
	return c, kind, c.err
}

// parseBlocks reads [+ block].
func (m *Frame) parseBlocks(c *cursor) {
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
			return
		}
		m.Blocks = append(m.Blocks, blk)
	}
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
