package placement

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// size says what is drawn: zones and rates that differ, or the same for all.
type size struct{ zoned, uneven bool }

// fresh draws a cluster of live and quiet nodes and of shards without owners.
func fresh(t *rapid.T, z size) *cluster {
	zones, rate := rapid.Just(""), rapid.Just(100.0)
	if z.zoned {
		zones = rapid.SampledFrom([]string{"a", "b", "c"})
	}
	if z.uneven {
		rate = rapid.SampledFrom([]float64{0, 1, 10, 50, 100, 120, 1000})
	}
	c := &cluster{View{Now: noon, StableSince: noon.Add(-time.Minute)}}
	same := rapid.Bool().Draw(t, "equal nodes")
	for i := range rapid.IntRange(2, 9).Draw(t, "nodes") {
		n := Node{Name: fmt.Sprintf("n%d", i), Zone: zones.Draw(t, "zone"), Capacity: 4}
		if !same {
			n.Capacity = rapid.SampledFrom([]float64{1, 2, 4, 8}).Draw(t, "capacity")
		}
		c.Nodes = append(c.Nodes, n)
	}
	base := rapid.IntRange(0, 3000).Draw(t, "first shard")
	for i := range rapid.IntRange(1, 48).Draw(t, "shards") {
		c.Shards = append(c.Shards, Shard{Number: base + i, Zone: zones.Draw(t, "home"), Rate: rate.Draw(t, "rate")})
	}
	return c
}

// disturbed draws a cluster in any state: nodes that drain, are dead, are busy,
// shards anywhere and on their way.
func disturbed(t *rapid.T) *cluster {
	c := fresh(t, size{zoned: true, uneven: true})
	c.StableSince = noon.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "quiet")) * time.Second)
	names := []string{""}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		n.State = rapid.SampledFrom([]State{Live, Live, Live, Draining, Dead}).Draw(t, "state")
		n.Load = NodeLoad{
			Rate:    rapid.Float64Range(0, 2000).Draw(t, "node's rate"),
			CPU:     rapid.Float64Range(0, 1).Draw(t, "CPU"),
			Mailbox: rapid.SampledFrom([]float64{0, 100, 1e5}).Draw(t, "mailbox"),
			Growth:  rapid.SampledFrom([]float64{-5, 0, 5, 500}).Draw(t, "growth"),
		}
		names = append(names, n.Name)
	}
	for i := range c.Shards {
		s := &c.Shards[i]
		s.Owner = rapid.SampledFrom(names).Draw(t, "owner")
		if to := rapid.SampledFrom(names).Draw(t, "to"); s.Owner != "" && to != s.Owner && rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
			s.Moving = to
		}
	}
	return c
}

// books are the loads and shares of live nodes by the definition, in floating
// point and without a look at the planner's.
func (c *cluster) books() (load, share map[string]float64, size map[int]float64) {
	load, share, size = map[string]float64{}, map[string]float64{}, map[int]float64{}
	var rates, capacities float64
	for _, s := range c.Shards {
		rates += s.Rate
	}
	for _, s := range c.Shards {
		size[s.Number] = 1 / float64(len(c.Shards))
		if rates > 0 {
			size[s.Number] = 0.25/float64(len(c.Shards)) + 0.75*s.Rate/rates
		}
		load[s.Owner] += size[s.Number]
	}
	for _, n := range c.Nodes {
		if n.State == Live {
			capacities += n.Capacity
		}
	}
	for _, n := range c.Nodes {
		if n.State == Live {
			share[n.Name] = n.Capacity / capacities
		}
	}
	return load, share, size
}

func (c *cluster) state(name string) State {
	if name == "" {
		return Dead
	}
	return c.node(name).State
}

