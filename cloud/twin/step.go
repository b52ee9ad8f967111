package twin

import (
	"slices"
	"strings"
	"time"
	"unique"

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
		if !s.take(p, now, b, i, &out) {
			continue
		}
		if out.Changed = true; !b.Event {
			s.Profile = b.Profile
		}
	}
	return out
}

// take reports the newest row of column i, if it is newer than what the point
// holds, and whether it was. Among rows of one tick the later one is newer.
func (s *State) take(p *point, now int64, b *Batch, i int, out *Output) (newer bool) {
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
	if s.newer(b.order(any), p.nowAt) {
		p.now, p.nowAt, newer = wire.QualityOf(b.Rows.Q[any], i), s.keep(b.stamp(now, any)), true
	}
	if value < 0 || !s.newer(b.order(value), p.at) {
		return newer
	}
	c := columnOf(&b.Columns[i])
	if p.column.Value() != c {
		p.column = unique.Make(c)
	}
	at := b.stamp(now, value)
	p.value, p.text = b.Rows.V[i][value], ""
	if c.Kind == wire.KindText {
		p.value, p.text = 0, b.Rows.Texts[i][p.value]
	}
	p.quality, p.at = wire.QualityOf(b.Rows.Q[value], i), s.keep(at)
	if at.suspect {
		out.Suspect++
	}
	return true
}

// Sampled returns when a row was sampled by the frame's clock, in Unix
// microseconds. It may lie ahead of any arrival: clocks err.
func (b *Batch) Sampled(row int) int64 { return b.UTC0 + b.Rows.T[row]*int64(b.Tick)/1000 }

func (b *Batch) order(row int) Order {
	o := b.Order
	o.Tick = b.Rows.T[row] * int64(b.Tick)
	return o
}

func (b *Batch) stamp(now int64, row int) stamp {
	at := stamp{
		order: b.order(row), run: b.Run, sampled: b.Sampled(row), received: now,
		uncertainty: b.Uncertainty, source: b.Source,
	}
	if at.sampled > now+FutureTolerance.Microseconds() {
		at.sampled, at.suspect = now, true
	}
	return at
}

// point finds or adds a point, of a series of so many columns; nil when the twin
// is full.
func (s *State) point(c wire.Column, columns int) *point {
	i, ok := slices.BinarySearchFunc(s.points, c.Point, func(p point, name id.Point) int {
		return strings.Compare(string(p.column.Value().Point), string(name))
	})
	if ok {
		return &s.points[i]
	}
	if len(s.points) >= MaxPoints {
		return nil
	}
	if n := len(s.points); n == cap(s.points) { // a twin stays: no room for points that do not come
		s.points = append(make([]point, 0, min(n+columns, MaxPoints)), s.points...)
	}
	s.points = slices.Insert(s.points, i, point{column: unique.Make(columnOf(&c))})
	return &s.points[i]
}

// silence is three times the grid, at least MinSilence, in microseconds.
func silence(grid, tick uint64) int64 {
	most := uint64(maxSilence / silentGrids)
	if tick == 0 || grid > most/tick {
		return maxSilence.Microseconds()
	}
	return max(MinSilence, silentGrids*time.Duration(grid*tick)).Microseconds()
}
