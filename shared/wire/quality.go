package wire

// Quality is what is known about one value of a row.
type Quality uint8

// The qualities, two bits a point in a row's quality integer.
const (
	Good       Quality = 0
	OutOfRange Quality = 1 // the value is as decoded, outside the profile's limits
	Bad        Quality = 2 // no value: the read failed; the column repeats the value before
	Uncertain  Quality = 3
)

func (q Quality) String() string {
	return name(q, "good", Good, "out-of-range", OutOfRange, "bad", Bad, "uncertain", Uncertain)
}

// QualityOf returns the quality of a column, 0 to MaxColumns-1, in a row's q.
func QualityOf(q uint64, column int) Quality { return Quality(q >> (2 * column) & 3) }

// WithQuality returns q with a column's quality replaced.
func WithQuality(q uint64, column int, v Quality) uint64 {
	shift := 2 * column
	return q&^(3<<shift) | uint64(v&3)<<shift
}
