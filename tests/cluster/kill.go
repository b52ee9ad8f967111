package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// What a node is to the data.
const (
	siteOwner = "an owner of a site"
	otherCore = "another core node"
	aWorker   = "a worker"
)

var roles = []string{siteOwner, otherCore, aWorker}

// kill kills nodes by role, one at a time.
func kill(ctx context.Context, t *trial) error {
	return t.each(ctx, t.rounds(40, 4), roles, func(n *node) error { return n.kill() }, t.restore)
}

// each takes a node away, by role, waits until its shards are served by others,
// and brings it back, as often as asked.
func (t *trial) each(ctx context.Context, rounds int, roles []string, away func(*node) error, back func(context.Context, *node) error) error {
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
		if err := line.Pause(ctx, t.upTo(time.Second)); err != nil {
			return err
		}
		begin := time.Now()
		if err := away(n); err != nil {
			return err
		}
		is, err := t.healthy(ctx)
		if err != nil {
			return fmt.Errorf("round %d, without %s: %w", i+1, n.name, err)
		}
		took = append(took, time.Since(begin))
		had, moved := count(was, n.name), moves(was, is)
		t.result.Moved += moved
		t.say("round %d: %s, %s with %d shards; without it all were served after %v, %d moved", i+1, n.name, role, had, took[i].Round(10*time.Millisecond), moved)
		if moved > had+1+t.beside {
			return fmt.Errorf("round %d: %s had %d shards, and %d moved", i+1, n.name, had, moved)
		}
		if err := back(ctx, n); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	slices.Sort(took)
	t.note("until others served every shard: median %v, longest %v", took[len(took)/2].Round(10*time.Millisecond), took[len(took)-1].Round(10*time.Millisecond))
	return nil
}

// restore starts a node that is down, and leaves the cluster alone for a while.
func (t *trial) restore(ctx context.Context, n *node) error {
	if err := start(ctx, n); err != nil {
		return err
	}
	return t.holds(ctx)
}

// holds leaves the cluster alone for a while: then it is healthy, and what was
// sampled meanwhile is taken.
func (t *trial) holds(ctx context.Context) error {
	if err := line.Pause(ctx, hold); err != nil {
		return err
	}
	if _, err := t.healthy(ctx); err != nil {
		return err
	}
	return t.acked(ctx)
}

// one chooses a node of a role.
func (t *trial) one(ctx context.Context, role string, of map[int]owner) (*node, error) {
	sites, err := t.nodes.all[0].api.Sites(ctx)
	if err != nil {
		return nil, err
	}
	owner := of[sites[t.rng.IntN(len(sites))].Shard].node
	var fit []*node
	for _, n := range t.nodes.running() {
		if role == siteOwner && n.name == owner || role == otherCore && !n.worker && n.name != owner || role == aWorker && n.worker {
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
