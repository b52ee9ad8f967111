package wire

import (
	"encoding/binary"
	"math/bits"
)

// plan is how a column will be written.
type plan struct {
	codec byte
	k     uint  // parameter of a Rice codec
	base  int64 // codecLine: the value at row 0; otherwise row 0 itself
	step  int64 // codecLine: the growth a row; 0 in value columns
	start int   // the first row that is coded as a residual
	trend trend // codecTrend: what residuals has seen so far
}

func appendTimes(dst []byte, t []int64, grid uint64) []byte {
	p := choose(t, plan{codec: codecLine, base: t[0], step: int64(grid), start: 1})
	return appendPlanned(dst, t, p, false)
}

func appendValues[T integer](dst []byte, v []T) []byte {
	if constant(v) { // as quality mostly is: no need to measure
		return appendPlanned(dst, v, plan{codec: codecConst, base: int64(v[0])}, true)
	}
	p := choose(v, plan{codec: codecLine, base: mean(v)})
	return appendPlanned(dst, v, p, true)
}

func constant[T integer](v []T) bool {
	for _, x := range v {
		if x != v[0] {
			return false
		}
	}
	return true
}

// mean returns the rounded-down mean of v, or some other number if the sum of
// the differences to v[0] overflows: any base is correct, a near one is short.
func mean[T integer](v []T) int64 {
	var sum int64
	for _, x := range v {
		sum += int64(x) - int64(v[0])
	}
	return int64(v[0]) + sum/int64(len(v))
}

// survey is what one pass over a column tells about the cost of each codec.
type survey struct {
	changes               int
	delta, delta2, line   uint64 // sums of residuals, each capped at residualCap
	runsBytes, varintSize int
}

// residualCap keeps MaxRows residuals from overflowing their sum.
const residualCap = 1 << 40

func measure[T integer](v []T, line plan) (s survey) {
	var before int64
	run, x := 1, int64(v[0])
	if line.start == 0 {
		s.line = min(zigzag(x-line.base), residualCap)
	}
	want := line.base
	for _, next := range v[1:] {
		d := int64(next) - x
		x = int64(next)
		want += line.step
		s.line += min(zigzag(x-want), residualCap)
		s.delta2 += min(zigzag(d-before), residualCap)
		before = d
		if d == 0 {
			run++
			s.varintSize++
			continue
		}
		s.changes++
		u := zigzag(d)
		s.delta += min(u, residualCap)
		size := varintLen(u)
		s.varintSize += size
		s.runsBytes += size + varintLen(uint64(run))
		run = 1
	}
	s.runsBytes += varintLen(uint64(run))
	return s
}

func varintLen(u uint64) int { return (bits.Len64(u|1) + 6) / 7 }

// choose returns the cheapest plan: the predictor with the least residuals in
// Rice code at its best parameter, unless runs, varints or XORs are shorter.
func choose[T integer](v []T, line plan) plan {
	p := plan{codec: codecDelta, base: int64(v[0]), start: 1}
	s := measure(v, line)
	if s.changes == 0 {
		p.codec = codecConst
		return p
	}
	best := s.delta
	if s.delta2 < best {
		p.codec, best = codecDelta2, s.delta2
	}
	if s.line < best {
		p, best = line, s.line
	}
	cost := riceParameter(v, &p, best)
	times := line.start == 1 // their codecs know nothing of the first row
	if !times && cost > trendDearer*len(v) {
		t := plan{codec: codecTrend, base: int64(v[0]), start: 1}
		if c := riceParameter(v, &t, best); c < cost && t.k > 0 {
			p, cost = t, c
		}
	}
	if c := 8 * s.runsBytes; c < cost {
		p, cost = plan{codec: codecRuns, base: int64(v[0])}, c
	}
	if c := 8 * s.varintSize; c < cost {
		p, cost = plan{codec: codecVarint, base: int64(v[0])}, c
	}
	if !times && cost > xorDearer*len(v) && xorCost(v) < cost {
		p = plan{codec: codecXOR, base: int64(v[0])}
	}
	return p
}

// riceParameter sets p.k and returns the size in bits. The best k is next to
// the logarithm of the mean residual.
func riceParameter[T integer](v []T, p *plan, sum uint64) int {
	if sum == 0 {
		p.k = riceExact
		return 0
	}
	n := uint64(len(v) - p.start)
	k0 := uint(max(bits.Len64(sum/n), 2) - 2)
	k0 = min(k0, riceMaxK-2)
	var cost [3]int
	var u [chunk]uint64
	for row := p.start; row < len(v); {
		got := residuals(&u, v, row, p)
		row += got
		addCosts(&cost, u[:got], k0)
	}
	least := 0
	for i := range cost {
		if cost[i] < cost[least] {
			least = i
		}
	}
	p.k = k0 + uint(least)
	return cost[least]
}