func TestEveryShardHasOneTargetAmongLiveNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := disturbed(t)
		p := c.decide(t)
		lives := slices.ContainsFunc(c.Nodes, func(n Node) bool { return n.State == Live })
		moves := map[int]Move{}
		for _, m := range p.Moves {
			if _, twice := moves[m.Shard]; twice {
				t.Fatalf("shard %d moves twice", m.Shard)
			}
			moves[m.Shard] = m
			s := c.shard(m.Shard)
			if c.state(m.To) != Live || m.From != s.Owner || m.To == s.Owner {
				t.Fatalf("%+v to a %v node, the owner is %q", m, c.state(m.To), s.Owner)
			}
			if want := map[bool]string{true: m.To, false: m.From}[c.state(m.From) == Dead]; m.By != want {
				t.Fatalf("%+v: %s is to act, want %s", m, m.By, want)
			}
		}
		if len(p.Why) != len(c.Shards) {
			t.Fatalf("%d reasons for %d shards", len(p.Why), len(c.Shards))
		}
		for i, r := range p.Why {
			s := c.shard(r.Shard)
			m, moves := moves[r.Shard]
			under := s.Moving != "" && c.state(s.Moving) != Dead && c.state(s.Owner) != Dead
			switch {
			case i > 0 && r.Shard <= p.Why[i-1].Shard:
				t.Fatalf("shard %d is explained behind %d", r.Shard, p.Why[i-1].Shard)
			case under && (moves || r.Target != s.Moving || r.Rule != UnderWay):
				t.Fatalf("shard %d is on its way to %s: %v", r.Shard, s.Moving, r)
			case !under && lives && c.state(r.Target) != Live:
				t.Fatalf("the target is %v: %v", c.state(r.Target), r)
			case !under && !lives && (r.Target != "" || r.Rule != NobodyLives):
				t.Fatalf("nobody lives: %v", r)
			case moves && r.Target != m.To:
				t.Fatalf("%+v, but %v", m, r)
			case lives && c.state(s.Owner) == Dead && !moves:
				t.Fatalf("nobody serves shard %d, and it does not move: %v", s.Number, r)
			}
			_ = r.String()
		}
	})
}

func TestAtMostTwoHandOversAreUnderWay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := disturbed(t)
		under := 0
		for _, s := range c.Shards {
			if s.Moving != "" && c.state(s.Moving) != Dead && c.state(s.Owner) != Dead {
				under++
			}
		}
		begin := 0
		for _, m := range c.decide(t).Moves {
			if c.state(m.From) != Dead {
				begin++
			}
		}
		if begin > max(2-under, 0) {
			t.Fatalf("%d hand-overs begin beside %d", begin, under)
		}
	})
}

func TestServedShardsWaitForAQuietMembership(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := disturbed(t)
		for _, m := range c.decide(t).Moves {
			if quiet := c.Now.Sub(c.StableSince); c.state(m.From) == Live && quiet < 10*time.Second {
				t.Fatalf("%+v after %v", m, quiet)
			}
		}
	})
}

func TestThePlanDoesNotDependOnTheOrderOfTheView(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := disturbed(t)
		before := c.clone()
		plan := c.decide(t)
		if !reflect.DeepEqual(before, c.View) {
			t.Fatal("the view was changed")
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		r.Shuffle(len(c.Nodes), func(i, j int) { c.Nodes[i], c.Nodes[j] = c.Nodes[j], c.Nodes[i] })
		r.Shuffle(len(c.Shards), func(i, j int) { c.Shards[i], c.Shards[j] = c.Shards[j], c.Shards[i] })
		if got := c.decide(t); !reflect.DeepEqual(got, plan) {
			t.Fatalf("another order gives %v, not %v", got, plan)
		}
	})
}

