package twin

import (
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// InputKind tells inputs apart.
type InputKind uint8

// The inputs of Step.
const (
	// Readings brings a block of rows: Batch.
	Readings InputKind = iota + 1
	// Bound says that Gateway names the device as its own.
	Bound
	// Tick asks whether the device has fallen silent.
	Tick
	// Activated says that a new owner begins: the time before it does not
	// count as silence.
	Activated
)

// Input is one message to a twin.
type Input struct {
	Kind    InputKind
	Gateway string
	Batch   *Batch
}

// Batch is one decoded block of a frame. Step keeps nothing of it.
type Batch struct {
	Profile     string
	Columns     []wire.Column
	Rows        *wire.Rows
	Tick        uint64 // nanoseconds
	Grid        uint64 // ticks; 0 if unknown
	Order       Order  // Order.Tick is not used: each row has its own
	Run         id.Run
	UTC0        int64 // Unix microseconds at the boot's zero
	Uncertainty uint64
	Source      wire.ClockSource
	// Event: the gateway tells of the device. It is no sign of the device's own
	// life, and not by its profile.
	Event bool
}

// Output is what a step did.
type Output struct {
	Bind     uint64 // after Bound: the rank that the gateway now holds
	Readings int    // values looked at
	Suspect  int    // points that took a clock-suspect reading
	Refused  int    // points beyond MaxPoints
	Silenced bool   // the device became silent
	Changed  bool   // what the twin reports, or its liveness, is not what it was
}

// Step applies one input. now is the site's time in Unix microseconds, which
// never falls.
func (s *State) Step(now int64, in Input) Output {
	switch in.Kind {
	case Readings:
		return s.readings(now, in.Batch)
	case Bound:
		changed := s.Gateway != in.Gateway
		if changed {
			s.Gateway = in.Gateway
			s.Bind++
		}
		return Output{Bind: s.Bind, Changed: changed}
	case Tick:
		if due := s.Due(); due != 0 && now >= due {
			s.Liveness = Silent
			return Output{Silenced: true, Changed: true}
		}
	case Activated:
		s.Since = now
	}
	return Output{}
}

func (s *State) readings(now int64, b *Batch) Output {
	out := Output{Readings: b.Rows.Len() * len(b.Columns)}
	if !b.Event {
		out.Changed = s.Liveness != Live
		s.Liveness = Live
		s.LastAt = now
		s.Silence = silence(b.Grid, b.Tick)
	}
	for i := range b.Columns {
		p := s.point(b.Columns[i], len(b.Columns))
		if p == nil {
			out.Refused++
			s.Refused++
			continue
		}
		if !p.take(now, b, i, &out) {
			continue
		}
		if out.Changed = true; !b.Event {
			s.Profile = b.Profile
		}
	}
	return out
}

// take reports the newest row of column i, if it is newer than what is held,
// and whether it was. Among rows of one tick the later one is newer.
func (p *Point) take(now int64, b *Batch, i int, out *Output) (newer bool) {
	value, any := -1, -1
	for row, t := range b.Rows.T {
		if any < 0 || t >= b.Rows.T[any] {
			any = row
		}
		q := wire.QualityOf(b.Rows.Q[row], i)
		if (q == wire.Good || q == wire.OutOfRange) && (value < 0 || t >= b.Rows.T[value]) {
			value = row
		}
	}
	if any < 0 {
		return false
	}
	if at := b.stamp(now, any, i); p.NowAt.isZero() || at.Order.Compare(p.NowAt.Order) > 0 {
		p.Now, p.NowAt, newer = at.Quality, at, true
	}
	if value < 0 {
		return newer
	}
	if at := b.stamp(now, value, i); !p.Held || at.Order.Compare(p.At.Order) > 0 {
		c := &b.Columns[i]
		p.Column = Column{Point: c.Point, Unit: c.Unit, Kind: c.Kind, Mantissa: c.Mantissa, Exponent: c.Exponent}
		p.Value, p.Text, p.Held, p.At, newer = b.Rows.V[i][value], "", true, at, true
		if c.Kind == wire.KindText {
			p.Value, p.Text = 0, b.Rows.Texts[i][p.Value]
		}
		if at.Suspect {
			out.Suspect++
		}
	}
	return newer
}

func (s Stamp) isZero() bool { return s.Order.Seq == 0 }

// Sampled returns when a row was sampled by the frame's clock, in Unix
// microseconds. It may lie ahead of any arrival: clocks err.
func (b *Batch) Sampled(row int) int64 { return b.UTC0 + b.Rows.T[row]*int64(b.Tick)/1000 }

func (b *Batch) stamp(now int64, row, column int) Stamp {
	at := Stamp{
		Order:       b.Order,
		Run:         b.Run,
		Quality:     wire.QualityOf(b.Rows.Q[row], column),
		Sampled:     b.Sampled(row),
		Received:    now,
		Source:      b.Source,
		Uncertainty: b.Uncertainty,
	}
	at.Order.Tick = b.Rows.T[row] * int64(b.Tick)
	if at.Sampled > now+FutureTolerance.Microseconds() {
		at.Sampled, at.Suspect = now, true
	}
	return at
}

// point finds or adds a point, of a series of so many columns; nil when the twin
// is full.
func (s *State) point(c wire.Column, columns int) *Point {
	i, ok := slices.BinarySearchFunc(s.Points, c.Point, func(p Point, name id.Point) int {
		return strings.Compare(string(p.Column.Point), string(name))
	})
	if ok {
		return &s.Points[i]
	}
	if len(s.Points) >= MaxPoints {
		return nil
	}
	col := Column{Point: c.Point, Unit: c.Unit, Kind: c.Kind, Mantissa: c.Mantissa, Exponent: c.Exponent}
	if n := len(s.Points); n == cap(s.Points) { // a twin stays: no room for points that do not come
		s.Points = append(make([]Point, 0, min(n+columns, MaxPoints)), s.Points...)
	}
	s.Points = slices.Insert(s.Points, i, Point{Column: col})
	return &s.Points[i]
}

// silence is three times the grid, at least MinSilence, in microseconds.
func silence(grid, tick uint64) int64 {
	most := uint64(maxSilence / silentGrids)
	if tick == 0 || grid > most/tick {
		return maxSilence.Microseconds()
	}
	return max(MinSilence, silentGrids*time.Duration(grid*tick)).Microseconds()
}