// addCosts adds the bits that the residuals take with the parameters k0,
// k0 + 1 and k0 + 2. Escapes are rare, so it first counts as if there were none.
func addCosts(cost *[3]int, u []uint64, k0 uint) {
	var q [3]uint64
	var all uint64
	for _, x := range u {
		x >>= k0
		all |= x
		q[0] += x
		q[1] += x >> 1
		q[2] += x >> 2
	}
	if all < escapeOnes {
		for i := range cost {
			cost[i] += int(q[i]) + len(u)*(1+int(k0)+i)
		}
		return
	}
	for _, x := range u {
		for i := range cost {
			if q := x >> (k0 + uint(i)); q < escapeOnes {
				cost[i] += int(q) + 1 + int(k0) + i
			} else {
				cost[i] += escapeBits
			}
		}
	}
}

// chunk is how many residuals are worked on at once, on the stack.
const chunk = 128

// residuals fills u with the residuals of the rows from row on, and returns
// how many. It is called for all rows in their order, from p.start on.
func residuals[T integer](u *[chunk]uint64, v []T, row int, p *plan) int {
	v = v[:min(len(v), row+chunk)]
	rest := v[row:]
	switch p.codec {
	case codecLine:
		want := p.base + int64(row)*p.step
		for i, x := range rest {
			u[i] = zigzag(int64(x) - want)
			want += p.step
		}
	case codecDelta:
		x := int64(v[row-1])
		for i, next := range rest {
			u[i] = zigzag(int64(next) - x)
			x = int64(next)
		}
	case codecDelta2:
		x, before := int64(v[row-1]), int64(0)
		if row > 1 {
			before = x - int64(v[row-2])
		}
		for i, next := range rest {
			d := int64(next) - x
			u[i] = zigzag(d - before)
			x, before = int64(next), d
		}
	case codecTrend:
		if row == p.start {
			p.trend = newTrend(p.base)
		}
		t := p.trend
		for i, x := range rest {
			u[i] = zigzag(int64(x) - t.next())
			t.learn(int64(x))
		}
		p.trend = t
	}
	return len(rest)
}

// appendPlanned writes v as p says; the base is left out where the reader
// knows it, in the time column.
func appendPlanned[T integer](dst []byte, v []T, p plan, withBase bool) []byte {
	head := p.codec << paramBits
	switch p.codec {
	case codecConst:
		if withBase && p.base != 0 {
			head |= constBase
		} else {
			withBase = false
		}
	case codecDelta, codecDelta2, codecLine:
		head |= byte(p.k)
	case codecTrend:
		head = codecXOR<<paramBits | byte(p.k)
	}
	dst = append(dst, head)
	if withBase {
		dst = binary.AppendVarint(dst, p.base)
	}
	switch p.codec {
	case codecDelta, codecDelta2, codecLine, codecTrend:
		return appendRice(dst, v, &p)
	case codecRuns:
		return appendRuns(dst, v)
	case codecVarint:
		for i := 1; i < len(v); i++ {
			dst = binary.AppendVarint(dst, int64(v[i])-int64(v[i-1]))
		}
	case codecXOR:
		return appendXOR(dst, v)
	}
	return dst
}

func appendRuns[T integer](dst []byte, v []T) []byte {
	run := 0
	for i, x := range v {
		if i > 0 && x != v[i-1] {
			dst = binary.AppendUvarint(dst, uint64(run))
			dst = binary.AppendVarint(dst, int64(x)-int64(v[i-1]))
			run = 0
		}
		run++
	}
	return binary.AppendUvarint(dst, uint64(run))
}

// appendRice writes the residuals of v, most significant bit first: q ones, a
// zero and k low bits, where q = residual >> k, or escapeOnes ones and the
// residual in 64 bits.
func appendRice[T integer](dst []byte, v []T, p *plan) []byte {
	if p.k == riceExact {
		return dst
	}
	w := bitWriter{b: dst}
	low := uint64(1)<<p.k - 1
	var u [chunk]uint64
	for row := p.start; row < len(v); {
		got := residuals(&u, v, row, p)
		row += got
		for _, x := range u[:got] {
			q := uint(min(x>>p.k, escapeOnes))
			switch ones := uint64(1)<<q - 1; {
			case q == escapeOnes:
				w.put(ones, escapeOnes)
				w.put(x>>32, 32)
				w.put(x&0xffffffff, 32)
			case q+1+p.k <= 32:
				w.put(ones<<(p.k+1)|x&low, q+1+p.k)
			default:
				w.put(ones<<1, q+1)
				w.put(x&low, p.k)
			}
		}
	}
	return w.finish()
}

// bitWriter appends bits to b, the first one in a byte's highest place.
type bitWriter struct {
	b   []byte
	acc uint64 // the last n bits put
	n   uint   // under 32
}

// put writes the low n bits of v, at most 32; the others must be zero.
func (w *bitWriter) put(v uint64, n uint) {
	w.acc = w.acc<<n | v
	w.n += n
	if w.n >= 32 {
		w.n -= 32
		w.b = binary.BigEndian.AppendUint32(w.b, uint32(w.acc>>w.n))
	}
}

// finish fills the last byte with zeros.
func (w *bitWriter) finish() []byte {
	for ; w.n >= 8; w.n -= 8 {
		w.b = append(w.b, byte(w.acc>>(w.n-8)))
	}
	if w.n > 0 {
		w.b = append(w.b, byte(w.acc<<(8-w.n)))
	}
	return w.b
}
