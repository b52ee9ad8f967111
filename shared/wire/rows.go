package wire

import (
	"fmt"
	"math/bits"
	"slices"
)

// Rows are the readings of one series as columns: what a sampler fills and
// AppendColumns writes, what ParseColumns fills and a reader looks at. The
// zero value is empty and ready.
type Rows struct {
	T []int64   // ticks since boot
	Q []uint64  // quality, two bits a column
	V [][]int64 // [column][row]
}

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.T) }

// Reset empties r and keeps its memory.
func (r *Rows) Reset() {
	r.T, r.Q = r.T[:0], r.Q[:0]
	for i := range r.V {
		r.V[i] = r.V[i][:0]
	}
}

// Append adds a row, copying v. The first row after Reset sets the number of
// columns.
func (r *Rows) Append(t int64, q uint64, v []int64) {
	if len(r.T) == 0 {
		r.columns(len(v))
	}
	if len(v) != len(r.V) {
		panic(fmt.Sprintf("BUG: wire: row of %d columns among %d", len(v), len(r.V)))
	}
	r.T = append(r.T, t)
	r.Q = append(r.Q, q)
	for i, x := range v {
		r.V[i] = append(r.V[i], x)
	}
}

// columns makes r hold n empty columns, keeping the memory of more.
func (r *Rows) columns(n int) {
	r.V = slices.Grow(r.V[:0], n)[:n]
	for i := range r.V {
		r.V[i] = r.V[i][:0]
	}
}

// resize makes r hold n rows of as many columns, their values undefined.
func (r *Rows) resize(n, columns int) {
	r.columns(columns)
	r.T = slices.Grow(r.T[:0], n)[:n]
	r.Q = slices.Grow(r.Q[:0], n)[:n]
	for i := range r.V {
		r.V[i] = slices.Grow(r.V[i], n)[:n]
	}
}

// FirstTick returns the tick of a block's first row from its frame's t0 in
// milliseconds and its dt0: floor(t0 * 1,000,000 / tick) + dt0, modulo 2^64. A
// tick of 0, which ParseBody refuses, counts as 1.
func FirstTick(t0, dt0 int64, tick uint64) int64 { return baseTick(t0, tick) + dt0 }

// DT0 returns what FirstTick needs to give first.
func DT0(first, t0 int64, tick uint64) int64 { return first - baseTick(t0, tick) }

func baseTick(t0 int64, tick uint64) int64 {
	const nanos = 1_000_000
	tick = max(tick, 1)
	size := uint64(t0)
	if t0 < 0 {
		size = -size
	}
	hi, lo := bits.Mul64(size, nanos)
	q, rest := bits.Div64(hi%tick, lo, tick)
	if t0 < 0 {
		if rest > 0 {
			q++
		}
		return -int64(q)
	}
	return int64(q)
}
