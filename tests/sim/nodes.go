package sim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// troubled is what happens to gateways, the network and the store beside what
// happens to nodes.
var troubled = []EventKind{Weather, Blackout, GatewayRestart, ClockStep, DiskFull, BitFlips, CloudCrash, JournalFaults, LostAcks, Unplug, Rebind, UDPBlocked}

// held are the events after which a node publishes frames that it took long ago,
// and crashes those that let a gateway lose what it has sent: one plan has not
// both, as such a frame comes behind the hello that ends its run, and is late by
// right (as is said in disaster.go).
var (
	held    = []EventKind{NodePaused, NodeCut}
	crashes = []EventKind{GatewayCrash, GatewayCrashAt, CommandCrash}
)

// DrawCluster makes the plan of a seed in which three nodes share the shards, and
// are killed, stopped, cut off, emptied, and die between two steps.
func DrawCluster(seed uint64) Plan {
	r := rand.New(rand.NewPCG(seed, 0x636c7573))
	p := drawLine(seed, r)
	p.Length += 15 * time.Second
	p.Cloud.Nodes, p.Cloud.Shards = maxNodes, 2+r.IntN(4)
	kinds, beside := []EventKind{NodeKilled, NodeStopped, NodeDrained, BeatsLost, DeathAt, DeathAt}, troubled
	holds := r.IntN(2) == 0
	if holds {
		kinds = append(kinds, held...)
	} else {
		beside = append(slices.Clone(troubled), crashes[:2]...)
	}
	for range 4 + r.IntN(8) {
		p.Events = append(p.Events, nodeEvent(r, kinds[r.IntN(len(kinds))], p.Length))
	}
	for range 1 + r.IntN(5) {
		p.Events = append(p.Events, p.event(r, beside))
	}
	p.orders(r)
	p.documents(r)
	p.Events = slices.DeleteFunc(p.Events, func(e Event) bool { return holds && slices.Contains(crashes, e.Kind) })
	p.sort()
	return p
}

// nodeEvent draws what happens to a node.
func nodeEvent(r *rand.Rand, kind EventKind, length time.Duration) Event {
	e := Event{At: between(r, 3*time.Second, length), Kind: kind, N: r.IntN(maxNodes), For: between(r, 300*time.Millisecond, 12*time.Second)}
	switch kind {
	case DeathAt:
		e.N = r.IntN(len(Moments()))
	case BeatsLost:
		e.P = r.Float64() * 0.6
	}
	return e
}

// clusterEvent does what happens to nodes of a cluster.
func (s *Sim) clusterEvent(ctx context.Context, e Event) {
	c := s.cloud
	switch e.Kind {
	case NodeKilled:
		s.during(e.For, func() { c.keepDown(e.N, true); c.each(e.N, (*node).kill) }, func() { c.keepDown(e.N, false) })
	case NodeStopped:
		s.during(e.For, func() { c.keepDown(e.N, true) }, func() { c.keepDown(e.N, false) })
		c.each(e.N, func(n *node) { s.pending.Go(func() { n.leave(ctx) }) })
	case NodePaused:
		c.each(e.N, func(n *node) {
			s.during(e.For, func() { s.net.blackout(n.addr.IP, true); n.reach.set(&n.reach.still, true) }, func() {
				s.net.blackout(n.addr.IP, false)
				n.reach.set(&n.reach.still, false)
			})
		})
	case NodeCut:
		c.each(e.N, func(n *node) {
			s.during(e.For, func() { n.reach.set(&n.reach.cut, true) }, func() { n.reach.set(&n.reach.cut, false) })
		})
	case NodeDrained:
		s.drained(ctx, e)
	case BeatsLost:
		s.during(e.For, func() { c.faults.loseBeats(e.P) }, func() { c.faults.loseBeats(0) })
	case DeathAt:
		c.deaths.arm(Moments()[e.N])
	}
}

// drained says of a node that it is to be empty, and later no longer.
func (s *Sim) drained(ctx context.Context, e Event) {
	name := nodeName(e.N)
	say := func(on bool) {
		for try := 0; try < 20; try++ {
			err := errNoNode
			if all := s.cloud.all(); len(all) > 0 {
				asking, cancel := context.WithTimeout(ctx, writeTime)
				err = all[try%len(all)].clustered.members.Drain(asking, name, on)
				cancel()
			}
			if err == nil {
				return
			}
			s.trace.event("drain %s %t: %v", name, on, err)
			time.Sleep(writeAgain * time.Duration(1+try))
		}
		s.trace.complain("nodes", "nobody could be told that %s is to be empty: %t", name, on)
	}
	s.pending.Go(func() {
		say(true)
		select {
		case <-time.After(e.For):
		case <-s.healed:
		}
		say(false)
	})
}

// keepDown says whether a slot is to have no node.
func (c *cloud) keepDown(slot int, down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.empty[slot] = down
	close(c.changed)
	c.changed = make(chan struct{})
}

// each does something to the node of a slot, if one serves there.
func (c *cloud) each(slot int, do func(*node)) {
	all := c.all()
	if i := slices.IndexFunc(all, func(n *node) bool { return n.slot == slot }); i >= 0 {
		do(all[i])
	}
}

// loses says whether a message of the bus is lost.
func (c *cloud) loses(from, to string) bool {
	if from == to {
		return false
	}
	if c.faults.losesBeat() {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n != nil && (n.name == from || n.name == to) && n.reach.mute() {
			return true
		}
	}
	return false
}