// TestARestingClusterIsWithinTheBound starts anywhere. At rest, a node above
// (1 + epsilon) of its share is one whose shards are too large: on nodes that are
// below theirs, none of them fits, and none would stand better by a tenth.
func TestARestingClusterIsWithinTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := disturbed(t)
		for i := range c.Nodes {
			c.Nodes[i].Load, c.Nodes[i].State = NodeLoad{}, Live
		}
		for i := range c.Shards {
			c.Shards[i].Moving = ""
		}
		c.StableSince = noon.Add(-time.Minute)
		c.rest(t)
		load, share, size := c.books()
		const hair = 1e-6
		for _, s := range c.Shards {
			o := s.Owner
			if load[o] <= 1.25*share[o]+hair {
				continue
			}
			for _, n := range c.Nodes {
				after := load[n.Name] + size[s.Number]
				fits := after < 1.25/1.1*share[n.Name]-hair
				if load[n.Name] < share[n.Name]-hair && (fits || after/share[n.Name]*1.1 < load[o]/share[o]-hair) {
					t.Fatalf("%s holds %.3f of a share of %.3f, and shard %d (%.3f) could go to %s (%.3f of %.3f)",
						o, load[o], share[o], s.Number, size[s.Number], n.Name, load[n.Name], share[n.Name])
				}
			}
		}
	})
}

// TestEqualShardsAreSpreadEvenly: equal nodes hold no more than the bound says,
// or the mean rounded up, from the first plan on.
func TestEqualShardsAreSpreadEvenly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := fresh(t, size{})
		for i := range c.Nodes {
			c.Nodes[i].Capacity = 4
		}
		c.perform(c.decide(t).Moves)
		if more := c.rest(t); len(more) > 0 {
			t.Fatalf("the first plan did not do: %v", more)
		}
		mean := float64(len(c.Shards)) / float64(len(c.Nodes))
		load, _, _ := c.books()
		for n, l := range load {
			if held := math.Round(l * float64(len(c.Shards))); held > max(math.Ceil(mean), 1.25*mean) {
				t.Fatalf("%s holds %.0f shards, the mean is %.2f", n, held, mean)
			}
		}
	})
}

// TestPlansComeToRest is the promise against flapping: in a view that does not
// change but by the plan's own moves, moves end. rest fails if they do not.
func TestPlansComeToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := disturbed(t)
		for i := range c.Shards {
			c.Shards[i].Moving = ""
		}
		c.StableSince = noon.Add(-time.Minute)
		if moves := c.rest(t); len(moves) > 3*len(c.Shards) {
			t.Fatalf("%d moves of %d shards", len(moves), len(c.Shards))
		}
		for _, s := range c.Shards {
			if c.state(s.Owner) != Live && slices.ContainsFunc(c.Nodes, func(n Node) bool { return n.State == Live }) {
				t.Fatalf("shard %d rests on %q, which is %v", s.Number, s.Owner, c.state(s.Owner))
			}
		}
	})
}

// TestAJoinMovesShardsToTheNewNodeOnly and no more than its share, rounded up.
// Only a node that the join has put above its bound, as the shares of all shrink,
// may relieve itself elsewhere.
func TestAJoinMovesShardsToTheNewNodeOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := fresh(t, size{})
		c.rest(t)
		c.Nodes = append(c.Nodes, Node{Name: "joined", Capacity: rapid.SampledFrom([]float64{1, 4, 8}).Draw(t, "capacity")})
		moved := 0
		for moves := c.decide(t).Moves; len(moves) > 0; moves = c.decide(t).Moves {
			load, share, _ := c.books()
			for _, m := range moves {
				if m.To == "joined" {
					moved++
				} else if load[m.From] <= 1.25*share[m.From] {
					t.Fatalf("%+v: it holds %.3f, its share is %.3f", m, load[m.From], share[m.From])
				}
			}
			c.perform(moves)
			if ideal := share["joined"] * float64(len(c.Shards)); float64(moved) > ideal+1 {
				t.Fatalf("%d shards moved, %.2f is the new node's share", moved, ideal)
			}
		}
	})
}

