package buffer

import (
	"bytes"
	"math"
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

// openFrame is the frame of one class that is being filled: columns that grow in
// place in their series until the cut encodes them.
type openFrame struct {
	series     []*Series // those with rows
	rows       int
	values     int           // integers held: rows * (columns + time + quality)
	since      time.Duration // when the first row came
	suppressed uint64

	// density is the size in bytes of 256 encoded values, learned from the
	// frames before: how a cut at segmentSize is foreseen without encoding.
	density int
	scratch []byte // columns of the frame that is being encoded
	blocks  []wire.Block
	msg     []byte // the frame, before its size is known
}

const (
	// maxOpenValues bounds the open frame's memory at 8 bytes a value, 1 MiB,
	// however well it compresses.
	maxOpenValues = 1 << 17
	// firstDensity is 2 bytes a value: what short frames of slow sensors take.
	firstDensity = 2 * 256
)

// full says whether the open frame must be cut now.
func (f *openFrame) full() bool {
	return f.rows >= wire.MaxRows || f.values >= maxOpenValues || f.values*f.density >= segmentSize*256
}

// part is a range of rows of a series.
type part struct {
	s        *Series
	from, to int
}

// cut makes frames of a class's open frame, usually one: columns that compress
// far worse than those before may need more to stay under wire.MaxFrame.
func (c *core) cut(in *intake) {
	f := &in.frame
	if f.rows == 0 {
		return
	}
	parts := make([]part, len(f.series))
	for i, s := range f.series {
		parts[i] = part{s, 0, s.rows.Len()}
	}
	c.encode(in, parts)
	for i, s := range f.series {
		s.rows.Reset()
		f.series[i] = nil
	}
	f.series, f.rows, f.values = f.series[:0], 0, 0
}

// encode makes the parts a frame of the open run, or halves them until they fit.
func (c *core) encode(in *intake, parts []part) {
	it, size := in.encode(parts, c.clock, &c.packer)
	if it.msg == nil {
		a, b := halve(parts)
		c.encode(in, a)
		c.encode(in, b)
		return
	}
	values := 0
	for _, p := range parts {
		values += (p.to - p.from) * (len(p.s.rows.V) + 2)
	}
	in.frame.density = max(1, (3*in.frame.density+size*256/values)/4)
	in.frame.suppressed = 0
	c.add(in.run, it)
}

// encode encodes parts as the open run's next frame, packed where that pays; the
// item has no message if that would be too large.
func (in *intake) encode(parts []part, clock clockMapping, packer *wire.Packer) (it item, size int) {
	f, r := &in.frame, in.run
	it = item{first: r.next, last: r.next, at: f.since, clk: r.clk(clock), tFirst: math.MaxInt64, tLast: math.MinInt64}
	for _, p := range parts {
		it.tFirst = min(it.tFirst, millis(p.s.rows.T[p.from], p.s.tick))
		it.tLast = max(it.tLast, millis(p.s.rows.T[p.to-1], p.s.tick))
		it.readings += uint64((p.to - p.from) * len(p.s.rows.V))
	}
	f.scratch, f.blocks = f.scratch[:0], f.blocks[:0]
	it.sids = make([]uint32, len(parts))
	for i, p := range parts {
		it.sids[i] = r.sid(p.s)
		rows := p.s.view(p.from, p.to)
		start := len(f.scratch)
		f.scratch = wire.AppendColumns(f.scratch, rows, p.s.grid)
		f.blocks = append(f.blocks, wire.Block{
			SID: it.sids[i], N: p.to - p.from, DT0: wire.DT0(rows.T[0], it.tFirst, p.s.tick),
			Data: f.scratch[start:len(f.scratch):len(f.scratch)],
		})
	}
	w := wire.Frame{Run: r.id, Seq: it.first, Clk: it.clk, T0: it.tFirst, Suppressed: saturate(f.suppressed), Blocks: f.blocks}
	f.msg = packer.Append(f.msg[:0], &w)
	if len(f.msg) > wire.MaxFrame && (len(parts) > 1 || parts[0].to-parts[0].from > 1) {
		return it, 0
	}
	it.msg = bytes.Clone(f.msg)
	return it, len(it.msg)
}

// halve splits parts by rows, or by series where each has one row.
func halve(parts []part) (a, b []part) {
	for _, p := range parts {
		mid := p.from + (p.to-p.from+1)/2
		a = append(a, part{p.s, p.from, mid})
		if mid < p.to {
			b = append(b, part{p.s, mid, p.to})
		}
	}
	if len(b) == 0 {
		return parts[:len(parts)/2], parts[len(parts)/2:]
	}
	return a, b
}

func saturate(n uint64) uint32 {
	return uint32(min(n, math.MaxUint32))
}
