package device

import (
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

// Rules are what Step decides by.
type Rules struct {
	Every     time.Duration // between two ticks
	Heartbeat time.Duration // the longest time without a row, above 0
	Deadband  []int64       // for each point, in units of its resolution; 0: every sample is a row
	Boolean   []bool        // for each point: its changes are never thinned
}

// Event is what happened to a device.
type Event uint8

// The events.
const (
	Tick    Event = iota // it is time to read
	Sampled              // the read gave a sample
	Failed               // the device could not be read
	Unread               // the read was not tried: the queue is full, the bus is closing
	Refused              // the series did not take the row of the step before
	Order                // a command wants to be done
	Done                 // the command has ended
	Stop                 // no more reads and commands
)

// Input is one event and what belongs to it.
type Input struct {
	Event Event
	Due   time.Duration // Tick: the multiple of Every that it stands for, since boot
	V     []int64       // Sampled: one value a point; read, not kept
	Q     uint64        // Sampled: wire.WithQuality
	// Keep, of Sampled and Failed, is how many rows that are due one is kept of:
	// above 1 the buffer is under pressure. 0 is 1.
	Keep int
}

// Effects are what the caller does next.
type Effects struct {
	Read bool // start a read
	Do   bool // start the command that was ordered
	Busy bool // do not take the command: another has been, or the device stops
	Row  bool // append a row of V, Q and Suppressed, at the time of the input
	// V aliases the state and is valid until the next Step.
	V          []int64
	Q          uint64
	Suppressed int // rows withheld since the last one

	Withheld bool // the sample made no row
	Thinned  bool // and would have, but for Keep
	Overruns int  // ticks that passed without a read
	Health   Health
	Ended    bool // after Stop: nothing is in flight any more
}

// Health is a change between working and failing.
type Health uint8

// The changes.
const (
	Unchanged Health = iota
	Fell             // the first read that failed
	Recovered        // the first that did not
)

// State is what is known about one device between two events.
type State struct {
	rules Rules

	next     time.Duration // the tick after the last one; 0 before the first
	due      time.Duration // the last tick that started a read
	reading  bool
	ordered  bool // a command waits for the end of the read
	doing    bool // a command is in flight
	failing  bool
	stopping bool

	// The last row, which the next is compared with.
	sent       bool
	sentDue    time.Duration
	v          []int64
	q          uint64
	suppressed int // withheld since
	thinned    int // of them, those that were due
	taken      int // the suppressed count that the last row took along
}

// NewState is a device of which nothing is known.
func NewState(r Rules) *State { return &State{rules: r, v: make([]int64, len(r.Deadband))} }

// Step takes one event. It is a function of the state and the event alone.
func (s *State) Step(in Input) Effects {
	switch in.Event {
	case Tick:
		return s.tick(in.Due)
	case Sampled:
		return s.read(s.sample(in.V, in.Q, in.Keep), Recovered)
	case Failed:
		return s.read(s.failure(in.Keep), Fell)
	case Unread:
		s.reading = false
		return s.then(Effects{Overruns: 1})
	case Refused:
		s.sent = false
		s.suppressed += s.taken
		return Effects{}
	case Order:
		return s.order()
	case Done:
		s.doing = false
		// A read at once: what the command changed is news.
		s.reading = !s.stopping
		return Effects{Read: s.reading, Ended: s.stopping}
	default: // Stop
		s.stopping = true
		return Effects{Ended: !s.reading && !s.doing}
	}
}

// order takes a command, which waits for the read in flight.
func (s *State) order() Effects {
	if s.stopping || s.ordered || s.doing {
		return Effects{Busy: true}
	}
	s.ordered = true
	if s.reading {
		return Effects{}
	}
	return s.then(Effects{})
}

// then is what follows when nothing is in flight: a command that waited, also
// while the device stops, as it was taken.
func (s *State) then(e Effects) Effects {
	s.doing, s.ordered = s.ordered, false
	e.Do = s.doing
	e.Ended = s.stopping && !s.doing
	return e
}

func (s *State) tick(due time.Duration) Effects {
	if s.stopping || due < s.next {
		return Effects{}
	}
	var e Effects
	if s.next > 0 {
		e.Overruns = int((due - s.next) / s.rules.Every)
	}
	s.next = due + s.rules.Every
	if s.reading || s.doing {
		e.Overruns++
		return e
	}
	s.reading, s.due = true, due
	e.Read = true
	return e
}

// read ends a read: the row is sent or withheld.
func (s *State) read(send verdict, health Health) Effects {
	s.reading = false
	e := s.then(Effects{})
	if failing := health == Fell; failing != s.failing {
		s.failing = failing
		e.Health = health
	}
	if send != row {
		s.suppressed++
		e.Withheld, e.Thinned = true, send == thinned
		return e
	}
	s.sent, s.sentDue, s.thinned = true, s.due, 0
	e.Row, e.V, e.Q, e.Suppressed = true, s.v, s.q, s.suppressed
	s.taken, s.suppressed = s.suppressed, 0
	return e
}

// verdict is what becomes of a read.
type verdict uint8

const (
	withheld verdict = iota // it says nothing new
	thinned                 // it does, but one of so many is kept
	row
)

// thin turns a row that is due into what it becomes where one of keep is kept.
// Whatever else, a row passes once keep heartbeats are over.
func (s *State) thin(keep int) verdict {
	if !s.sent || s.due-s.sentDue >= time.Duration(max(keep, 1))*s.rules.Heartbeat {
		return row
	}
	if s.thinned++; s.thinned < keep {
		return thinned
	}
	return row
}

// sample takes the values as the last row's if they are to be sent. A bad
// point repeats the value before (shared/wire/PROTOCOL.md).
func (s *State) sample(v []int64, q uint64, keep int) (send verdict) {
	due, urgent := s.wanted(), q != s.q
	for i := range s.v {
		if wire.QualityOf(q, i) == wire.Bad {
			continue
		}
		by := moved(s.v[i], v[i])
		due = due || by >= uint64(s.rules.Deadband[i])
		urgent = urgent || by > 0 && s.rules.Boolean[i]
	}
	switch {
	case urgent:
		send = row
	case due:
		send = s.thin(keep)
	}
	if send != row {
		return send
	}
	for i := range s.v {
		if wire.QualityOf(q, i) != wire.Bad {
			s.v[i] = v[i]
		}
	}
	s.q = q
	return row
}

// failure makes every point bad.
func (s *State) failure(keep int) (send verdict) {
	var q uint64
	for i := range s.v {
		q = wire.WithQuality(q, i, wire.Bad)
	}
	switch {
	case q != s.q:
		send = row
	case s.wanted():
		send = s.thin(keep)
	}
	s.q = q
	return send
}

// wanted reports whether a row is due whatever it says. The heartbeat counts
// ticks, not the moments at which reads happen to end, so that a late read
// does not put it off by an interval.
func (s *State) wanted() bool {
	if !s.sent || s.due-s.sentDue >= s.rules.Heartbeat {
		return true
	}
	for _, d := range s.rules.Deadband {
		if d == 0 {
			return true
		}
	}
	return false
}

// moved is the distance of two values, which may be more than an int64 holds.
func moved(from, to int64) uint64 {
	if to < from {
		from, to = to, from
	}
	return uint64(to) - uint64(from)
}
