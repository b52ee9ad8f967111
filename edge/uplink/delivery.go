package uplink

import "time"

// The numbers of BBR (draft-cardwell-iccrg-bbr-congestion-control-00, section
// 4). A draft's round is the time in which what was on its way is acked.
const (
	// rateRounds is for how many rounds a rate is remembered.
	rateRounds = 10
	// startGain is how far above the rate seen a new connection sends, until
	// the rate has not grown by a quarter (fullGrowth) in fullRounds rounds.
	startGain  = 2.0
	fullGrowth = 1.25
	fullRounds = 3
	// flightGain is how much more than the path holds may be on its way: the
	// quarter is what waits in the router.
	flightGain = 1.25
)

// delivery estimates from acks what a path delivers, BBR's way: the rate is
// the largest of the last rounds, and the bound of what is on its way 1.25
// times what the rate delivers in a round trip, and what was acked at once
// beyond the rate (aggregation), because acks come a frame or an fsync at a
// time.
//
// A round trip goes from the end of a frame to its ack and has the journal's
// fsync in it. What waits for that is not in the router and must be allowed to
// be on its way, so that the longest of the last rounds counts; that packets
// do not wait in the router is the pacer's, which looks at the packets' own
// round trips. It is pure; times are of one clock.
type delivery struct {
	delivered uint64 // bytes acked

	before     uint64    // bytes acked at the last ack of the backlog
	beforeAt   time.Time // when that came, or sending began anew after silence
	beforeSent time.Time // when the frame that it acked had been sent
	// limited: until delivered is beyond it, frames were sent without the
	// backlog asking for more than the path gives, and say nothing about that.
	limited uint64

	round, roundEnd uint64 // roundEnd is in bytes delivered
	rates           peak   // bytes a second
	extra           peak   // bytes
	epoch           uint64 // bytes acked since epochAt
	epochAt         time.Time

	trips peak // round trips of frames in seconds

	full      bool // the start is over
	fullRate  float64
	fullCount int
}

// mark is a frame as it left, for its ack.
type mark struct {
	delivered              uint64
	deliveredAt, firstSent time.Time
	sent                   time.Time // when its last byte was given to the stream
	limited                bool
}

// begin notes that a frame begins while inflight bytes have no ack.
func (d *delivery) begin(now time.Time, inflight uint64) mark {
	if inflight == 0 {
		d.before, d.beforeAt, d.beforeSent = d.delivered, now, now
	}
	return mark{delivered: d.before, deliveredAt: d.beforeAt, firstSent: d.beforeSent, sent: now, limited: d.delivered < d.limited}
}

// limit says that what is on its way, inflight bytes, is all that there was to
// send: its acks show what was asked of the path, not what it can do.
func (d *delivery) limit(inflight uint64) { d.limited = d.delivered + max(inflight, 1) }

// ack takes the ack of a frame of size bytes. One of the backlog gives a
// sample of the rate. A live one adds its bytes to that, and no more: between
// its ack and the next, a large frame of the backlog arrives in part.
func (d *delivery) ack(now time.Time, m *mark, size uint64, live bool) {
	d.delivered += size
	if live {
		return
	}
	d.before, d.beforeAt, d.beforeSent = d.delivered, now, m.sent
	if m.delivered >= d.roundEnd {
		d.round++
		d.roundEnd = d.delivered
		d.grown()
	}
	// The longer of both spans, so that acks that come at once do not look like
	// a faster path (section 4.1.1).
	span := max(now.Sub(m.deliveredAt), m.sent.Sub(m.firstSent))
	if span > 0 {
		came := d.delivered - m.delivered
		rate := float64(came) / span.Seconds()
		// A few bytes whose ack was late say little about the path, and nothing
		// before anything else is known: a large frame would leave at their rate.
		if few := came < startPackets*packetSize; !m.limited && !few || rate > d.rate() && d.rate() > 0 {
			d.rates.put(d.round, rate)
		}
	}
	d.trips.put(d.round, now.Sub(m.sent).Seconds())
	d.aggregate(now, size)
}

// aggregate follows how much more came than the rate explains (draft -02,
// section 4.5.5).
func (d *delivery) aggregate(now time.Time, size uint64) {
	expected := d.rate() * now.Sub(d.epochAt).Seconds()
	if float64(d.epoch) <= expected {
		d.epoch, d.epochAt, expected = 0, now, 0
	}
	d.epoch += size
	d.extra.put(d.round, float64(d.epoch)-expected)
}

// grown ends the start when the rate does not grow any more.
func (d *delivery) grown() {
	switch rate := d.rate(); {
	case d.full || d.delivered < d.limited:
	case rate >= d.fullRate*fullGrowth:
		d.fullRate, d.fullCount = rate, 0
	default:
		d.fullCount++
		d.full = d.fullCount >= fullRounds
	}
}

// rate is what the path delivers, in bytes a second; 0 before the first ack.
func (d *delivery) rate() float64 { return d.rates.most() }

// allowed is how many bytes of the backlog may be on their way when another
// frame begins. One of any size may when none is.
func (d *delivery) allowed() uint64 {
	gain := flightGain
	if !d.full {
		gain = startGain
	}
	pipe := gain*d.rate()*d.trips.most() + d.extra.most()
	return uint64(min(max(pipe, minInFlight), maxInFlight))
}

// peak is the largest of the values put in the last rateRounds rounds that had
// any.
type peak struct {
	slots [rateRounds]float64
	round uint64
	at    int
}

func (p *peak) put(round uint64, v float64) {
	if round != p.round {
		p.round, p.at = round, (p.at+1)%rateRounds
		p.slots[p.at] = 0
	}
	p.slots[p.at] = max(p.slots[p.at], v)
}

func (p *peak) most() float64 {
	most := p.slots[0]
	for _, v := range p.slots[1:] {
		most = max(most, v)
	}
	return most
}
