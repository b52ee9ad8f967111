package placement

import (
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	// MaxNodes and MaxShards bound a view: at this size a plan takes half a
	// second, which is less than a death takes to be noticed.
	MaxNodes  = 1024
	MaxShards = 4096

	// A capacity outside of these is a typing mistake: from a hundredth of a
	// core to ten thousand of them.
	minCapacity, maxCapacity = 0.01, 10_000
	// MaxRate, in readings/s, keeps sums exact enough to compare: a cluster of
	// MaxNodes at a hundred million readings/s each.
	MaxRate = 1e11
)

// ErrView says that a view contradicts itself. Nothing is decided from it.
var ErrView = errors.New("the view is invalid")

// State says what may be asked of a node.
type State uint8

// The states of a node.
const (
	Live     State = iota
	Draining       // serves what it has, gets nothing, loses everything
	Dead           // serves nothing
)

func (s State) String() string {
	if s > Dead {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return [...]string{"live", "draining", "dead"}[s]
}

// View is what the cluster knows at Now. Nodes and shards stand in any order;
// the order changes nothing.
type View struct {
	Now         time.Time
	StableSince time.Time // when a node last came or went
	Nodes       []Node    // every owner is among them, be it dead
	Shards      []Shard
}

// Node is a member of the cluster.
type Node struct {
	Name     string
	Zone     string  // "" for none
	Capacity float64 // beside other nodes, for example its cores
	State    State
	Load     NodeLoad
}

// NodeLoad is what a node measured of itself, of late and over the same time.
type NodeLoad struct {
	Rate    float64 // readings/s applied
	CPU     float64 // share of its cores that was busy, 0 to 1
	Mailbox float64 // messages that wait in its mailboxes
	Growth  float64 // by how many a second they became more; negative: fewer

	// What placement does not weigh: where to put a shard follows from the work,
	// whether there is too much of it from this, too (package scaling).
	Ack   time.Duration // 99th percentile, from a message's arrival at its gate until it is durable
	Delay time.Duration // the longest that a message waited in its shards' logs for their owner
}

// Shard is a unit of ownership.
type Shard struct {
	Number int
	Zone   string  // its home, see Home; "" for none
	Rate   float64 // readings/s
	Owner  string  // "" if it never had one
	Moving string  // the node that Owner is handing it to, "" for none
}

// check returns an error that names the first thing wrong.
func (v View) check() error {
	switch {
	case v.Now.IsZero():
		return fmt.Errorf("%w: it has no time", ErrView)
	case len(v.Nodes) > MaxNodes || len(v.Shards) > MaxShards:
		return fmt.Errorf("%w: %d nodes and %d shards, at most %d and %d are placed", ErrView, len(v.Nodes), len(v.Shards), MaxNodes, MaxShards)
	}
	nodes := make(map[string]bool, len(v.Nodes))
	for _, n := range v.Nodes {
		if err := n.Check(); err != nil {
			return fmt.Errorf("%w: node %q: %w", ErrView, n.Name, err)
		}
		if nodes[n.Name] {
			return fmt.Errorf("%w: node %q is there twice", ErrView, n.Name)
		}
		nodes[n.Name] = true
	}
	shards := make(map[int]bool, len(v.Shards))
	for _, s := range v.Shards {
		if err := s.check(nodes); err != nil {
			return fmt.Errorf("%w: shard %d: %w", ErrView, s.Number, err)
		}
		if shards[s.Number] {
			return fmt.Errorf("%w: shard %d is there twice", ErrView, s.Number)
		}
		shards[s.Number] = true
	}
	return nil
}

// Check returns an error that names the first thing wrong with a node: a view
// that has it is refused.
func (n Node) Check() error {
	l := n.Load
	switch {
	case n.Name == "":
		return errors.New("it has no name")
	case n.State > Dead:
		return fmt.Errorf("%v, want live, draining or dead", n.State)
	case !within(n.Capacity, minCapacity, maxCapacity):
		return fmt.Errorf("capacity %v, want %v to %v", n.Capacity, minCapacity, maxCapacity)
	case !within(l.Rate, 0, MaxRate):
		return fmt.Errorf("%v readings/s, want 0 to %v", l.Rate, MaxRate)
	case !within(l.CPU, 0, 1):
		return fmt.Errorf("CPU share %v, want 0 to 1", l.CPU)
	case !within(l.Mailbox, 0, math.MaxFloat64):
		return fmt.Errorf("%v waiting messages, want 0 or more", l.Mailbox)
	case !within(l.Growth, -math.MaxFloat64, math.MaxFloat64):
		return fmt.Errorf("mailboxes that grow by %v a second, want a number", l.Growth)
	case l.Ack < 0 || l.Delay < 0:
		return fmt.Errorf("latencies %v and %v, want 0 or more", l.Ack, l.Delay)
	}
	return nil
}

func (s Shard) check(nodes map[string]bool) error {
	switch {
	case s.Number < 0:
		return errors.New("want a number of 0 or more")
	case !within(s.Rate, 0, MaxRate):
		return fmt.Errorf("%v readings/s, want 0 to %v", s.Rate, MaxRate)
	case s.Owner != "" && !nodes[s.Owner]:
		return fmt.Errorf("its owner %q is not among the nodes; one that is gone is there as dead", s.Owner)
	case s.Moving != "" && !nodes[s.Moving]:
		return fmt.Errorf("it moves to %q, which is not among the nodes", s.Moving)
	case s.Moving != "" && s.Owner == "":
		return fmt.Errorf("it moves to %q and has no owner: nobody can hand it over", s.Moving)
	case s.Moving != "" && s.Moving == s.Owner:
		return fmt.Errorf("it moves to its owner %q", s.Moving)
	}
	return nil
}

// within is false for NaN.
func within(x, low, high float64) bool { return low <= x && x <= high }
