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
	V [][]int64 // [column][row]; of a text column, indexes into Texts

	// Texts has the strings of each text column, all different, and nil for any
	// other column. It is empty where no column holds texts.
	Texts [][]string
}

// Len returns the number of rows.
func (r *Rows) Len() int { return len(r.T) }

// Reset empties r and keeps its memory.
func (r *Rows) Reset() {
	r.T, r.Q = r.T[:0], r.Q[:0]
	for i := range r.V {
		r.V[i] = r.V[i][:0]
	}
	for i := range r.Texts {
		r.Texts[i] = r.Texts[i][:0]
	}
}

// Text returns the number that stands for s in a text column, for Append. It
// fails where the column holds MaxTexts others: the block must end before.
// s has at most MaxString bytes of UTF-8.
func (r *Rows) Text(column int, s string) (v int64, ok bool) {
	if missing := column + 1 - len(r.Texts); missing > 0 {
		r.Texts = append(r.Texts, make([][]string, missing)...)
	}
	texts := r.Texts[column]
	if i := slices.Index(texts, s); i >= 0 {
		return int64(i), true
	}
	if len(texts) == MaxTexts {
		return 0, false
	}
	r.Texts[column] = append(texts, s)
	return int64(len(texts)), true
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

// resize makes r hold n rows of that shape, their values undefined.
func (r *Rows) resize(n int, shape Shape) {
	r.columns(shape.n)
	r.Texts = r.Texts[:0]
	if shape.texts != 0 {
		r.Texts = slices.Grow(r.Texts, shape.n)[:shape.n]
		for i := range r.Texts {
			if !shape.text(i) {
				r.Texts[i] = nil
			}
		}
	}
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
