package wire

import (
	"math"

	"github.com/atrium-iot/atrium/shared/id"
)

// Body is the immutable description of a series' columns. Its encoding is a
// schema message's Body and is named by HashBody.
type Body struct {
	Profile string // the device type's id
	Version uint64 // of the profile
	Tick    uint64 // the unit of time, in nanoseconds, from 1
	Columns []Column
}

// Column describes a point's integers: v means v * Mantissa * 10^Exponent.
type Column struct {
	Point    id.Point
	Unit     string // a UCUM code, at most MaxUnit bytes
	Kind     ColumnKind
	Mantissa uint64 // from 1
	Exponent int    // -MaxExponent to MaxExponent
}

// ColumnKind is how a column's numbers are meant.
type ColumnKind uint8

// A counter only grows, but for resets and wrap-around. A float is for a point
// without a resolution: its numbers are the bits of finite float64s. A text's
// numbers are indexes into Rows.Texts. Both have the scale 1 * 10^0.
const (
	KindNumber  ColumnKind = 0
	KindBoolean ColumnKind = 1
	KindCounter ColumnKind = 2
	KindFloat   ColumnKind = 3
	KindText    ColumnKind = 4
)

func (k ColumnKind) String() string {
	return name(k, "number", KindNumber, "boolean", KindBoolean, "counter", KindCounter,
		"float", KindFloat, "text", KindText)
}

const (
	bodyItems   = 5
	columnItems = 5
)

// Float returns the value of v in the column's unit, as near as a float64 is
// for a scale of at most 22 decimal digits. Of a text it means nothing.
func (c Column) Float(v int64) float64 {
	if c.Kind == KindFloat {
		return math.Float64frombits(uint64(v))
	}
	x := float64(v) * float64(c.Mantissa)
	if c.Exponent < 0 {
		return x / math.Pow10(-c.Exponent) // 10^n is exact to n = 22, 10^-n never
	}
	return x * math.Pow10(c.Exponent)
}

// Append writes the body.
func (b *Body) Append(dst []byte) []byte {
	dst = appendUint(appendArray(dst, bodyItems), Version)
	dst = appendText(dst, b.Profile)
	dst = appendUint(dst, b.Version)
	dst = appendUint(dst, b.Tick)
	dst = appendArray(dst, len(b.Columns))
	for i := range b.Columns {
		c := &b.Columns[i]
		dst = appendArray(dst, columnItems)
		dst = appendText(dst, string(c.Point))
		dst = appendText(dst, c.Unit)
		dst = appendUint(dst, uint64(c.Kind))
		dst = appendUint(dst, c.Mantissa)
		dst = appendInt(dst, int64(c.Exponent))
	}
	return dst
}

// ParseBody reads what Append wrote. Points are unique.
func ParseBody(data []byte) (Body, error) {
	var b Body
	c := cursor{b: data}
	c.tuple("body", bodyItems)
	if v := c.uint("version"); c.err == nil && v != Version {
		c.err = &VersionError{Got: v}
	}
	b.Profile = c.text("profile", MaxText)
	b.Version = c.uint("version")
	b.Tick = c.uintIn("tick", 1, math.MaxInt64)
	n := c.array("columns", 1, MaxColumns)
	b.Columns = make([]Column, 0, n)
	for range n {
		col := c.column()
		for i := range b.Columns {
			if c.err == nil && b.Columns[i].Point == col.Point {
				c.fail(RejectMalformed, "point", "%q occurs twice", col.Point)
			}
		}
		b.Columns = append(b.Columns, col)
	}
	if err := c.end(); err != nil {
		return Body{}, err
	}
	return b, nil
}

func (c *cursor) column() (col Column) {
	c.tuple("column", columnItems)
	col.Point = c.point("point")
	col.Unit = c.text("unit", MaxUnit)
	col.Kind = ColumnKind(c.uintIn("kind", uint64(KindNumber), uint64(KindText)))
	col.Mantissa = c.uintIn("mantissa", 1, maxUint64)
	exp := c.int("exponent")
	if c.err == nil && (exp < -MaxExponent || exp > MaxExponent) {
		c.fail(RejectMalformed, "exponent", "is %d, want %d to %d", exp, -MaxExponent, MaxExponent)
	}
	if c.err == nil && col.Kind >= KindFloat && (col.Mantissa != 1 || exp != 0) {
		c.fail(RejectMalformed, "mantissa", "is %d * 10^%d for a %s, want 1 * 10^0", col.Mantissa, exp, col.Kind)
	}
	if c.err != nil {
		return Column{}
	}
	col.Exponent = int(exp)
	return col
}
