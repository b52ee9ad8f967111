package site

import (
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// bootState is what is known of one start of a gateway's kernel.
type bootState struct {
	_    struct{} `cbor:",toarray"`
	Boot id.Boot
	Rank uint64 // from 1
	// Clock is the best mapping of the boot to UTC that was seen so far, of use
	// if Known. Its source is ClockNone if it is an estimate.
	Clock clockState
	Known bool
	// Run and Clk tell which of the gateway's own mappings Clock is; 0 for a
	// hello's or an estimate.
	Run uint64
	Clk uint32
	End int64 // UTC of the latest row applied, Unix microseconds; 0 without
}

// helloDelay bounds the way of a hello from the gateway's clock to the journal:
// gates end a greeting that takes longer.
const helloDelay = 15 * time.Second

// noIdea is the uncertainty, in microseconds, of an estimate with nothing on
// one side: 100 years.
const noIdea = 100 * 365 * 24 * 3600 * 1_000_000

// rankBoots returns the rank of each boot, and ranks unseen ones after all
// that are known, in the order given.
func (g *gateway) rankBoots(boots []id.Boot) []uint64 {
	s := g.state
	ranks := make([]uint64, len(boots))
	for i, b := range boots {
		known := g.boot(b)
		if known == nil {
			s.NextBoot++
			s.Boots = append(s.Boots, bootState{Boot: b, Rank: s.NextBoot})
			known = &s.Boots[len(s.Boots)-1]
		}
		ranks[i] = known.Rank
	}
	if over := len(s.Boots) - MaxBoots; over > 0 {
		s.Boots = append(s.Boots[:0], s.Boots[over:]...)
	}
	return ranks
}

// boot returns what is known of a boot, nil for one that was forgotten.
func (g *gateway) boot(name id.Boot) *bootState {
	for i := len(g.state.Boots) - 1; i >= 0; i-- { // frames are of the latest ones
		if b := &g.state.Boots[i]; b.Boot == name {
			return b
		}
	}
	return nil
}

// greeted learns a boot's clock from a hello: it was sent now milliseconds
// after the boot and came at received. Of two hellos the quicker one is right,
// and what the gateway itself vouches for is better than both.
func (b *bootState) greeted(received int64, now uint64) {
	if now > maxNanos/nanosPerMilli {
		return // beyond any boot
	}
	zero := received - int64(now)*1000
	if b.Run > 0 || b.Known && b.Clock.Source != wire.ClockNone && b.Clock.UTC0 <= zero {
		return
	}
	b.Known = true
	b.Clock = clockState{UTC0: zero, Source: wire.ClockWelcome, Uncertainty: uint64(helloDelay.Microseconds())}
}

// learn takes a mapping that the gateway vouches for. Its latest is the best,
// and that need not come last: the backlog is behind the live frames.
func (b *bootState) learn(run uint64, clk uint32, c clockState) {
	if c.Source != wire.ClockNone && (run > b.Run || run == b.Run && clk > b.Clk) {
		b.Clock, b.Known, b.Run, b.Clk = c, true, run, clk
	}
}

// clockOf returns the mapping to use for a frame of a run, whose first row is
// at micros since boot, and whose gateway says claim. What the gateway vouches
// for stands. A frame that was made before its boot learned the time takes what
// was learned since, and one of a boot that never did an estimate, the same for
// all of the boot.
func (g *gateway) clockOf(claim clockState, boot id.Boot, micros, now int64) clockState {
	if claim.Source != wire.ClockNone {
		return claim
	}
	b := g.boot(boot)
	if b == nil {
		return claim
	}
	if !b.Known {
		least, most := g.bounds(b, now)
		b.Clock, b.Known = estimate(claim, least, most-micros), true
	}
	return b.Clock
}

// bounds returns between which times a boot's rows were sampled: after the rows
// of the boots before it, and before the next boot whose beginning is known.
// least is 0 if no row of an earlier boot is known.
func (g *gateway) bounds(of *bootState, now int64) (least, most int64) {
	most = now
	next := uint64(0)
	for i := range g.state.Boots {
		switch b := &g.state.Boots[i]; {
		case b.Rank < of.Rank:
			least = max(least, b.End)
		case b.Rank > of.Rank && b.Known && (next == 0 || b.Rank < next):
			most, next = min(now, b.Clock.UTC0), b.Rank
		}
	}
	return least, most
}

// estimate places a boot's zero between least (0: not known) and most. What the
// gateway claims without knowing it is as good as anything between; otherwise
// the boot follows the one before at once, so that the rows of several such
// boots neither overlap nor change their order.
func estimate(claim clockState, least, most int64) clockState {
	c := clockState{UTC0: claim.UTC0, Source: wire.ClockNone, Uncertainty: noIdea}
	switch {
	case least == 0: // the past is open
		c.UTC0 = min(c.UTC0, most)
	case least > most: // two boards at once: there is no order
		c.UTC0 = most
	default:
		if c.UTC0 < least || c.UTC0 > most {
			c.UTC0 = least
		}
		c.Uncertainty = uint64(max(c.UTC0-least, most-c.UTC0))
	}
	return c
}

// reached notes that rows of the boot were applied, the latest of them from UTC
// at, or from now if its clock runs ahead.
func (g *gateway) reached(boot id.Boot, at, now int64) {
	if b := g.boot(boot); b != nil {
		b.End = max(b.End, min(at, now))
	}
}