// TestALeaveMovesTheLeaversShardsOnly, and at once. Of equal shards, those that
// move later had been kept from a better node by the bound.
func TestALeaveMovesTheLeaversShardsOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := size{zoned: rapid.Bool().Draw(t, "zoned"), uneven: rapid.Bool().Draw(t, "uneven")}
		c := fresh(t, z)
		c.rest(t)
		had := c.decide(t).Why
		gone := &c.Nodes[rapid.IntRange(0, len(c.Nodes)-1).Draw(t, "leaver")]
		gone.State = Dead
		c.StableSince = c.Now
		moves := c.decide(t).Moves
		for _, s := range c.Shards {
			if moved := slices.ContainsFunc(moves, func(m Move) bool { return m.Shard == s.Number }); moved != (s.Owner == gone.Name) {
				t.Fatalf("shard %d of %s: moved %t", s.Number, s.Owner, moved)
			}
		}
		c.perform(moves)
		c.StableSince = c.Now.Add(-time.Minute)
		for _, m := range c.rest(t) {
			i, _ := slices.BinarySearchFunc(had, m.Shard, func(r Reason, n int) int { return cmp.Compare(r.Shard, n) })
			if !z.uneven && had[i].Owner != gone.Name && had[i].Rule == TopRanked {
				t.Fatalf("%+v: it was on its first node, which lives", m)
			}
		}
	})
}

// TestADrainEndsEmpty, whatever else goes on.
func TestADrainEndsEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := fresh(t, size{zoned: true, uneven: true})
		c.rest(t)
		c.StableSince = c.Now
		drained := c.Nodes[rapid.IntRange(0, len(c.Nodes)-1).Draw(t, "node")].Name
		c.node(drained).State = Draining
		held := 0
		for _, s := range c.Shards {
			if s.Owner == drained {
				held++
			}
		}
		for ; held > 0; held -= 2 {
			moves := c.decide(t).Moves
			if len(moves) != min(held, 2) {
				t.Fatalf("%d moves while %d are left", len(moves), held)
			}
			c.perform(moves)
		}
		for _, s := range c.Shards {
			if s.Owner == drained {
				t.Fatalf("shard %d is left", s.Number)
			}
		}
	})
}

// TestAZoneThatReturnsHasItsShardsBack: those that were at home, on the nodes
// that they rank first, are there again. Two things may keep one from its old node,
// and are said: the bound, and that its foster node scores as high but for a
// tenth.
func TestAZoneThatReturnsHasItsShardsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := fresh(t, size{zoned: true})
		c.rest(t)
		before := c.decide(t).Why
		for i := range c.Nodes {
			if c.Nodes[i].Zone == "a" {
				c.Nodes[i].State = Dead
			}
		}
		c.rest(t)
		for i := range c.Nodes {
			c.Nodes[i].State = Live
		}
		c.rest(t)
		after := c.decide(t).Why
		bound := func(r Reason) bool { return r.Rule == LoadBound }
		if slices.ContainsFunc(before, bound) || slices.ContainsFunc(after, bound) {
			return
		}
		for i, r := range before {
			if now := after[i]; r.Zone == "a" && c.node(r.Owner).Zone == "a" && r.Rule == TopRanked && now.Owner != r.Owner && now.Rule != HysteresisKept {
				t.Fatalf("it was %v, it is %v", r, now)
			}
		}
	})
}

// TestNoiseMovesNothing: equal shards whose rates swing by two percent.
func TestNoiseMovesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := fresh(t, size{})
		c.rest(t)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range 20 {
			for i := range c.Shards {
				c.Shards[i].Rate = 100 * (0.98 + 0.04*r.Float64())
			}
			if moves := c.decide(t).Moves; len(moves) > 0 {
				t.Fatalf("noise moves %v", moves)
			}
		}
	})
}

// TestNoiseSendsNoShardBack: whatever the loads are, a swing of two percent may
// tip what was on the edge, once; no shard comes back to a node that it left.
func TestNoiseSendsNoShardBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := fresh(t, size{zoned: true, uneven: true})
		c.rest(t)
		rates := slices.Clone(c.Shards)
		left := map[string]bool{}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for range 40 {
			for i := range c.Shards {
				c.Shards[i].Rate = rates[i].Rate * (0.98 + 0.04*r.Float64())
			}
			moves := c.decide(t).Moves
			for _, m := range moves {
				left[fmt.Sprint(m.Shard, m.From)] = true
				if left[fmt.Sprint(m.Shard, m.To)] {
					t.Fatalf("%+v: it left there", m)
				}
			}
			c.perform(moves)
		}
	})
}
