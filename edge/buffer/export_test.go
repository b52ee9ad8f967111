package buffer

// Seal is for tests that write into a store themselves.
func Seal(key, value []byte) []byte { return seal(key, value) }

// Ballast is a ballast on a file system that says what is free.
func Ballast(file string, free func() (int64, error)) (drop func() (int64, bool, error), lay func() error) {
	b := &ballast{file, free}
	return b.drop, b.lay
}

// What the ballast takes and needs.
const (
	BallastSize = ballastSize
	BallastRoom = ballastRoom
)

// PressureOf is the level for parts of a hundred, after before.
func PressureOf(limit, memory, reserve int, starved, spent bool, before Pressure) Pressure {
	l := load{limit, memory, reserve, starved, spent}
	return l.pressure(before)
}

// MaxGone is maxGone.
const MaxGone = maxGone
