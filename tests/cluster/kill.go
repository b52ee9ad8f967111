package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

// What a node is to the data.
const (
	siteOwner = "an owner of a site"
	otherCore = "another core node"
	aWorker   = "a worker"
)

var roles = []string{siteOwner, otherCore, aWorker}

// kill kills nodes by role, one at a time.
func kill(ctx context.Context, t *rig) error {
	return t.each(ctx, t.Rounds(40, 4), roles, (*nodes.Node).PowerOff, t.restore)
}

// each takes a node away, by role, waits until its shards are served by others,
// and brings it back, as often as asked.
func (t *rig) each(ctx context.Context, rounds int, roles []string, away func(*nodes.Node) error, back func(context.Context, *nodes.Node) error) error {
	var took []time.Duration
	for i := range rounds {
		was, err := t.settled(ctx)
		if err != nil {
			return err
		}
		role := roles[i%len(roles)]
		n, err := t.one(ctx, role, was)
		if err != nil {
			return err
		}
		if err := line.Pause(ctx, t.Between(0, time.Second)); err != nil {
			return err
		}
		begin := time.Now()
		if err := away(n); err != nil {
			return err
		}
		is, err := t.healthy(ctx)
		if err != nil {
			return fmt.Errorf("round %d, without %s: %w", i+1, n.Name, err)
		}
		took = append(took, time.Since(begin))
		had, went := count(was, n.Name), moves(was, is)
		t.Result.Counts[moved] += went
		t.Say("round %d: %s, %s with %d shards; without it all were served after %v, %d moved", i+1, n.Name, role, had, took[i].Round(10*time.Millisecond), went)
		if went > had+1+t.scenario.beside {
			return fmt.Errorf("round %d: %s had %d shards, and %d moved", i+1, n.Name, had, went)
		}
		if err := back(ctx, n); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	slices.Sort(took)
	t.Note("until others served every shard: median %v, longest %v", took[len(took)/2].Round(10*time.Millisecond), took[len(took)-1].Round(10*time.Millisecond))
	return nil
}

// restore starts a node that is down, and leaves the cluster alone for a while.
func (t *rig) restore(ctx context.Context, n *nodes.Node) error {
	if err := nodes.Start(ctx, n); err != nil {
		return err
	}
	return t.holds(ctx)
}

// holds leaves the cluster alone for a while: then it is healthy, and what was
// sampled meanwhile is taken.
func (t *rig) holds(ctx context.Context) error {
	if err := line.Pause(ctx, hold); err != nil {
		return err
	}
	if _, err := t.healthy(ctx); err != nil {
		return err
	}
	return t.acked(ctx)
}

// one chooses a node of a role.
func (t *rig) one(ctx context.Context, role string, of map[int]nodes.Owner) (*nodes.Node, error) {
	sites, err := t.cluster.All[0].API.Sites(ctx)
	if err != nil {
		return nil, err
	}
	shard := sites[t.Rand.IntN(len(sites))].Shard
	if role == logLeader || role == mapLeader {
		return t.leads(ctx, role, shard)
	}
	owner := of[shard].Node
	var fit []*nodes.Node
	for _, n := range t.cluster.Running() {
		if role == siteOwner && n.Name == owner || role == otherCore && !n.Worker && n.Name != owner || role == aWorker && n.Worker {
			fit = append(fit, n)
		}
	}
	if len(fit) == 0 {
		return nil, fmt.Errorf("no node is %s", role)
	}
	return fit[t.Rand.IntN(len(fit))], nil
}

// count is how many shards a node has.
func count(of map[int]nodes.Owner, node string) (n int) {
	for _, o := range of {
		if o.Node == node {
			n++
		}
	}
	return n
}

// moves is how many shards have another owner in one state than in another. A
// claim that is made twice by one node moves nothing.
func moves(was, is map[int]nodes.Owner) (n int) {
	for shard, o := range is {
		if o.Node != was[shard].Node {
			n++
		}
	}
	return n
}
