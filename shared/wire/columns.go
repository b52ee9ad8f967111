package wire

import "math"

// The codecs of a column, in the upper three bits of its first byte; the lower
// five are the parameter. PROTOCOL.md, Columns, has the exact layout.
const (
	codecConst  = 0 // every row alike
	codecDelta  = 1 // Rice, difference to the row before
	codecDelta2 = 2 // Rice, difference of differences
	codecLine   = 3 // Rice, residual from base + row * step
	codecRuns   = 4 // run lengths and the steps between them
	codecVarint = 5 // differences as varints: for tails too long for Rice
	codecXOR    = 6 // the bits in which a value differs from the one before
	codecText   = 7 // a dictionary, then a column of indexes into it

	// codecTrend is written as codecXOR with a parameter, which is never 0: Rice,
	// residual from a level and a slope that follow the values.
	codecTrend = 8
)

const (
	paramBits  = 5
	paramMask  = 1<<paramBits - 1
	constZero  = 0         // codecConst: the value is 0
	constBase  = 1         // codecConst: the value follows
	riceExact  = paramMask // Rice codecs: every residual is 0, no bits follow
	riceMaxK   = paramMask - 1
	escapeOnes = 24 // Rice: so many ones announce a residual as 64 raw bits
	escapeBits = escapeOnes + 64
)

// AppendColumns writes the columns of a block that holds r: times relative to
// r.T[0], quality, then the values. grid is the expected spacing of rows in
// ticks, 0 if unknown. r must hold 1 to MaxRows rows. It does not allocate
// beyond dst, unless there are texts.
func AppendColumns(dst []byte, r *Rows, grid uint64) []byte {
	dst = appendTimes(dst, r.T, grid)
	dst = appendValues(dst, r.Q)
	for i, v := range r.V {
		if i < len(r.Texts) && r.Texts[i] != nil {
			dst = appendTexts(dst, v, r.Texts[i])
			continue
		}
		dst = appendValues(dst, v)
	}
	return dst
}

// Shape is what ParseColumns has to know of a schema's columns: how many there
// are, and which hold floats and texts. The zero value has none.
type Shape struct {
	n             int
	floats, texts uint32 // bit i stands for column i
}

// ShapeOf returns the shape of a body's columns, of which there are at most
// MaxColumns.
func ShapeOf(columns []Column) Shape {
	s := Shape{n: len(columns)}
	for i := range min(len(columns), MaxColumns) {
		switch columns[i].Kind {
		case KindFloat:
			s.floats |= 1 << i
		case KindText:
			s.texts |= 1 << i
		}
	}
	return s
}

// Numbers is the shape of n columns of integers.
func Numbers(n int) Shape { return Shape{n: n} }

// Columns returns how many columns there are.
func (s Shape) Columns() int { return s.n }

func (s Shape) float(column int) bool { return s.floats>>column&1 == 1 }
func (s Shape) text(column int) bool  { return s.texts>>column&1 == 1 }

// ParseColumns reads a block of n rows, replacing what into holds: first is
// the tick of row 0 (FirstTick), shape and grid are the schema's. It consumes
// all of data or fails with an *Error, and does not allocate when into has the
// capacity and no column holds texts. After an error into holds nothing of use.
//
// Arithmetic is modulo 2^64: no input overflows.
func ParseColumns(data []byte, n int, shape Shape, grid uint64, first int64, into *Rows) error {
	c := cursor{b: data}
	switch columns := shape.n; {
	case n < 1 || n > MaxRows:
		c.fail(RejectLimit, "n", "is %d rows, want 1 to %d", n, MaxRows)
	case columns < 1 || columns > MaxColumns:
		c.fail(RejectLimit, "columns", "are %d, want 1 to %d", columns, MaxColumns)
	case len(data) < columns+2: // each has its codec byte: take no memory for what is not there
		c.fail(RejectMalformed, "columns", "%d bytes for %d columns", len(data), columns+2)
	}
	if c.err != nil {
		return c.err
	}
	into.resize(n, shape)
	parseTimes(&c, into.T, first, grid)
	parseValues(&c, "quality column", into.Q)
	for i := range into.V {
		if shape.text(i) {
			into.Texts[i] = parseTexts(&c, into.V[i], into.Texts[i])
			continue
		}
		parseValues(&c, "value column", into.V[i])
		if shape.float(i) {
			checkFinite(&c, into.V[i])
		}
	}
	return c.end()
}

// checkFinite fails for floats that are not numbers: JSON has none, and a
// failed reading says so by its quality.
func checkFinite(c *cursor, v []int64) {
	const exponent = 0x7ff << 52 // all ones in infinities and NaNs only
	for row, x := range v {
		if c.err == nil && x&exponent == exponent {
			c.fail(RejectMalformed, "float column", "is %v at row %d", math.Float64frombits(uint64(x)), row)
		}
	}
}

// integer is what a column holds. Differences are taken in int64, modulo 2^64.
type integer interface{ ~int64 | ~uint64 }

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
