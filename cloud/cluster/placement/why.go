package placement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Rule is what decided where a shard is to be.
type Rule uint8

// The rules.
const (
	TopRanked           Rule = iota + 1 // no node scores higher
	LoadBound                           // those that score higher, or its owner, have no room for it
	HysteresisKept                      // another scores higher, by MinGain at most
	NoRelief                            // another scores higher, but its owner has no more than its share
	Drain                               // its owner drains
	ZoneGone                            // no node of its home zone is live
	WaitingForStability                 // it is to move when membership has been quiet for StableFor
	MoveLimit                           // it is to move when one of MaxMoves has ended
	UnderWay                            // it is being handed over
	NobodyLives                         // there is no live node
)

func (r Rule) String() string {
	if r < TopRanked || r > NobodyLives {
		return fmt.Sprintf("rule %d", uint8(r))
	}
	return [...]string{
		"top-ranked", "load-bound", "hysteresis-kept", "no-relief", "drain", "zone-gone",
		"waiting-for-stability", "move-limit", "under-way", "nobody-lives",
	}[r-TopRanked]
}

// says is the rule in words.
func (r Rule) says() string {
	return [...]string{
		"no node scores higher",
		"its owner holds too much, or those that score higher do",
		fmt.Sprintf("another scores higher, but not by %.0f %%", (MinGain-1)*100),
		"another scores higher, but its owner holds no more than its share",
		"its owner drains",
		"no node of its home zone is live",
		fmt.Sprintf("it moves when no node has come or gone for %v", StableFor),
		fmt.Sprintf("it moves when fewer than %d shards are moving", MaxMoves),
		"its owner is handing it over",
		"no node is live",
	}[r-TopRanked]
}

// maxCandidates is how many nodes a reason names from the top; the owner and the
// target are named in any case. Whoever asks why wants the head of the list.
const maxCandidates = 5

// Reason says why a shard is to be on Target. Loads are those after the plan's
// moves.
type Reason struct {
	Shard  int
	Zone   string // its home
	Owner  string // now, "" for none
	State  State  // of Owner
	Target string // where it is to be, now or after a wait; "" if nowhere
	Rule   Rule
	// Candidates are the first of the ranked live nodes, and Owner and Target,
	// by rank.
	Candidates []Candidate
}

// Candidate is a live node as a shard ranks it: Score = Weight * Bonus / -ln(u),
// u in (0, 1) the hash of both.
type Candidate struct {
	Rank   int // from 1
	Node   string
	Zone   string
	Score  float64
	Health float64 // 1, or less if the node counts as smaller, by its measured load
	Weight float64 // capacity * Health
	Bonus  float64 // ZoneBonus in the home zone, otherwise 1
	Fill   float64 // the node's load as a part of its share
	Full   bool    // the load bound: it takes this shard no more
}

// why explains every shard, by number.
func (t *table) why() []Reason {
	reasons := make([]Reason, 0, len(t.shards))
	scores := make([]float64, len(t.live))
	for _, s := range t.shards {
		first := t.rank(s, scores)
		r := Reason{Shard: s.Number, Zone: s.Zone, Owner: s.Owner, State: s.owner}
		r.Rule, r.Target = t.rule(s, first)
		for _, name := range []string{r.Owner, r.Target} {
			at, lives := slices.BinarySearchFunc(t.live, name, func(n *node, name string) int { return strings.Compare(n.Name, name) })
			if lives && !slices.Contains(first, at) {
				first = append(first, at)
			}
		}
		for _, at := range first {
			r.Candidates = append(r.Candidates, t.candidate(s, scores, at))
		}
		slices.SortFunc(r.Candidates, func(a, b Candidate) int { return cmp.Compare(a.Rank, b.Rank) })
		reasons = append(reasons, r)
	}
	return reasons
}

// rank fills in the scores of the live nodes and returns which are the first
// maxCandidates, in order; of equals the first by name is first.
func (t *table) rank(s *shard, scores []float64) (first []int) {
	first = make([]int, 0, maxCandidates+2)
	for i, n := range t.live {
		scores[i] = t.score(s, n)
		at := len(first)
		for at > 0 && scores[first[at-1]] < scores[i] {
			at--
		}
		if at < maxCandidates {
			first = slices.Insert(first[:min(len(first), maxCandidates-1)], at, i)
		}
	}
	return first
}

