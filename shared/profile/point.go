package profile

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// HealthPoint is the point that says how a device is: its gateway adds it to
// those of the profile, which therefore have other names.
const HealthPoint id.Point = "health"

// Point is one quantity that a device measures. Its readings are integers in
// units of the resolution, Mantissa * 10^Exponent of Unit.
type Point struct {
	Name     id.Point
	Unit     string // a UCUM code
	Kind     wire.ColumnKind
	Mantissa uint64
	Exponent int
	Min, Max float64 // in Unit: what the device can measure
	Deadband float64 // in Unit: a smaller change need not be reported; 0 reports all
}

const (
	// maxQuantum bounds a quantised value: up to here a float64 holds every
	// integer, so that none is rounded to its neighbour.
	maxQuantum = 1 << 53

	// maxMantissa and maxExponent bound a resolution so that its mantissa and
	// its power of ten are exact in a float64.
	maxMantissa = 1e15
	maxExponent = 22
)

// Quantise rounds a value in Unit to the resolution, halves away from zero.
// Bad comes with 0: the value is no number, or its integer is beyond 2^53.
func (p *Point) Quantise(x float64) (int64, wire.Quality) {
	if p.Kind == wire.KindBoolean && x == x && x != 0 {
		x = 1
	}
	n := math.Round(p.quanta(x))
	if !(math.Abs(n) <= maxQuantum) { // NaN is not
		return 0, wire.Bad
	}
	if x < p.Min || x > p.Max {
		return int64(n), wire.OutOfRange
	}
	return int64(n), wire.Good
}

// DeadbandQuanta returns a deadband, given in Unit, in units of the
// resolution: a change of at least that many is reported. It is 0 for 0 and at
// least 1 for anything more.
func (p *Point) DeadbandQuanta(x float64) int64 {
	n := math.Ceil(p.quanta(x) - 1e-9) // 0.3 of 0.1 is 3, not 4
	if !(n < maxQuantum) {
		return maxQuantum
	}
	return max(int64(n), 0)
}

func (p *Point) quanta(x float64) float64 {
	if p.Exponent < 0 {
		return x * math.Pow10(-p.Exponent) / float64(p.Mantissa)
	}
	return x / (float64(p.Mantissa) * math.Pow10(p.Exponent))
}

// decimal is an exact positive decimal number, without trailing zeros in its
// mantissa, so that equal resolutions have equal schemas.
type decimal struct {
	mantissa uint64
	exponent int
}

// UnmarshalText reads "0.0625", "10" or "1e-3".
func (d *decimal) UnmarshalText(b []byte) error {
	s := string(b)
	wish := fmt.Errorf("want a decimal number above 0, of at most 15 digits, such as 0.0625, got %q", s)
	digits, e, scientific := strings.Cut(strings.ToLower(s), "e")
	exponent := 0
	if scientific {
		var err error
		if exponent, err = strconv.Atoi(e); err != nil || exponent < -maxExponent || exponent > maxExponent {
			return wish
		}
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	exponent -= len(fraction)
	n, err := strconv.ParseUint(whole+fraction, 10, 64)
	if err != nil || n == 0 {
		return wish
	}
	for n%10 == 0 {
		n /= 10
		exponent++
	}
	if n > maxMantissa || exponent < -maxExponent || exponent > maxExponent {
		return wish
	}
	d.mantissa, d.exponent = n, exponent
	return nil
}
