package wire

// trend predicts a value from all those before it: an alpha-beta filter, which
// follows a level and its slope with gains of 1/2 and 1/8. Where a slow swing
// lies under noise, a difference to one neighbour carries the noise of two;
// this carries little more than its own. level and slope are in 1/256.
type trend struct{ level, slope int64 }

const (
	trendScale = 8 // log2 of 256
	trendAlpha = 1 // log2 of 2
	trendBeta  = 3 // log2 of 8

	// trendDearer is the bits a value that make the best of the other plans
	// dear enough to look here: below, there is little noise to gain from.
	trendDearer = 5
)

func newTrend(v int64) trend { return trend{level: v << trendScale} }

// next is the prediction.
func (t *trend) next() int64 {
	return (t.level + t.slope + 1<<(trendScale-1)) >> trendScale
}

// learn takes the value that came.
func (t *trend) learn(v int64) {
	t.level += t.slope
	off := v<<trendScale - t.level
	t.level += off >> trendAlpha
	t.slope += off >> trendBeta
}
