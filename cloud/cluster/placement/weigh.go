package placement

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

const (
	// Epsilon bounds load: no node is given shards beyond (1 + Epsilon) of its
	// part in the cluster's capacity (Mirrokni, Thorup, Zadimoghaddam 2018).
	// Smaller is more even and displaces more shards from their first node, the
	// more so as a node has few shards: a quarter is one of four.
	Epsilon = 0.25
	// arrivals is the part of the bound up to which a node takes shards. The
	// rest is room for measurements that swing: without it a shard would come
	// and go with the noise.
	arrivals = 1 / MinGain

	// countPart is how much of a shard's load is that it exists (a stream,
	// snapshots, twins in memory, though nothing is sampled); the rest is its
	// part in the cluster's readings.
	countPart = 0.25
	// whole is the load of all shards together. Loads are whole numbers, so that
	// sums do not depend on the order of adding.
	whole = 1_000_000_000

	// HotCPU is where a node should be at most: above it, latency grows faster
	// than load. It is also where scaling out is advised.
	HotCPU = 0.70
	// WarmCPU is where a node's CPU begins to say what the node can carry; below
	// it, what runs beside the readings says more than they do. It is below
	// HotCPU, so that a node that gave shards away and cooled down does not get
	// them back.
	WarmCPU = 0.50
	// growing is the growth of mailboxes, in messages/s, that is not jitter: 600
	// more after a minute.
	growing = 10
	// deepMailbox is how many messages wait in a node that is still behind.
	deepMailbox = 10_000
	// overrun is how much of its present load a node carries whose mailboxes
	// grow: clearly less, or they would never be emptied.
	overrun = 0.8
	// leastHealth is as small as measurements can make a node: that it can do
	// nothing, it says by draining.
	leastHealth = 0.25
)

// node is a live node and what it weighs. Loads are parts of whole.
type node struct {
	Node
	hash   uint64
	health float64 // 1, or less if it was measured to carry less than its part
	weight float64 // capacity * health
	share  int64   // its part by weight
	room   int64   // takes shards up to here
	bound  int64   // gives shards away above
	load   int64   // of what it has and is to get
}

// sizes returns the load of each shard.
func sizes(shards []Shard) []int64 {
	var rates float64
	for _, s := range shards {
		rates += s.Rate
	}
	byCount := 1.0
	if rates > 0 {
		byCount = countPart
	}
	loads := make([]int64, len(shards))
	for i, s := range shards {
		loads[i] = int64(float64(byCount * whole / float64(len(shards))))
		if rates > 0 {
			loads[i] += int64(float64((1 - countPart) * whole * (s.Rate / rates)))
		}
	}
	return loads
}

// weigh returns the live nodes by name. all is the load of all shards.
func weigh(members []Node, all int64) []*node {
	var live []*node
	var capacities, rates, weights float64
	members = slices.SortedFunc(slices.Values(members), func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range members {
		if n.State != Dead {
			rates += n.Load.Rate
		}
		if n.State == Live {
			capacities += n.Capacity
			live = append(live, &node{Node: n, hash: hashNode(n.Name)})
		}
	}
	for _, n := range live {
		n.health = health(n.Load, rates*(n.Capacity/capacities))
		n.weight = float64(n.Capacity * n.health)
		weights += n.weight
	}
	for _, n := range live {
		share := float64(all) * (n.weight / weights)
		n.share = int64(share)
		n.room = int64(share * ((1 + Epsilon) * arrivals))
		n.bound = int64(share * (1 + Epsilon))
	}
	return live
}

// health says how much of fair, its part of the cluster's readings/s, a node
// was measured to be able to carry: 1 if there is no sign that it is less. A hot
// node's measure is its readings for each second of CPU, which stay the same
// when it has fewer of both.
func health(l NodeLoad, fair float64) float64 {
	able := math.Inf(1) // in parts of what it has now
	if l.CPU > WarmCPU {
		able = HotCPU / l.CPU
	}
	switch {
	case l.Growth > growing:
		able = min(able, overrun)
	case l.Mailbox > deepMailbox:
		able = min(able, 1)
	}
	if math.IsInf(able, 1) {
		return 1
	}
	if fair > 0 {
		able *= l.Rate / fair
	}
	return min(max(able, leastHealth), 1)
}

// fill is a load as a part of the node's share.
func (n *node) fill(load int64) float64 { return float64(load) / float64(max(n.share, 1)) }

// ZoneLoad is the readings/s of a shard's sites of one zone.
type ZoneLoad struct {
	Zone string
	Rate float64
}

// Home returns the home zone of a shard: the one of most of its sites' load. The
// zone where it is served now stays its home until another has 10 % more; of
// equals the first by name. Without sites, the home is where it is.
func Home(zones []ZoneLoad, now string) string {
	zones = slices.SortedFunc(slices.Values(zones), func(a, b ZoneLoad) int {
		return cmp.Or(strings.Compare(a.Zone, b.Zone), cmp.Compare(a.Rate, b.Rate))
	})
	home, most, here := now, 0.0, 0.0
	for len(zones) > 0 {
		zone, rate := zones[0].Zone, 0.0
		for len(zones) > 0 && zones[0].Zone == zone {
			rate += zones[0].Rate
			zones = zones[1:]
		}
		if zone == now {
			here = rate
		}
		if rate > most {
			home, most = zone, rate
		}
	}
	if most <= here*MinGain {
		return now
	}
	return home
}
