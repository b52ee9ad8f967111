package wire

import (
	"encoding/binary"
	"math/bits"
)

// parseTimes reads the time column into out, row 0 being first.
func parseTimes(c *cursor, out []int64, first int64, grid uint64) {
	codec, k := c.codec("time column")
	if c.err == nil && codec == codecConst && k != constZero {
		c.fail(RejectMalformed, "time column", "has a constant base")
	}
	if c.err == nil && (codec == codecXOR || codec == codecTrend) {
		c.fail(RejectMalformed, "time column", "has codec %d, which is for values", codecXOR)
	}
	out[0] = first
	parseColumn(c, "time column", out, plan{codec: codec, k: k, base: first, step: int64(grid), start: 1})
}

// parseValues reads a quality or value column into out.
func parseValues[T integer](c *cursor, at string, out []T) {
	p := plan{start: 1}
	p.codec, p.k = c.codec(at)
	if p.codec == codecLine {
		p.start = 0
	}
	if p.codec != codecConst || p.k == constBase {
		p.base = unzigzag(c.varint(at))
	}
	if c.err == nil && p.codec == codecConst && p.k == constBase && p.base == 0 {
		c.fail(RejectMalformed, at, "has 0 as a constant base")
	}
	out[0] = T(p.base)
	parseColumn(c, at, out, p)
}

// codec reads a column's first byte.
func (c *cursor) codec(at string) (codec byte, k uint) {
	if c.err != nil {
		return 0, 0
	}
	if c.off == len(c.b) {
		c.fail(RejectMalformed, at, "is missing")
		return 0, 0
	}
	b := c.b[c.off]
	c.off++
	codec, k = b>>paramBits, uint(b&paramMask)
	most := uint(0)
	switch codec {
	case codecDelta, codecDelta2, codecLine:
		most = riceExact
	case codecXOR:
		most = riceMaxK
	case codecConst:
		most = constBase
	}
	if codec > codecXOR || k > most {
		c.fail(RejectMalformed, at, "has codec byte %#02x", b)
		return 0, 0
	}
	if codec == codecXOR && k > 0 {
		codec = codecTrend
	}
	return codec, k
}

// parseColumn reads the rows after out[0], which is set; a line with start 0
// reads that as well.
func parseColumn[T integer](c *cursor, at string, out []T, p plan) {
	if c.err != nil {
		return
	}
	switch p.codec {
	case codecConst:
		for i := range out {
			out[i] = T(p.base)
		}
	case codecRuns:
		c.runs(at, len(out), func(from, to int, v int64) {
			for i := from; i < to; i++ {
				out[i] = T(v)
			}
		}, p.base)
	case codecVarint:
		x := p.base
		for i := 1; i < len(out) && c.err == nil; i++ {
			x += unzigzag(c.varint(at))
			out[i] = T(x)
		}
	case codecXOR:
		parseXOR(c, at, out)
	default:
		parseRice(c, at, out[p.start:], p)
	}
}

// runs calls set for each run of n rows.
func (c *cursor) runs(at string, n int, set func(from, to int, v int64), v int64) {
	for row := 0; ; {
		length := c.varint(at)
		if c.err == nil && (length == 0 || length > uint64(n-row)) {
			c.fail(RejectMalformed, at, "has a run of %d rows, %d are left", length, n-row)
		}
		if c.err != nil {
			return
		}
		set(row, row+int(length), v)
		if row += int(length); row == n {
			return
		}
		step := unzigzag(c.varint(at))
		if c.err == nil && step == 0 {
			c.fail(RejectMalformed, at, "has a step of 0 at row %d", row)
		}
		v += step
	}
}

// varint reads an unsigned LEB128 number in its shortest form.
func (c *cursor) varint(at string) uint64 {
	if c.err != nil {
		return 0
	}
	v, n := binary.Uvarint(c.b[c.off:])
	if n <= 0 || n > 1 && c.b[c.off+n-1] == 0 {
		c.fail(RejectMalformed, at, "has no shortest varint at byte %d", c.off)
		return 0
	}
	c.off += n
	return v
}

// parseRice reads residuals into out, then turns them into values in place.
func parseRice[T integer](c *cursor, at string, out []T, p plan) {
	if p.k == riceExact {
		clear(out)
	} else {
		used, ok := readRice(c.b[c.off:], p.k, out)
		if !ok {
			c.fail(RejectMalformed, at, "has %d bytes, too few or not as Rice code is written", len(c.b)-c.off)
			return
		}
		c.off += used
	}
	switch x := p.base; p.codec {
	case codecDelta:
		for i, u := range out {
			x += unzigzag(uint64(u))
			out[i] = T(x)
		}
	case codecDelta2:
		var d int64
		for i, u := range out {
			d += unzigzag(uint64(u))
			x += d
			out[i] = T(x)
		}
	case codecTrend:
		t := newTrend(x)
		for i, u := range out {
			x = t.next() + unzigzag(uint64(u))
			t.learn(x)
			out[i] = T(x)
		}
	case codecLine:
		x += int64(p.start) * p.step
		for i, u := range out {
			out[i] = T(x + unzigzag(uint64(u)))
			x += p.step
		}
	}
}

// readRice fills out with residuals of parameter k from the front of b and
// returns the bytes used. It fails where b ends early, an escaped residual did
// not need it, or the last byte is not filled with zeros.
func readRice[T integer](b []byte, k uint, out []T) (used int, ok bool) {
	r := bitReader{b: b}
	for i := range out {
		r.fill()
		q := uint(bits.LeadingZeros64(^r.acc))
		if q < escapeOnes {
			// At most 24 + riceMaxK = 54 bits: one fill holds them.
			if q+1+k > r.n {
				return 0, false
			}
			r.skip(q + 1)
			out[i] = T(uint64(q)<<k | r.acc>>(64-k))
			r.skip(k)
			continue
		}
		if r.n < escapeOnes {
			return 0, false
		}
		r.skip(escapeOnes)
		high, enough := r.take(32)
		low, enough2 := r.take(32)
		u := high<<32 | low
		if !enough || !enough2 || u>>k < escapeOnes {
			return 0, false
		}
		out[i] = T(u)
	}
	return r.close()
}

// bitReader reads the bits of b, the first one in a byte's highest place.
type bitReader struct {
	b   []byte
	pos int    // the next byte to load
	acc uint64 // the next n bits on top; below them zeros, or bits of b[pos:]
	n   uint
}

// fill makes n at least 56, unless b ends before.
func (r *bitReader) fill() {
	if r.pos+8 <= len(r.b) {
		r.acc |= binary.BigEndian.Uint64(r.b[r.pos:]) >> r.n
		r.pos += int((63 - r.n) >> 3)
		r.n |= 56
		return
	}
	r.fillSlowly()
}

func (r *bitReader) fillSlowly() {
	for r.n <= 56 && r.pos < len(r.b) {
		r.acc |= uint64(r.b[r.pos]) << (56 - r.n)
		r.pos++
		r.n += 8
	}
}

func (r *bitReader) skip(n uint) {
	r.acc <<= n
	r.n -= n
}

// take reads the next n bits, at most 32.
func (r *bitReader) take(n uint) (v uint64, ok bool) {
	r.fill()
	if r.n < n {
		return 0, false
	}
	v = r.acc >> (64 - n) // 0 for n = 0: a shift by 64 leaves nothing
	r.skip(n)
	return v, true
}

// close returns the whole bytes that were not needed and checks that the bits
// left of the last one are zero.
func (r *bitReader) close() (used int, ok bool) {
	padding := r.n & 7
	return r.pos - int(r.n>>3), r.acc>>(64-padding) == 0
}
