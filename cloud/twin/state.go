package twin

import (
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const (
	// MaxPoints bounds the points that a twin remembers over all its series:
	// eight full schemas. Points beyond it are refused and counted.
	MaxPoints = 8 * wire.MaxColumns

	// MinSilence is the shortest time without a reading that makes a device
	// silent, whatever its grid: shorter than the linger, a retransmission and
	// the coalescer together would raise false alarms.
	MinSilence = 10 * time.Second

	// silentGrids is how many expected readings must be missing.
	silentGrids = 3

	// maxSilence bounds what a grid may ask for: a device that speaks less than
	// once in ten days is silent in every sense that helps a person.
	maxSilence = 30 * 24 * time.Hour

	// FutureTolerance is how far a sample's UTC may lie after its arrival
	// before its clock counts as wrong.
	FutureTolerance = 5 * time.Minute
)

// Liveness says whether a device speaks.
type Liveness uint8

// A twin begins Unknown: bound, but no reading has come yet.
const (
	Unknown Liveness = 0
	Live    Liveness = 1
	Silent  Liveness = 2
)

func (l Liveness) String() string {
	switch l {
	case Live:
		return "live"
	case Silent:
		return "silent"
	default:
		return "unknown"
	}
}

// State is one twin. The zero value knows nothing. Times are Unix
// microseconds. A shard has a million of them: points share their stamps, and
// all twins their columns. What is kept of it is its Snapshot.
type State struct {
	Gateway  string // the gateway's name within the site; "" while unbound
	Bind     uint64 // rank of the present binding, from 1
	Liveness Liveness
	LastAt   int64 // when the latest reading arrived
	Since    int64 // from when on silence counts: the shard's last activation
	Silence  int64 // microseconds without a reading after which it is silent
	Refused  uint64
	Profile  string // that the newest readings came by

	points []point // sorted by name
	stamps []stamp // that points refer to, and some that are free
}

// Point is what a twin knows about one point. The value and the quality have
// an order each, since a failed read tells about the sensor and not about
// what it measures.
type Point struct {
	_      struct{} `cbor:",toarray"`
	Column Column   // of the series that the value came by
	Value  int64    // 0 of a text
	Text   string   // "" of anything else
	Held   bool     // a value was reported at least once
	At     Stamp
	Now    wire.Quality // of the newest reading, whether it had a value or not
	NowAt  Stamp
}

// Column is the schema column of a point.
type Column struct {
	_        struct{} `cbor:",toarray"`
	Point    id.Point
	Unit     string
	Kind     wire.ColumnKind
	Mantissa uint64
	Exponent int
}

// Stamp says when and in which order a reading was taken. The wire has no time
// of sending, so that what is kept apart is sampled and received.
type Stamp struct {
	_           struct{} `cbor:",toarray"`
	Order       Order
	Run         id.Run
	Quality     wire.Quality
	Sampled     int64 // clamped to Received if Suspect
	Received    int64 // journal time
	Source      wire.ClockSource
	Uncertainty uint64 // microseconds
	Suspect     bool   // the clock said more than FutureTolerance after Received
}

// Float returns the value in the column's unit, 0 of a text.
func (p *Point) Float() float64 {
	c := wire.Column{Kind: p.Column.Kind, Mantissa: p.Column.Mantissa, Exponent: p.Column.Exponent}
	return c.Float(p.Value)
}

// Len is how many points the twin has.
func (s *State) Len() int { return len(s.points) }

// Point returns what is known of one of Len points, which are in the order of
// their names.
func (s *State) Point(i int) Point {
	p := &s.points[i]
	return Point{
		Column: p.column.Value(), Value: p.value, Text: p.text, Held: p.at != 0,
		At: s.stampOf(p.at, p.quality), Now: p.now, NowAt: s.stampOf(p.nowAt, p.now),
	}
}

// Due returns when a tick would make the twin silent, or 0 if none would.
func (s *State) Due() int64 {
	if s.Liveness != Live {
		return 0
	}
	return max(s.LastAt, s.Since) + s.Silence
}
