package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

// killEvery is how many moves go by between those in which a node is killed.
const killEvery = 3

// move moves sites to other shards while their gateways send. In some moves the
// owner of one of the two shards is killed on the way.
func move(ctx context.Context, t *rig) error {
	var took []time.Duration
	for i := range t.Rounds(40, 6) {
		of, err := t.settled(ctx)
		if err != nil {
			return err
		}
		running := t.cluster.Running()
		c := running[t.Rand.IntN(len(running))].API
		sites, err := c.Sites(ctx)
		if err != nil {
			return err
		}
		site := sites[t.Rand.IntN(len(sites))]
		to := t.Rand.IntN(len(of) - 1)
		if to >= site.Shard {
			to++
		}
		killed := i%killEvery == killEvery-1
		d, err := t.moveOne(ctx, c, id.Site(site.Site), to, of, killed)
		if err != nil {
			return fmt.Errorf("round %d, %s from shard %d to %d: %w", i+1, site.Site, site.Shard, to, err)
		}
		if !killed {
			took = append(took, d)
		}
		if err := t.acked(ctx); err != nil {
			return err
		}
	}
	slices.Sort(took)
	t.Note("until a site was in its new shard: median %v, longest %v", took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	return nil
}

// moveOne moves a site, and returns how long that took.
func (t *rig) moveOne(ctx context.Context, c *client.Client, site id.Site, to int, of map[int]nodes.Owner, kill bool) (time.Duration, error) {
	begin := time.Now()
	s, err := c.MoveSite(ctx, site, to)
	if err != nil {
		return 0, err
	}
	var down *nodes.Node
	if kill {
		shard := []int{s.Shard, to}[t.Rand.IntN(2)]
		for _, n := range t.cluster.Running() {
			if n.Name == of[shard].Node {
				down = n
			}
		}
		if down == nil {
			return 0, fmt.Errorf("nobody runs by the name of shard %d's owner, %s", shard, of[shard].Node)
		}
		if err := line.Pause(ctx, t.Between(0, 200*time.Millisecond)); err != nil {
			return 0, err
		}
		if err := down.PowerOff(); err != nil {
			return 0, err
		}
		for _, n := range t.cluster.Running() {
			c = n.API
		}
	}
	within, cancel := context.WithTimeout(ctx, takeOver)
	defer cancel()
	if s, err = c.Settled(within, s); err != nil {
		return 0, err
	}
	took := time.Since(begin)
	if s.Shard != to {
		return took, fmt.Errorf("it settled in shard %d", s.Shard)
	}
	if down == nil {
		t.Say("%s moved to shard %d in %v", site, to, took.Round(time.Millisecond))
		return took, nil
	}
	t.Say("%s moved to shard %d in %v, while %s was killed", site, to, took.Round(time.Millisecond), down.Name)
	return took, t.restore(ctx, down)
}
