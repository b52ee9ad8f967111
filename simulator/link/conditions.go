package link

import (
	"math/rand/v2"
	"time"
)

// Direction of a packet through the relay.
type Direction uint8

const (
	Up   Direction = iota // from a client to the target
	Down                  // back
	directions
)

// String returns "up" or "down".
func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// Reason says why a packet was dropped.
type Reason uint8

const (
	// Passed is no reason: the packet is forwarded.
	Passed Reason = iota
	// DropCut: the link is cut, when the packet comes or when it is due.
	DropCut
	// DropLoss: the random loss that was asked for.
	DropLoss
	// DropQueue: more packets are on the way than the relay holds.
	DropQueue
	// DropSize: the packet is larger than a link's MTU.
	DropSize
	// DropClients: a new client, and the table is full.
	DropClients
	// DropUnreachable: the operating system refused it, or the target's port is
	// closed.
	DropUnreachable
	// DropStopped: on the way when the relay was stopped.
	DropStopped
	// DropBlocked: UDP is blocked.
	DropBlocked
	reasons
)

// String names the reason as the counters do.
func (r Reason) String() string {
	return [...]string{"passed", "cut", "loss", "queue", "size", "clients", "unreachable", "stopped", "blocked"}[r]
}

// Conditions are what the link does to packets. The zero value is a perfect
// link.
type Conditions struct {
	CutUp, CutDown bool          // nothing gets through that way
	BlockUDP       bool          // TCP alone gets through, as a firewall may have it
	Delay          time.Duration // one way
	Jitter         time.Duration // added to Delay, uniform in [0, Jitter); reorders packets
	Drop           float64       // percent, each way
	Duplicate      float64       // percent, each way; a copy has a jitter of its own
	Kbps           int64         // rate each way, 1000 bits a second; 0 is unlimited
}

// cut says whether nothing gets through in a direction.
func (c Conditions) cut(d Direction) bool { return d == Up && c.CutUp || d == Down && c.CutDown }

// shaper decides the fate of packets. It is pure but for its random source and
// for when each direction's line is free again.
type shaper struct {
	rng  *rand.Rand
	free [directions]time.Time
}

func newShaper(seed uint64) *shaper {
	return &shaper{rng: rand.New(rand.NewPCG(seed, 0x11e4))}
}

// clear empties the lines that are cut: what waited is gone.
func (s *shaper) clear(c Conditions) {
	for d := range directions {
		if c.cut(d) {
			s.free[d] = time.Time{}
		}
	}
}

// admit returns when a packet of size bytes that comes at now is due on the
// other side, or why it is dropped.
func (s *shaper) admit(c Conditions, d Direction, size int, now time.Time) (time.Time, Reason) {
	switch {
	case c.cut(d):
		return time.Time{}, DropCut
	case c.BlockUDP:
		return time.Time{}, DropBlocked
	case s.happens(c.Drop):
		return time.Time{}, DropLoss
	}
	return s.jittered(c, s.line(c, d, size, now)), Passed
}

// again says whether a packet that is admitted arrives twice, and when the copy
// is due. Networks make copies behind the slow line: they take no time of it.
func (s *shaper) again(c Conditions, now time.Time) (time.Time, bool) {
	if !s.happens(c.Duplicate) {
		return time.Time{}, false
	}
	return s.jittered(c, now.Add(c.Delay)), true
}

// line returns when size bytes that come at now have left the line of their
// direction and travelled it.
func (s *shaper) line(c Conditions, d Direction, size int, now time.Time) time.Time {
	sent := now
	if c.Kbps > 0 {
		// The line takes packets one after the other; what waits is bounded by
		// the queue.
		if s.free[d].After(sent) {
			sent = s.free[d]
		}
		sent = sent.Add(time.Duration(int64(size) * 8 * int64(time.Millisecond) / c.Kbps))
		s.free[d] = sent
	}
	return sent.Add(c.Delay)
}

func (s *shaper) jittered(c Conditions, due time.Time) time.Time {
	if c.Jitter > 0 {
		due = due.Add(time.Duration(s.rng.Int64N(int64(c.Jitter))))
	}
	return due
}

func (s *shaper) happens(percent float64) bool { return percent > 0 && s.rng.Float64()*100 < percent }
