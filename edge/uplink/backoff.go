package uplink

import "time"

// retry decides the wait before the next dial. It is pure: the caller draws
// the random number.
type retry struct {
	least, most time.Duration
	attempt     int // dials in a row that did not last
}

// next returns the wait after a connection ended that lasted so long; random
// is in [0, 1).
func (r *retry) next(p pace, lasted time.Duration, random float64) time.Duration {
	if p == slow {
		r.attempt = 0
		return slowRetry/2 + time.Duration(random*float64(slowRetry))
	}
	if lasted >= stableAfter {
		r.attempt = 0
	}
	window := r.least
	for range r.attempt {
		if window *= 2; window >= r.most {
			window = r.most
			break
		}
	}
	r.attempt++
	return time.Duration(random * float64(window))
}
