package uplink

import "time"

// starvation says for how long what is sampled comes faster than the gate
// takes it. It is looked at now and then: a live frame that waits for credit
// and gets it is followed by the next that waits. It is pure.
type starvation struct {
	since, last time.Time // when live frames were seen to wait, first and last
}

// see takes whether live frames wait for credit, and returns whether the
// connection is starved: they were seen to wait for starvedAfter, and not to
// have no wait for as long.
func (s *starvation) see(now time.Time, waits bool) bool {
	if now.Sub(s.last) >= starvedAfter {
		s.since = now
	}
	if waits {
		s.last = now
	}
	return s.last.Sub(s.since) >= starvedAfter
}
