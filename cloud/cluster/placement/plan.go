package placement

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// MinGain is how much higher than its owner a node must score for a shard to
	// move there: weights are made of measurements, which swing by a few percent.
	MinGain = 1.10
	// StableFor is how long membership must have been quiet before a shard leaves
	// a node that serves it: one that restarts is back within, and finds its
	// shards where they were. While a node drains nothing is quiet.
	StableFor = 10 * time.Second
	// MaxMoves is how many hand-overs may be under way at once: each pauses the
	// commands of its sites, and two show whether one hurts before the next.
	MaxMoves = 2
)

// Plan is what is to be done now, and why every shard is where it is.
type Plan struct {
	Moves []Move
	Why   []Reason // by the shard's number
}

// Move gives a shard to another node.
type Move struct {
	Shard    int
	From, To string // From is "" or dead for a shard that nobody serves
	// By is the node that acts: the owner hands a shard over that it serves, as
	// only it can pause it; a shard that nobody serves is claimed by To.
	By string
}

// Decide returns the plan for a view. ErrView: the view contradicts itself.
func Decide(v View) (Plan, error) {
	if err := v.check(); err != nil {
		return Plan{}, fmt.Errorf("placement: %w", err)
	}
	t := newTable(v)
	t.rescue()
	t.drain()
	t.improve()
	return Plan{Moves: t.moves, Why: t.why()}, nil
}

// table is a view with the loads added up. They count where a shard is to be:
// on the target of a move from the moment that it is decided.
type table struct {
	live   []*node // by name
	zones  map[string]bool
	byName map[string]*node // live
	shards []*shard         // by number
	stable bool
	slots  int // hand-overs that may begin
	moves  []Move
}

// shard is a Shard and where it stands in the plan.
type shard struct {
	Shard
	hash  uint64
	load  int64
	owner State // of its owner; Dead without one
	at    *node // where its load counts: its owner, if live, or its target
	began bool  // its move is under way
	moved bool  // its move is in this plan
}

func newTable(v View) *table {
	t := &table{
		zones: map[string]bool{}, byName: map[string]*node{},
		stable: v.Now.Sub(v.StableSince) >= StableFor, slots: MaxMoves,
	}
	numbered := slices.SortedFunc(slices.Values(v.Shards), func(a, b Shard) int { return cmp.Compare(a.Number, b.Number) })
	loads := sizes(numbered)
	var all int64
	for _, l := range loads {
		all += l
	}
	t.live = weigh(v.Nodes, all)
	states := make(map[string]State, len(v.Nodes))
	for _, n := range v.Nodes {
		states[n.Name] = n.State
	}
	for _, n := range t.live {
		t.byName[n.Name], t.zones[n.Zone] = n, n.Zone != ""
	}
	for i, s := range numbered {
		one := &shard{Shard: s, hash: hashShard(s.Number), load: loads[i], owner: Dead}
		if s.Owner != "" {
			one.owner = states[s.Owner]
		}
		if one.owner == Draining { // it is about to go: where the others are better off is not known yet
			t.stable = false
		}
		t.settle(one, states)
		t.shards = append(t.shards, one)
	}
	return t
}

// settle finds where a shard's load counts. A move whose owner or target has
// died is none any more.
func (t *table) settle(s *shard, states map[string]State) {
	if s.owner == Dead {
		return
	}
	s.at = t.byName[s.Owner] // nil if it drains
	if s.Moving != "" && states[s.Moving] != Dead {
		s.began, s.at = true, t.byName[s.Moving]
		t.slots--
	}
	if s.at != nil {
		s.at.load += s.load
	}
}

// score is how high a shard ranks a node.
func (t *table) score(s *shard, n *node) float64 {
	weight := n.weight
	if t.home(s, n) {
		weight *= ZoneBonus
	}
	return score(weight, n.hash, s.hash)
}

func (t *table) home(s *shard, n *node) bool { return s.Zone != "" && n.Zone == s.Zone }

// rescue gives the shards that nobody serves to nodes at once, the largest
// first, as they need the most room.
func (t *table) rescue() {
	var orphans []*shard
	for _, s := range t.shards {
		if s.owner == Dead {
			orphans = append(orphans, s)
		}
	}
	slices.SortStableFunc(orphans, func(a, b *shard) int { return cmp.Compare(b.load, a.load) })
	for _, s := range orphans {
		if to := t.choose(s); to != nil {
			t.move(s, to, to.Name)
		}
	}
}