// candidate describes one of the live nodes.
func (t *table) candidate(s *shard, scores []float64, at int) Candidate {
	rank := 1
	for i, score := range scores {
		if score > scores[at] || score == scores[at] && i < at {
			rank++
		}
	}
	n, bonus := t.live[at], 1.0
	if t.home(s, n) {
		bonus = ZoneBonus
	}
	return Candidate{
		Rank: rank, Node: n.Name, Zone: n.Zone, Score: scores[at], Health: n.health, Weight: n.weight, Bonus: bonus,
		Fill: n.fill(n.load), Full: t.full(s, n),
	}
}

// full reports whether the load bound keeps a shard from a node: the node's
// share, if the shard may as well stay where it is, otherwise the node's room.
func (t *table) full(s *shard, n *node) bool {
	switch {
	case s.at == n:
		return false
	case s.owner == Live && !s.began && !s.moved && s.at.load <= s.at.bound:
		return !t.takes(s, n)
	}
	return n.load+s.load > n.room
}

// rule names what decided, and the node where the shard is to be.
func (t *table) rule(s *shard, first []int) (Rule, string) {
	switch {
	case s.began:
		return UnderWay, s.Moving
	case len(first) == 0:
		return NobodyLives, ""
	case s.owner == Draining && !s.moved:
		return MoveLimit, t.choose(s).Name
	case s.owner == Draining:
		return Drain, s.at.Name
	}
	if w := t.want(s); w.to != nil {
		if !t.stable {
			return WaitingForStability, w.to.Name
		}
		return MoveLimit, w.to.Name
	}
	return t.kept(s, t.live[first[0]]), s.at.Name
}

// kept names the rule for a shard that is where it is to be. top is the node
// that it ranks first.
func (t *table) kept(s *shard, top *node) Rule {
	switch {
	case s.Zone != "" && !t.zones[s.Zone]:
		return ZoneGone
	case top == s.at:
		return TopRanked
	case s.moved:
		return LoadBound
	case t.score(s, top) <= t.score(s, s.at)*MinGain:
		return HysteresisKept
	case !t.takes(s, top):
		return LoadBound
	}
	return NoRelief
}

// String is the reason for people: a sentence, and the candidates one a line.
func (r Reason) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "shard %d", r.Shard)
	if r.Zone != "" {
		fmt.Fprintf(&b, ", at home in %s,", r.Zone)
	}
	switch {
	case r.Target == "" && r.State == Draining:
		fmt.Fprintf(&b, " stays on %s, which drains", r.Owner)
	case r.Target == "":
		b.WriteString(" is served by nobody")
	case r.Target == r.Owner:
		fmt.Fprintf(&b, " stays on %s", r.Target)
	case r.Owner == "":
		fmt.Fprintf(&b, " is to begin on %s", r.Target)
	default:
		fmt.Fprintf(&b, " is to go from %s (%v) to %s", r.Owner, r.State, r.Target)
	}
	fmt.Fprintf(&b, ": %v: %s\n", r.Rule, r.Rule.says())
	for _, c := range r.Candidates {
		fmt.Fprintf(&b, "%3d. %v\n", c.Rank, c)
	}
	return b.String()
}

// String is one line: the score with its factors, and how full the node is.
func (c Candidate) String() string {
	line := fmt.Sprintf("%s: score %.4g = weight %.4g", c.Node, c.Score, c.Weight)
	if c.Health < 1 {
		line += fmt.Sprintf(" (counts as %.0f %% of itself: it is busy)", c.Health*100)
	}
	if c.Bonus > 1 {
		line += fmt.Sprintf(" x %.0f for the home zone", c.Bonus)
	}
	line += fmt.Sprintf(" / %.4g; it holds %.0f %% of its share", c.Weight*c.Bonus/c.Score, c.Fill*100)
	if c.Full {
		line += ", no room for this shard"
	}
	return line
}
