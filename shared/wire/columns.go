package wire

// The codecs of a column, in the upper three bits of its first byte; the lower
// five are the parameter. PROTOCOL.md, Columns, has the exact layout.
const (
	codecConst  = 0 // every row alike
	codecDelta  = 1 // Rice, difference to the row before
	codecDelta2 = 2 // Rice, difference of differences
	codecLine   = 3 // Rice, residual from base + row * step
	codecRuns   = 4 // run lengths and the steps between them
	codecVarint = 5 // differences as varints: for tails too long for Rice
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
// beyond dst.
func AppendColumns(dst []byte, r *Rows, grid uint64) []byte {
	dst = appendTimes(dst, r.T, grid)
	dst = appendValues(dst, r.Q)
	for _, v := range r.V {
		dst = appendValues(dst, v)
	}
	return dst
}

// ParseColumns reads a block of n rows, replacing what into holds: first is
// the tick of row 0 (FirstTick), columns and grid are the schema's. It
// consumes all of data or fails with an *Error, and does not allocate when
// into has the capacity. After an error into holds nothing of use.
//
// Arithmetic is modulo 2^64: no input overflows.
func ParseColumns(data []byte, n, columns int, grid uint64, first int64, into *Rows) error {
	c := cursor{b: data}
	switch {
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
	into.resize(n, columns)
	parseTimes(&c, into.T, first, grid)
	parseValues(&c, "quality column", into.Q)
	for i := range into.V {
		parseValues(&c, "value column", into.V[i])
	}
	return c.end()
}

// integer is what a column holds. Differences are taken in int64, modulo 2^64.
type integer interface{ ~int64 | ~uint64 }

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