// drain empties draining nodes. It waits for nothing but its turn: they are
// about to stop, and a drain that waits for others' comings and goings may not
// end in time.
func (t *table) drain() {
	for _, s := range t.shards {
		if s.owner != Draining || s.began || t.slots <= 0 {
			continue
		}
		if to := t.choose(s); to != nil {
			t.slots--
			t.move(s, to, s.Owner)
		}
	}
}

// choose returns the node for a shard that must go somewhere: the highest ranked
// that has room, or, as shards are whole and may fit nowhere, the highest ranked
// of those that it would leave least full, give or take what relief would not
// undo. nil: nobody lives.
func (t *table) choose(s *shard) *node {
	least := math.Inf(1)
	for _, n := range t.live {
		least = min(least, n.fill(n.load+s.load))
	}
	var fits, spills *node
	var fitsScore, spillsScore float64
	for _, n := range t.live {
		score := t.score(s, n)
		if score > fitsScore && n.load+s.load <= n.room {
			fits, fitsScore = n, score
		}
		if score > spillsScore && n.fill(n.load+s.load) <= least*MinGain {
			spills, spillsScore = n, score
		}
	}
	if fits != nil {
		return fits
	}
	return spills
}

// improve moves shards that would be better off elsewhere, first those of nodes
// above their bound, and of these the one that gains most or loses least.
func (t *table) improve() {
	if !t.stable {
		return
	}
	for ; t.slots > 0; t.slots-- {
		var best wish
		var shard *shard
		for _, s := range t.shards {
			if w := t.want(s); w.over(best) {
				best, shard = w, s
			}
		}
		if shard == nil {
			return
		}
		t.move(shard, best.to, shard.Owner)
	}
}

// wish is a move that a served shard is worth.
type wish struct {
	to     *node // nil for none
	gain   float64
	relief bool // its owner is above its bound
}

// over reports whether w goes before other.
func (w wish) over(other wish) bool {
	switch {
	case w.to == nil:
		return false
	case other.to == nil || w.relief != other.relief:
		return other.to == nil || w.relief
	}
	return w.gain > other.gain
}

// want returns the move that a shard on a live node is worth: one that gains
// more than MinGain in rank and either brings it home or relieves a node above
// its share. Rank for its own sake would have each move make room for the next.
// From a node above its bound any shard may go to a node below its share, if
// there is room for it or clearly more than here.
func (t *table) want(s *shard) wish {
	o := s.at
	if s.owner != Live || s.began || s.moved {
		return wish{}
	}
	relief, giving := o.load > o.bound, o.load > o.share
	if !giving && (t.home(s, o) || !t.zones[s.Zone]) {
		return wish{}
	}
	own := t.score(s, o)
	var best, spill wish
	for _, n := range t.live {
		if n == o {
			continue
		}
		w := wish{n, t.score(s, n) / own, relief}
		after := n.load + s.load
		below := relief && n.load < n.share
		gains := w.gain > MinGain && (giving || t.homecoming(s, n)) && t.takes(s, n)
		if (gains || below && after <= n.room) && w.over(best) {
			best = w
		}
		if below && n.fill(after)*MinGain < o.fill(o.load) && w.over(spill) {
			spill = w
		}
	}
	if best.to == nil {
		return spill
	}
	return best
}

func (t *table) homecoming(s *shard, n *node) bool { return t.home(s, n) && !t.home(s, s.at) }

// takes reports whether a node has a place for a shard that ranks it higher than
// where it is: within the node's share, for one that comes home up to its room,
// or where it is no more crowded than here.
func (t *table) takes(s *shard, n *node) bool {
	after := n.load + s.load
	if !t.homecoming(s, n) {
		return after <= n.share
	}
	there, here := n.fill(after), s.at.fill(s.at.load)
	// A tie between nodes of different size would fill the larger one's place.
	return after <= n.room || there < here || there == here && n.share == s.at.share
}

// move decides one. Its load counts on the target from here on.
func (t *table) move(s *shard, to *node, by string) {
	if s.at != nil {
		s.at.load -= s.load
	}
	s.at, s.moved = to, true
	to.load += s.load
	t.moves = append(t.moves, Move{Shard: s.Number, From: s.Owner, To: to.Name, By: by})
}
