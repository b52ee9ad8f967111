package board

import "time"

// Clock says when a board's world is: how fast it goes, and at which hour it
// begins.
type Clock struct {
	// Pace is how many seconds of the world pass in one of the chips, 1 to 600;
	// 0 is 1. At the fastest a day takes 144 s, and the world's nanoseconds
	// reach their end after 170 days.
	Pace int64
	// Hour of the day, UTC, at which the world begins; nil is the present one.
	Hour *float64
}

// timeline is a clock that runs. It counts from the start of the board, so that
// a step of the wall clock does not make a room jump.
type timeline struct {
	start time.Time // of the board
	begin time.Time // of the world
	pace  int64
}

func (c Clock) run(start time.Time) timeline {
	l := timeline{start: start, begin: start, pace: max(c.Pace, 1)}
	if c.Hour != nil {
		l.begin = start.UTC().Truncate(24 * time.Hour).Add(time.Duration(*c.Hour * float64(time.Hour)))
	}
	return l
}

// world returns the world's time at a moment.
func (l timeline) world(t time.Time) time.Time {
	return l.begin.Add(time.Duration(l.pace * int64(t.Sub(l.start))))
}

// first returns the first moment at which the world's time is not before w.
func (l timeline) first(w time.Time) time.Time {
	since := int64(w.Sub(l.begin))
	d := since / l.pace
	if d*l.pace < since {
		d++
	}
	return l.start.Add(time.Duration(d))
}
