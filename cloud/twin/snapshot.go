package twin

import (
	"fmt"
	"unique"
)

// Snapshot is a State in full, nothing shared: plain data, whose CBOR is kept.
type Snapshot struct {
	_        struct{} `cbor:",toarray"`
	Gateway  string
	Bind     uint64
	Points   []Point
	Liveness Liveness
	LastAt   int64
	Since    int64
	Silence  int64
	Refused  uint64
	Profile  string
}

// Snapshot returns all that the twin knows. It keeps nothing of the twin.
func (s *State) Snapshot() *Snapshot {
	out := &Snapshot{
		Gateway: s.Gateway, Bind: s.Bind, Liveness: s.Liveness, LastAt: s.LastAt, Since: s.Since,
		Silence: s.Silence, Refused: s.Refused, Profile: s.Profile, Points: make([]Point, s.Len()),
	}
	for i := range out.Points {
		out.Points[i] = s.Point(i)
	}
	return out
}

// Check demands what a State relies on: points once each, in the order of their
// names, and not too many.
func (s *Snapshot) Check() error {
	if len(s.Points) > MaxPoints {
		return fmt.Errorf("twin: %d points, want at most %d", len(s.Points), MaxPoints)
	}
	for i := 1; i < len(s.Points); i++ {
		if name := s.Points[i].Column.Point; name <= s.Points[i-1].Column.Point {
			return fmt.Errorf("twin: point %d, %q: want names in order", i, name)
		}
	}
	return nil
}

// Restore returns the twin of a snapshot that passed Check.
func (s *Snapshot) Restore() *State {
	out := &State{
		Gateway: s.Gateway, Bind: s.Bind, Liveness: s.Liveness, LastAt: s.LastAt, Since: s.Since,
		Silence: s.Silence, Refused: s.Refused, Profile: s.Profile, points: make([]point, len(s.Points)),
	}
	for i := range s.Points {
		from, p := &s.Points[i], &out.points[i]
		*p = point{column: unique.Make(from.Column), value: from.Value, text: from.Text, quality: from.At.Quality, now: from.Now}
		if from.Held {
			p.at = out.keep(from.At.pack())
		}
		if from.NowAt != (Stamp{}) {
			p.nowAt = out.keep(from.NowAt.pack())
		}
	}
	return out
}
