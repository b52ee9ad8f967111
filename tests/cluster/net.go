package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/lan"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
	"github.com/atrium-iot/atrium/tests/trial"
)

// networks is what scenarios need that cut them: each node has a network
// namespace.
var networks = trial.Need{Name: "networks of its own", Try: lan.Check}

// severed are networks that are cut.
var severed = []scenario{
	{
		name:     "isolate",
		protects: "a node that no other reaches, while gateways and people do, does no harm, and says that it may be wrong",
		needs:    []trial.Need{networks},
		workers:  1,
		apart:    true,
		asked:    true,
		lag:      deposed,
		long:     true,
		run:      isolate,
	},
	{
		name:     "deaf",
		protects: "nothing is lost while one node does not hear another that hears it",
		needs:    []trial.Need{networks},
		apart:    true,
		asked:    true,
		lag:      deposed,
		long:     true,
		run:      deafen,
	},
	{
		name:     "lossy",
		protects: "nothing is lost while packets between nodes get lost",
		needs:    []trial.Need{networks},
		apart:    true,
		asked:    true,
		lag:      deposed,
		long:     true,
		run:      lossy,
	},
}

const (
	// What a node is to the store.
	logLeader = "the leader of a site's log"
	mapLeader = "the leader of the owners' documents"

	// ownersStream has who owns which shard (NATS ADR-8).
	ownersStream = "KV_owners"

	// aloneFor is the longest time for which a node stays cut off after others
	// serve its shards.
	aloneFor = 10 * time.Second
	// deafFor is how long one of two nodes does not hear the other: longer than
	// any silence that membership or the store waits for.
	deafFor = 20 * time.Second
	// poorFor is how long packets get lost, and lossPercent how many.
	poorFor     = 30 * time.Second
	lossPercent = 10
)

// isolate cuts nodes off from all others, by role. Gateways and people still
// reach them.
func isolate(ctx context.Context, t *rig) error {
	cut := func(n *nodes.Node) error {
		n.Down = true
		return t.lan.Isolate(n.Host)
	}
	heal := func(ctx context.Context, n *nodes.Node) error {
		if err := line.Pause(ctx, t.Between(0, aloneFor)); err != nil {
			return err
		}
		n.Down = false
		if err := t.lan.Heal(); err != nil {
			return err
		}
		return t.holds(ctx)
	}
	return t.each(ctx, t.Rounds(12, 3), []string{siteOwner, logLeader, mapLeader}, cut, heal)
}

// deafen has one core node not hear another for a while, which hears it, and
// whom the third one hears: none of them is dead to all.
func deafen(ctx context.Context, t *rig) error {
	for i := range t.Rounds(6, 1) {
		if _, err := t.settled(ctx); err != nil {
			return err
		}
		core := slices.Clone(t.cluster.All[:nodes.Cores])
		t.Rand.Shuffle(len(core), func(i, j int) { core[i], core[j] = core[j], core[i] })
		t.Say("round %d: %s does not hear %s", i+1, core[1].Name, core[0].Name)
		if err := t.lan.Drop(core[0].Host, core[1].Host); err != nil {
			return err
		}
		if err := t.healsAfter(ctx, deafFor); err != nil {
			return fmt.Errorf("round %d, %s deaf to %s: %w", i+1, core[1].Name, core[0].Name, err)
		}
	}
	return nil
}

// lossy has packets between nodes get lost for a while.
func lossy(ctx context.Context, t *rig) error {
	for i := range t.Rounds(6, 1) {
		if err := t.lan.Lose(lossPercent); err != nil {
			return err
		}
		if err := t.healsAfter(ctx, poorFor); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return nil
}

// healsAfter heals the network after a while, and waits until all is well.
func (t *rig) healsAfter(ctx context.Context, d time.Duration) error {
	if err := line.Pause(ctx, d); err != nil {
		return err
	}
	if err := t.lan.Heal(); err != nil {
		return err
	}
	if _, err := t.healthy(ctx); err != nil {
		return err
	}
	return t.holds(ctx)
}

// leads is the node that leads what a role says. While the store elects leaders
// it answers nobody, so that it is asked again.
func (t *rig) leads(ctx context.Context, role string, shard int) (*nodes.Node, error) {
	s, err := t.cluster.Join(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	stream := ownersStream
	if role == logLeader {
		stream = fmt.Sprintf("INGEST_%d", shard)
	}
	var n *nodes.Node
	err = line.Until(ctx, role, func() (bool, error) {
		var err error
		n, err = t.cluster.Leader(ctx, s, stream)
		return err == nil, err
	})
	return n, err
}
