package seat

import (
	"slices"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
)

func active(owner string) cluster.Holding {
	return cluster.Holding{Document: cluster.Document{Owner: owner, State: cluster.Active, Epoch: 3}}
}

func offered(from, to string) cluster.Holding {
	return cluster.Holding{Document: cluster.Document{Owner: to, State: cluster.Offered, Epoch: 4}, From: from}
}

// What a node knows of its seats and what the map shows are of different
// moments: every mixture must give a decision, and a harmless one.
func TestANodeDecidesWhateverItsSeatsAndTheMapSayTogether(t *testing.T) {
	for name, c := range map[string]struct {
		shard shard
		drain bool // this node drains
		want  []act
	}{
		"nobody ever had it":                            {shard{}, false, []act{{0, ""}}},
		"it was this node's before a restart":           {shard{holding: active("a")}, false, []act{{0, ""}}},
		"it is being claimed":                           {shard{holding: active("a"), taken: true}, false, nil},
		"it is served":                                  {shard{holding: active("a"), taken: true, active: true}, false, nil},
		"it rests after a failure":                      {shard{holding: active("a"), resting: true}, false, nil},
		"it was lost and the map does not show to whom": {shard{holding: active("a"), resting: true}, false, nil},
		"it is offered to this node":                    {shard{holding: offered("b", "a")}, false, []act{{0, ""}}},
		"it is offered to this node by one unknown":     {shard{holding: offered("", "a")}, false, []act{{0, ""}}},
		"it is offered by this node":                    {shard{holding: offered("a", "b"), taken: true, active: true, to: "b"}, false, nil},
		"the other has it, and the seat is not up yet":  {shard{holding: active("b"), taken: true, active: true, to: "b"}, false, nil},
		"an offer was taken back":                       {shard{holding: offered("a", "a"), taken: true, active: true}, false, nil},
		"its owner is dead":                             {shard{holding: active("dead")}, false, []act{{0, ""}}},
		"its owner was never heard of":                  {shard{holding: active("ghost")}, false, []act{{0, ""}}},
		"its owner lives":                               {shard{holding: active("b")}, false, nil},
		"this node drains and serves it":                {shard{holding: active("a"), taken: true, active: true}, true, []act{{0, "b"}}},
		"this node drains and it recovers":              {shard{holding: active("a"), taken: true}, true, nil},
		"this node drains, and its offer was refused":   {shard{holding: active("a"), taken: true, active: true, tired: true}, true, nil},
		"this node drains, and has just started":        {shard{holding: active("a")}, true, []act{{0, ""}}},
	} {
		now := time.Unix(1e9, 0)
		a := placement.Node{Name: "a", Capacity: 1}
		if c.drain {
			a.State = placement.Draining
		}
		b := placement.Node{Name: "b", Capacity: 0.01} // so small that it gets nothing by itself
		acts, plan, err := decide(situation{
			node: "a", now: now, stable: now.Add(-time.Hour), shards: []shard{c.shard},
			nodes: []placement.Node{a, b, {Name: "dead", Capacity: 1, State: placement.Dead}},
		})
		if err != nil || !slices.Equal(acts, c.want) || len(plan.Why) != 1 {
			t.Errorf("%s: %v, %v, want %v", name, acts, err, c.want)
		}
	}
}
