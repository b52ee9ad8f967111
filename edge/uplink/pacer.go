package uplink

import "time"

// pacer spreads the backlog's bytes over time, at the rate that the path
// delivers: a frame is longer than what many paths hold, so that the bound of
// what is on its way would let it queue up in the router as a whole. How long
// a packet waits there is seen in its round trip, of which a quarter of the
// shortest is allowed, and the half of that aimed at. Live frames are not
// paced, but count. It is pure.
type pacer struct {
	rtt  shortest      // of packets
	late time.Duration // how long the last packet waited in queues
	next time.Time     // when the next piece may leave
}

const (
	// rttWindow is for how long the shortest round trip is remembered (draft
	// -00, section 4.1.2).
	rttWindow = 10 * time.Second
	// queueMin is how long packets may wait in any case: nobody sees it, and on
	// a short path the programs' own delays are as long (CoDel's target, RFC
	// 8289, 4.3).
	queueMin = 5 * time.Millisecond
	// paceSlope is how much faster than the rate the backlog goes while no
	// packet waits, to see whether the path has more. It reacts to a wait one
	// round trip late: with twice the slope the queue would swing.
	paceSlope = 0.125
	// paceLeast is how slow it becomes while packets wait for long: the rate is
	// one of some rounds ago.
	paceLeast = 0.1
)

// packet notes the round trip of the last packet, as the carrier has it; zero
// if it has none.
func (p *pacer) packet(now time.Time, rtt time.Duration, d *delivery) {
	if rtt <= 0 {
		return
	}
	if p.rtt.old(now) {
		// A pause longer than the wait: the next packets see an empty queue, if
		// the queue is ours, and otherwise a longer path.
		p.next = later(p.next, now.Add(min(p.late+p.allowed(d), pauseMax)))
	}
	p.rtt.put(now, rtt)
	p.late = rtt - p.rtt.least()
	if d.rate() > 0 && p.late > p.allowed(d) {
		d.full = true
	}
}

// rate is what the backlog's is drawn from: before the first ack, a careful
// start's (RFC 6928: ten packets a round trip).
func (p *pacer) rate(d *delivery) float64 {
	rate := d.rate()
	if rtt := p.rtt.least(); rate == 0 && rtt > 0 {
		return startPackets * packetSize / rtt.Seconds()
	}
	return rate
}

// allowed is how long packets may wait: at least for one another.
func (p *pacer) allowed(d *delivery) time.Duration {
	allowed := max(p.rtt.least()/4, queueMin)
	if rate := p.rate(d); rate > 0 {
		allowed = max(allowed, time.Duration(2*packetSize/rate*float64(time.Second)))
	}
	return allowed
}

// gain is what the rate is multiplied by.
func (p *pacer) gain(d *delivery) float64 {
	if !d.full {
		return startGain
	}
	return max(1+paceSlope*(1-2*float64(p.late)/float64(p.allowed(d))), paceLeast)
}

// spend counts n bytes that leave now.
func (p *pacer) spend(now time.Time, n uint64, d *delivery) {
	rate := p.rate(d)
	if rate == 0 {
		return // nothing is known yet
	}
	p.next = later(p.next, now.Add(-paceBurst))
	p.next = p.next.Add(time.Duration(float64(n) / (rate * p.gain(d)) * float64(time.Second)))
}

// piece is how many bytes of a frame leave at once.
func (p *pacer) piece(d *delivery) int {
	return int(min(max(p.rate(d)*paceBurst.Seconds(), packetSize), maxInFlight))
}

// wait is how long until another piece may leave.
func (p *pacer) wait(now time.Time) time.Duration { return p.next.Sub(now) }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// shortest is the shortest of the round trips of the last rttWindow, at least
// of its second half.
type shortest struct {
	since       time.Time
	now, before time.Duration // of this half and the one before; 0: none
}

// old says that the half is over: what comes next is of a new one.
func (s *shortest) old(now time.Time) bool {
	return s.since.IsZero() || now.Sub(s.since) > rttWindow/2
}

func (s *shortest) put(now time.Time, rtt time.Duration) {
	if s.old(now) {
		s.since, s.before, s.now = now, s.now, rtt
	}
	s.now = min(s.now, rtt)
}

func (s *shortest) least() time.Duration {
	if s.before > 0 {
		return min(s.now, s.before)
	}
	return s.now
}
