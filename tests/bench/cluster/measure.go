package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

// window is how long pauses are watched, from the event on: longer than an
// election of the store's replicas (4 to 9 s).
const window = 15 * time.Second

// event is something that happens to a node.
type event struct {
	name string
	fits func(n *nodes.Node, shards int) bool
	do   func(*nodes.Node) error // nil: nothing
}

var events = []event{
	{"nothing happens", func(*nodes.Node, int) bool { return true }, nil},
	{"a worker is killed", func(n *nodes.Node, shards int) bool { return n.Worker && shards > 0 }, (*nodes.Node).PowerOff},
	{"a core node is killed", func(n *nodes.Node, _ int) bool { return !n.Worker }, (*nodes.Node).PowerOff},
	{"a worker is drained", func(n *nodes.Node, shards int) bool { return n.Worker && shards > 0 }, (*nodes.Node).Leave},
}

// measure has each event happen so many times.
func (b *bench) measure(ctx context.Context, rounds int) ([]row, error) {
	var rows []row
	for _, e := range events {
		var all [4][]time.Duration
		for i := range rounds {
			took, err := b.once(ctx, e, i)
			if err != nil {
				return rows, fmt.Errorf("%s, round %d: %w", e.name, i+1, err)
			}
			for k := range all {
				all[k] = append(all[k], took[k])
			}
		}
		rows = append(rows, row{e.name, rounds, spreadOf(all[0]), spreadOf(all[1]), spreadOf(all[2]), spreadOf(all[3])})
	}
	return rows, nil
}

// once returns until when all was served again, the longest pauses of a log and
// of acks, and how long the restart took.
func (b *bench) once(ctx context.Context, e event, round int) (took [4]time.Duration, err error) {
	of, err := b.served(ctx)
	if err != nil {
		return took, err
	}
	n, err := choose(b.cluster, of, e, round)
	if err != nil {
		return took, err
	}
	// A node that came a moment ago is given shards soon; that is another event.
	if err := line.Pause(ctx, placement.StableFor); err != nil {
		return took, err
	}
	begin(b.logs)
	begin(b.acks)
	start := time.Now()
	if e.do != nil {
		if err := e.do(n); err != nil {
			return took, err
		}
		if _, err := b.served(ctx); err != nil {
			return took, err
		}
		took[0] = time.Since(start)
	}
	if err := line.Pause(ctx, window-time.Since(start)); err != nil {
		return took, err
	}
	took[1], took[2] = longest(b.logs), longest(b.acks)
	if e.do != nil {
		start = time.Now()
		if err := nodes.Start(ctx, n); err != nil {
			return took, err
		}
		took[3] = time.Since(start)
	}
	return took, nil
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

func spreadOf(all []time.Duration) spread {
	slices.Sort(all)
	return spread{all[len(all)/2], all[len(all)-1]}
}
