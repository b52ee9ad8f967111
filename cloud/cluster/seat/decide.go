package seat

import (
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
)

// situation is all that a decision is made from.
type situation struct {
	node   string // this one
	now    time.Time
	stable time.Time // since when no node came or went
	nodes  []placement.Node
	shards []shard // by number
}

// shard is one as this node sees it.
type shard struct {
	holding cluster.Holding
	zones   []placement.ZoneLoad // of its sites
	rate    float64              // readings/s

	// Of this node's seat.
	taken   bool   // from the claim to the end
	active  bool   // it is recovered
	to      string // the node that it is being handed to
	resting bool   // after a failure, or until the map shows who has it now
	tired   bool   // an offer was not taken: none for a while
}

// act is what this node is to do with a shard: claim it, or hand it to a node.
type act struct {
	shard int
	to    string // "" to claim
}

// decide returns what this node is to do now, and the plan for the cluster.
func decide(s situation) ([]act, placement.Plan, error) {
	view := s.view()
	plan, err := placement.Decide(view)
	if err != nil {
		return nil, placement.Plan{}, err
	}
	var acts []act
	claimed := make(map[int]bool)
	for i, sh := range s.shards {
		// What is offered to this node, or what it had before it was started
		// again: others leave that to it, also if it drains.
		if sh.holding.Owner == s.node && !sh.taken && !sh.resting {
			acts = append(acts, act{shard: i})
			claimed[i] = true
		}
	}
	for _, m := range plan.Moves {
		if m.By != s.node || claimed[m.Shard] {
			continue
		}
		switch sh := s.shards[m.Shard]; {
		case !sh.taken && m.To == s.node && !sh.resting:
			acts = append(acts, act{shard: m.Shard})
		case sh.taken && sh.active && sh.to == "" && !sh.tired && m.To != s.node:
			acts = append(acts, act{shard: m.Shard, to: m.To})
		}
	}
	return acts, plan, nil
}

// view is the situation for placement. An owner that no node knows is dead.
func (s *situation) view() placement.View {
	v := placement.View{Now: s.now, StableSince: s.stable, Nodes: s.nodes}
	zones := make(map[string]string, len(s.nodes))
	for _, n := range s.nodes {
		zones[n.Name] = n.Zone
	}
	for i, sh := range s.shards {
		owner := sh.holding.Serving()
		p := placement.Shard{Number: i, Rate: sh.rate, Owner: owner}
		if owner == s.node { // otherwise it has gone, and its seat is about to notice
			p.Moving = sh.to
		}
		if sh.holding.State == cluster.Offered && sh.holding.Owner != owner {
			p.Moving = sh.holding.Owner
		}
		for _, name := range []string{p.Owner, p.Moving} {
			if _, known := zones[name]; !known && name != "" {
				zones[name] = ""
				v.Nodes = append(v.Nodes[:len(v.Nodes):len(v.Nodes)], placement.Node{Name: name, Capacity: 1, State: placement.Dead})
			}
		}
		p.Zone = placement.Home(sh.zones, zones[owner])
		v.Shards = append(v.Shards, p)
	}
	return v
}
