package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// roles are what a node is to the data, in the order of the rounds.
var roles = []string{"an owner of a site", "another core node", "a worker"}

// kill kills nodes by role, one at a time.
func kill(ctx context.Context, t *trial) error {
	var took []time.Duration
	for i := range t.rounds(40, 4) {
		was, err := t.settled(ctx)
		if err != nil {
			return err
		}
		victim, err := t.victim(ctx, roles[i%len(roles)], was)
		if err != nil {
			return err
		}
		if err := line.Pause(ctx, t.upTo(time.Second)); err != nil {
			return err
		}
		begin := time.Now()
		if err := victim.kill(); err != nil {
			return err
		}
		is, err := t.healthy(ctx)
		if err != nil {
			return fmt.Errorf("round %d, %s was killed: %w", i+1, victim.name, err)
		}
		took = append(took, time.Since(begin))
		had, moved := count(was, victim.name), moves(was, is)
		t.result.Moved += moved
		t.say("round %d: killed %s, %s with %d shards; all were served again after %v, %d moved", i+1, victim.name, roles[i%len(roles)], had, took[i].Round(10*time.Millisecond), moved)
		if moved > had+1 {
			return fmt.Errorf("round %d: %s had %d shards, and %d moved", i+1, victim.name, had, moved)
		}
		if err := t.restore(ctx, victim); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	slices.Sort(took)
	t.note("from the kill until every shard was served: median %v, longest %v", took[len(took)/2].Round(10*time.Millisecond), took[len(took)-1].Round(10*time.Millisecond))
	return nil
}

// restore starts a node that is down, and leaves the cluster alone for a while.
func (t *trial) restore(ctx context.Context, n *node) error {
	if err := start(ctx, n); err != nil {
		return err
	}
	if err := line.Pause(ctx, hold); err != nil {
		return err
	}
	if _, err := t.healthy(ctx); err != nil {
		return err
	}
	return t.acked(ctx)
}

// victim chooses a node.
func (t *trial) victim(ctx context.Context, role string, of map[int]owner) (*node, error) {
	sites, err := t.nodes.all[0].api.Sites(ctx)
	if err != nil {
		return nil, err
	}
	owner := of[sites[t.rng.IntN(len(sites))].Shard].node
	var fit []*node
	for _, n := range t.nodes.running() {
		if role == roles[0] && n.name == owner || role == roles[1] && !n.worker && n.name != owner || role == roles[2] && n.worker {
			fit = append(fit, n)
		}
	}
	if len(fit) == 0 {
		return nil, fmt.Errorf("no node is %s", role)
	}
	return fit[t.rng.IntN(len(fit))], nil
}

// count is how many shards a node has.
func count(of map[int]owner, node string) (n int) {
	for _, o := range of {
		if o.node == node {
			n++
		}
	}
	return n
}

// moves is how many times shards were claimed between two states.
func moves(was, is map[int]owner) (n int) {
	for shard, o := range is {
		n += int(o.epoch - was[shard].epoch)
	}
	return n
}
