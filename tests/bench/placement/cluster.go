package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
)

// zones are three, the largest first: sites and nodes are spread over them alike.
var zones = []struct {
	name string
	part float64
}{{"a", 0.5}, {"b", 0.3}, {"c", 0.2}}

// cluster is a view whose plans are carried out at once.
type cluster struct{ placement.View }

// raise makes nodes of equal capacity and shards that carry sites. A site's
// readings/s are log-normal (median 5, a few buildings of thousands); it goes to
// the shard with the fewest sites of those that began in its zone. Everything
// follows from a seed.
func raise(nodes, shards, sites int) *cluster {
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := &cluster{placement.View{Now: now, StableSince: now.Add(-time.Hour)}}
	for i := range nodes {
		c.Nodes = append(c.Nodes, placement.Node{Name: fmt.Sprintf("node-%03d", i), Zone: zoneOf((float64(i) + 0.5) / float64(nodes)), Capacity: 8})
	}
	loads := make([][]placement.ZoneLoad, shards)
	rates := make([]float64, shards)
	next := map[string]int{}
	byZone := map[string][]int{}
	for i := range shards {
		z := zoneOf((float64(i) + 0.5) / float64(shards))
		byZone[z] = append(byZone[z], i)
	}
	for range sites {
		z := zoneOf(r.Float64())
		shard := byZone[z][next[z]%len(byZone[z])]
		next[z]++
		rate := 5 * math.Exp(1.5*r.NormFloat64())
		rates[shard] += rate
		if len(loads[shard]) == 0 {
			loads[shard] = []placement.ZoneLoad{{Zone: z}}
		}
		loads[shard][0].Rate += rate
	}
	for i := range shards {
		c.Shards = append(c.Shards, placement.Shard{Number: i, Zone: placement.Home(loads[i], ""), Rate: rates[i]})
	}
	return c
}

func zoneOf(x float64) string {
	for _, z := range zones {
		if x -= z.part; x < 0 {
			return z.name
		}
	}
	return zones[len(zones)-1].name
}

func (c *cluster) clone() *cluster {
	v := c.View
	v.Nodes, v.Shards = slices.Clone(v.Nodes), slices.Clone(v.Shards)
	return &cluster{v}
}

// rest carries plans out until there is nothing to do.
func (c *cluster) rest() ([]placement.Move, error) {
	var all []placement.Move
	for {
		p, err := placement.Decide(c.View)
		if err != nil || len(p.Moves) == 0 {
			return all, err
		}
		for _, m := range p.Moves {
			c.Shards[m.Shard].Owner = m.To
		}
		all = append(all, p.Moves...)
	}
}

// time returns the median time of a plan.
func (c *cluster) time(runs int) (time.Duration, error) {
	var took []time.Duration
	for range runs {
		begin := time.Now()
		if _, err := placement.Decide(c.View); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// loads returns the readings/s by owner.
func (c *cluster) loads() map[string]float64 {
	loads := map[string]float64{}
	for _, s := range c.Shards {
		loads[s.Owner] += s.Rate
	}
	return loads
}

func (c *cluster) fullest() float64 { return c.overMean(c.loads()) }

func (c *cluster) overMean(loads map[string]float64) float64 {
	var sum, most float64
	for _, l := range loads {
		sum += l
		most = max(most, l)
	}
	live := 0
	for _, n := range c.Nodes {
		if n.State == placement.Live {
			live++
		}
	}
	return most / (sum / float64(live))
}

// atHome returns the part of the readings that is served in its zone.
func (c *cluster) atHome() float64 {
	zone := map[string]string{}
	for _, n := range c.Nodes {
		zone[n.Name] = n.Zone
	}
	var home, all float64
	for _, s := range c.Shards {
		all += s.Rate
		if zone[s.Owner] == s.Zone {
			home += s.Rate
		}
	}
	return home / all
}

// byRank returns how full the fullest node would be without a bound, and how
// many shards are on the node that they rank first.
func (c *cluster) byRank(why []placement.Reason) (fullest, first float64) {
	loads := map[string]float64{}
	for i, r := range why {
		top := r.Candidates[0].Node
		loads[top] += c.Shards[i].Rate
		if top == r.Owner {
			first++
		}
	}
	return c.overMean(loads), first / float64(len(why))
}

// happened is what one event moved.
type happened struct {
	ideal    float64
	moved    int // shards whose owner is another in the end
	elsewise int // of these, neither from the leaver nor to the joined
	fullest  float64
}

// join adds a node, in each zone in turn.
func (c *cluster) join(i int) (happened, error) {
	name := fmt.Sprintf("joined-%d", i)
	c.Nodes = append(c.Nodes, placement.Node{Name: name, Zone: zones[i%len(zones)].name, Capacity: 8})
	return c.settle(name, float64(len(c.Shards))/float64(len(c.Nodes)))
}

// leave kills a node.
func (c *cluster) leave(i int) (happened, error) {
	n := &c.Nodes[(i*131+7)%len(c.Nodes)]
	n.State = placement.Dead
	held := 0
	for _, s := range c.Shards {
		if s.Owner == n.Name {
			held++
		}
	}
	return c.settle(n.Name, float64(held))
}

// settle rests, and counts the shards that are elsewhere than before.
func (c *cluster) settle(about string, ideal float64) (happened, error) {
	before := c.clone()
	if _, err := c.rest(); err != nil {
		return happened{}, err
	}
	h := happened{ideal: ideal, fullest: c.fullest()}
	for i, s := range c.Shards {
		from := before.Shards[i].Owner
		if s.Owner == from {
			continue
		}
		h.moved++
		if from != about && s.Owner != about {
			h.elsewise++
		}
	}
	return h, nil
}

// loseZone kills the smallest zone and lets it return. The change is of the
// return; the ideal is what had been served there.
func (c *cluster) loseZone() (out change, same int, err error) {
	c = c.clone()
	lost := zones[len(zones)-1].name
	before := c.clone()
	zone := map[string]string{}
	for i := range c.Nodes {
		zone[c.Nodes[i].Name] = c.Nodes[i].Zone
		if c.Nodes[i].Zone == lost {
			c.Nodes[i].State = placement.Dead
		}
	}
	if _, err := c.rest(); err != nil {
		return out, 0, err
	}
	for i := range c.Nodes {
		c.Nodes[i].State = placement.Live
	}
	foster := c.clone()
	if _, err := c.rest(); err != nil {
		return out, 0, err
	}
	for i, s := range c.Shards {
		was := before.Shards[i].Owner
		if zone[was] == lost {
			out.Ideal++
			if s.Owner == was {
				same++
			}
		}
		if s.Owner != foster.Shards[i].Owner {
			out.Most++
			if zone[s.Owner] != lost {
				out.Elsewise++
			}
		}
	}
	out.Moved, out.Fullest = float64(out.Most), c.fullest()
	return out, same, nil
}
