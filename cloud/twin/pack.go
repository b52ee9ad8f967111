package twin

import (
	"unique"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// point is a Point as a twin holds it.
type point struct {
	column  unique.Handle[Column] // devices by the thousand have the same ones
	value   int64
	text    string
	at      place // of the value's stamp; 0 while none is held
	nowAt   place // of the newest reading's
	quality wire.Quality
	now     wire.Quality
}

// place is where in State.stamps a stamp is, from 1; 0 for none.
type place uint16

// stamp is a Stamp but for the quality, which every point has of its own: all
// points of a row share one.
type stamp struct {
	order       Order
	run         id.Run
	sampled     int64
	received    int64
	uncertainty uint64
	source      wire.ClockSource
	suspect     bool
}

// maxStamps is what points can refer to, each with two, and the next one.
const maxStamps = 2*MaxPoints + 1

// newer reports whether a reading comes after the one with the stamp at a place.
func (s *State) newer(o Order, at place) bool {
	return at == 0 || o.Compare(s.stamps[at-1].order) > 0
}

// keep returns the place of a stamp, which the caller's point refers to at once:
// what no point refers to is overwritten by the next.
func (s *State) keep(at stamp) place {
	var used [maxStamps/64 + 1]uint64
	for i := range s.points {
		for _, p := range [...]place{s.points[i].at, s.points[i].nowAt} {
			used[p/64] |= 1 << (p % 64)
		}
	}
	free := place(len(s.stamps) + 1)
	for i := range s.stamps {
		p := place(i + 1)
		if s.stamps[i] == at {
			return p
		}
		if used[p/64]&(1<<(p%64)) == 0 {
			free = min(free, p)
		}
	}
	if n := len(s.stamps); int(free) > n { // as with points: no room for more
		s.stamps = append(make([]stamp, 0, n+1), s.stamps...)[:n+1]
	}
	s.stamps[free-1] = at
	return free
}

// stampOf is the stamp at a place as others see it.
func (s *State) stampOf(p place, q wire.Quality) Stamp {
	if p == 0 {
		return Stamp{}
	}
	at := &s.stamps[p-1]
	return Stamp{
		Order: at.order, Run: at.run, Quality: q, Sampled: at.sampled, Received: at.received,
		Source: at.source, Uncertainty: at.uncertainty, Suspect: at.suspect,
	}
}

func (s Stamp) pack() stamp {
	return stamp{
		order: s.Order, run: s.Run, sampled: s.Sampled, received: s.Received,
		uncertainty: s.Uncertainty, source: s.Source, suspect: s.Suspect,
	}
}

func columnOf(c *wire.Column) Column {
	return Column{Point: c.Point, Unit: c.Unit, Kind: c.Kind, Mantissa: c.Mantissa, Exponent: c.Exponent}
}
