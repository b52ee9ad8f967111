package pipeline

import "time"

// MaxPipelines bounds the pipelines of a site: each may read every row of a
// frame again, and a frame must stay a matter of milliseconds.
const MaxPipelines = 64

// Limits of documents: one pipeline must not slow down its site or fill its
// state. The ranges of single values are in document.go: a window of 1 s to a
// day, as a shorter one holds a reading or two, and a longer one would be kept
// open beyond what a late reading may be.
const (
	// maxStages bounds the chain: the longest sensible ones, with two alarms
	// behind a window, have seven.
	maxStages = 16

	// maxPoints bounds the points that a row has: the richest device type so
	// far has three.
	maxPoints = 16

	// maxSlots bounds the values of a row on its way: points and derived ones.
	maxSlots = maxPoints + maxStages

	// maxSources bounds the devices and the rooms that a document lists; more
	// are better named by a room.
	maxSources = 1024

	// maxTitle and maxText bound what people write, in bytes: a line.
	maxTitle = 120
	maxText  = 200

	// maxName bounds a derived name in bytes: the same as a point's (shared/id).
	maxName = 63

	// maxMagnitude bounds a value: beyond it the sum of a window, of less than
	// 2^53 rows, could leave the range of a float64.
	maxMagnitude = 1e290
)

// Limits of time.
const (
	// lateness is how old a row may be: a week's outage and a day to repair it.
	// Older rows are dropped and counted.
	lateness = 8 * 24 * time.Hour

	// grace is how long after its end a window waits for its rows before Tick
	// closes it: a gateway that commits before it sends does so after 1 s, the
	// coalescer and a retransmission take another, and clocks that differ more
	// than the rest are rare. What comes later is merged as a late part.
	grace = 5 * time.Second

	// futureTolerance is how far a row may lie ahead of now before its clock
	// counts as wrong, as for a twin's reading.
	futureTolerance = 5 * time.Minute
)
