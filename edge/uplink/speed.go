package uplink

import (
	"math"
	"time"
)

// speed averages how fast the backlog is acked, with the last drainMemory
// weighing most. It is pure.
type speed struct {
	at             time.Time
	acked          uint64
	bytes, seconds float64 // seen, older ones forgotten
}

// see takes the bytes acked so far and returns bytes a second; 0 while nothing
// drains.
func (s *speed) see(now time.Time, acked uint64, drains bool) float64 {
	if !drains || s.at.IsZero() {
		*s = speed{at: now, acked: acked}
		return 0
	}
	span := now.Sub(s.at)
	kept := math.Exp(-span.Seconds() / drainMemory.Seconds())
	s.bytes = s.bytes*kept + float64(acked-s.acked)
	s.seconds = s.seconds*kept + span.Seconds()
	s.at, s.acked = now, acked
	if s.seconds == 0 {
		return 0
	}
	return s.bytes / s.seconds
}
