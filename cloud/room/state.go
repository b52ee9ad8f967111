package room

import (
	"cmp"
	"slices"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// State is what one room knows of its members. The zero value has none.
type State struct {
	names   []string // sorted: aggregates are computed in this order
	members map[string]member
}

// member is what a member said last.
type member struct {
	live   bool
	points []Point
}

// Point is what a member says about one point.
type Point struct {
	Point   id.Point
	Unit    string
	Kind    wire.ColumnKind
	Value   float64 // finite; 0 or 1 of a boolean
	Good    bool    // there is a value, and the newest reading was not bad
	Sampled int64   // of the value, Unix microseconds
}

// InputKind tells inputs apart.
type InputKind uint8

// The inputs of Step.
const (
	// Define says who the members are: Members.
	Define InputKind = iota + 1
	// Member says what Device now says: Live and Points.
	Member
)

// Input is one message to a room.
type Input struct {
	Kind    InputKind
	Members []string // names within the site, sorted, each once; kept
	Device  string
	Live    bool
	Points  []Point // kept, and may be another room's too: nobody changes it
}

// Step applies one input and reports whether the aggregates may have changed.
// After Define a new member is silent until it says otherwise, and what a
// device said that is no member any more is forgotten. A device that is no
// member changes nothing.
func (s *State) Step(in Input) (changed bool) {
	switch in.Kind {
	case Define:
		return s.define(in.Members)
	case Member:
		before, ok := s.members[in.Device]
		if !ok {
			return false
		}
		s.members[in.Device] = member{in.Live, in.Points}
		return before.live != in.Live || in.Live && !slices.Equal(before.points, in.Points)
	}
	return false
}

func (s *State) define(names []string) bool {
	if slices.Equal(s.names, names) {
		return false
	}
	members := make(map[string]member, len(names))
	for _, name := range names {
		members[name] = s.members[name]
	}
	s.names, s.members = names, members
	return true
}

// Members returns the names of the members, sorted. They belong to the state.
func (s *State) Members() []string { return s.names }

// Live counts the members that speak.
func (s *State) Live() (n int) {
	for _, m := range s.members {
		if m.live {
			n++
		}
	}
	return n
}

// Aggregate is what the members of a room say about one point together.
type Aggregate struct {
	Point    id.Point
	Unit     string
	Kind     wire.ColumnKind
	Count    int     // members that contribute, at least 1
	Mean     float64 // of a boolean point the share that is true
	Min, Max float64
	Any      bool  // one of the values is not 0
	NewestAt int64 // when the latest of the values was sampled, Unix microseconds
}

// Aggregates returns an aggregate for each point, unit and kind that a member
// has, sorted by them. Only members that are live contribute, with the points
// that are good. It is computed from all values each time, in the order of the
// members' names: the same values give the same bits, whatever came before.
func (s *State) Aggregates() []Aggregate {
	type key struct {
		point id.Point
		unit  string
		kind  wire.ColumnKind
	}
	var all []Aggregate
	at := make(map[key]int)
	for _, name := range s.names {
		m := s.members[name]
		if !m.live {
			continue
		}
		for i := range m.points {
			p := &m.points[i]
			if !p.Good {
				continue
			}
			k := key{p.Point, p.Unit, p.Kind}
			n, ok := at[k]
			if !ok {
				n = len(all)
				at[k] = n
				all = append(all, Aggregate{Point: p.Point, Unit: p.Unit, Kind: p.Kind, Min: p.Value, Max: p.Value, NewestAt: p.Sampled})
			}
			all[n].add(p)
		}
	}
	for i := range all {
		all[i].finish()
	}
	slices.SortFunc(all, func(a, b Aggregate) int {
		return cmp.Or(cmp.Compare(a.Point, b.Point), cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

// add takes one value; until finish Mean holds the sum.
func (a *Aggregate) add(p *Point) {
	a.Count++
	a.Mean += p.Value
	a.Min, a.Max = min(a.Min, p.Value), max(a.Max, p.Value)
	a.Any = a.Any || p.Value != 0
	a.NewestAt = max(a.NewestAt, p.Sampled)
}

// finish makes the mean of the sum. Rounding may carry it past the values
// that it is made of; three of 0.1 have the mean 0.1.
func (a *Aggregate) finish() {
	a.Mean = min(max(a.Mean/float64(a.Count), a.Min), a.Max)
}
