package pipeline

// State is a pipeline's memory of one device. The zero value has seen nothing.
// It belongs to one revision of a pipeline, and is kept as long: a device that
// had another one under the same revision would give the keys of its windows
// again. Another revision begins anew. Only Step and Tick change it; its CBOR is
// its snapshot.
type State struct {
	_      struct{} `cbor:",toarray"`
	SeenAt int64    // UTC in microseconds of the newest row that reached the first window or alarm; 0 before
	Value  float64  // that the first window or alarm took of that row
	Window Open
	Alarms []Latch // by alarm stage; nil before the first row
}

// Open is the memory of a window stage. A window that starts before From is
// closed; the one that starts there is open if it has rows.
type Open struct {
	_    struct{} `cbor:",toarray"`
	From int64    // UTC in microseconds
	Open Partial
}

// Row is one sample of a device: a good value of each point, in the order of
// Source.Points.
type Row struct {
	At int64 // UTC in microseconds
	V  []float64
}

// Counts say what became of rows. Each row is counted in Rows and in at most
// one of TooLate, Bad, Filtered and Late.
type Counts struct {
	_        struct{} `cbor:",toarray"`
	Rows     uint64   // given to Step
	TooLate  uint64   // dropped: more than 8 days old
	Suspect  uint64   // taken as of now: more than 5 min ahead of now
	Bad      uint64   // dropped: an expression had no value for it; also windows, on the way behind them
	Filtered uint64   // dropped by a filter; also windows, on the way behind them
	Late     uint64   // merged into a closed window
	Windows  uint64   // closed
	Raised   uint64   // alarms

	// Overtaken rows came after a newer one, so that an alarm did not look at
	// them; counted for each alarm.
	Overtaken uint64
}

// Add adds what another step counted.
func (c *Counts) Add(d Counts) {
	c.Rows += d.Rows
	c.TooLate += d.TooLate
	c.Suspect += d.Suspect
	c.Bad += d.Bad
	c.Filtered += d.Filtered
	c.Late += d.Late
	c.Windows += d.Windows
	c.Raised += d.Raised
	c.Overtaken += d.Overtaken
}

// Output is what one Step or Tick did. Both overwrite it and reuse its slices.
type Output struct {
	Windows []Window
	Alarms  []Transition
	Counts
}
