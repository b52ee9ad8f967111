package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

// window is how long pauses are watched, from the event on: longer than an
// election of the store's replicas (4 to 9 s).
const window = 15 * time.Second

// event is something that happens to a node, and how all is as before.
type event struct {
	name string
	fits func(n *nodes.Node, shards int) bool
	do   func(context.Context, *bench, *nodes.Node) error // nil: nothing
	back func(context.Context, *bench, *nodes.Node) error
}

func anyNode(*nodes.Node, int) bool                              { return true }
func core(n *nodes.Node, _ int) bool                             { return !n.Worker }
func busyWorker(n *nodes.Node, shards int) bool                  { return n.Worker && shards > 0 }
func kill(_ context.Context, _ *bench, n *nodes.Node) error      { return n.PowerOff() }
func leave(_ context.Context, _ *bench, n *nodes.Node) error     { return n.Leave() }
func restart(ctx context.Context, _ *bench, n *nodes.Node) error { return nodes.Start(ctx, n) }

// empty moves a node's shards to others while it runs, as people do before they
// take it away.
func empty(ctx context.Context, b *bench, n *nodes.Node) error {
	api := b.cluster.All[0].API
	d, err := api.Drain(ctx, n.Name, true)
	if err != nil {
		return err
	}
	return api.Emptied(ctx, d, func(client.Drain) error { return nil })
}

func refill(ctx context.Context, b *bench, n *nodes.Node) error {
	_, err := b.cluster.All[0].API.Drain(ctx, n.Name, false)
	return err
}

var events = []event{
	{"nothing happens", anyNode, nil, nil},
	{"a worker's shards are moved", busyWorker, empty, refill},
	{"a worker is killed", busyWorker, kill, restart},
	{"a core node is killed", core, kill, restart},
	{"a worker leaves", busyWorker, leave, restart},
}

// measure has each event happen so many times.
func (b *bench) measure(ctx context.Context, rounds int) ([]row, error) {
	var rows []row
	for _, e := range events {
		all := row{Event: e.name, Rounds: rounds}
		var took []times
		for i := range rounds {
			t, err := b.once(ctx, e, i)
			if err != nil {
				return rows, fmt.Errorf("%s, round %d: %w", e.name, i+1, err)
			}
			took = append(took, t)
		}
		all.Served = spreadOf(took, func(t times) time.Duration { return t.served })
		all.Leader = spreadOf(took, func(t times) time.Duration { return t.leader })
		all.Acks = spreadOf(took, func(t times) time.Duration { return t.acks })
		all.Commands = spreadOf(took, func(t times) time.Duration { return t.commands })
		all.Back = spreadOf(took, func(t times) time.Duration { return t.back })
		rows = append(rows, all)
	}
	return rows, nil
}

// times are what one event took, and the longest pauses while it happened.
type times struct{ served, leader, acks, commands, back time.Duration }

// once has an event happen, and all be as before.
func (b *bench) once(ctx context.Context, e event, round int) (t times, err error) {
	of, err := b.served(ctx)
	if err != nil {
		return t, err
	}
	n, err := choose(b.cluster, of, e, round)
	if err != nil {
		return t, err
	}
	// A node that came a moment ago is given shards soon; that is another event.
	if err := line.Pause(ctx, placement.StableFor); err != nil {
		return t, err
	}
	for _, all := range [][]*pauses{b.logs, b.acks, b.commands} {
		begin(all)
	}
	start := time.Now()
	if e.do != nil {
		if err := e.do(ctx, b, n); err != nil {
			return t, err
		}
		if _, err := b.served(ctx); err != nil {
			return t, err
		}
		t.served = time.Since(start)
	}
	if err := line.Pause(ctx, window-time.Since(start)); err != nil {
		return t, err
	}
	t.leader, t.acks, t.commands = longest(b.logs), longest(b.acks), longest(b.commands)
	if e.back != nil {
		start = time.Now()
		if err := e.back(ctx, b, n); err != nil {
			return t, err
		}
		t.back = time.Since(start)
	}
	return t, nil
}

// served waits until each shard is with one node that recovered it.
func (b *bench) served(ctx context.Context) (of map[int]nodes.Owner, err error) {
	err = line.Until(ctx, "every shard is served", func() (bool, error) {
		if err := b.cluster.Ready(ctx); err != nil {
			return false, err
		}
		of, err = b.cluster.Owners(ctx)
		return err == nil, err
	})
	return of, err
}

// choose takes another of the nodes that fit each round.
func choose(c *nodes.Cluster, of map[int]nodes.Owner, e event, round int) (*nodes.Node, error) {
	var fit []*nodes.Node
	for _, n := range c.Running() {
		shards := 0
		for _, o := range of {
			if o.Node == n.Name {
				shards++
			}
		}
		if e.fits(n, shards) {
			fit = append(fit, n)
		}
	}
	if len(fit) == 0 {
		return nil, fmt.Errorf("no node is one for it")
	}
	return fit[round%len(fit)], nil
}

func spreadOf(all []times, one func(times) time.Duration) spread {
	var took []time.Duration
	for _, t := range all {
		took = append(took, one(t))
	}
	slices.Sort(took)
	return spread{took[len(took)/2], took[len(took)-1]}
}
