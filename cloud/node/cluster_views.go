package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/membership"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/shared/id"
)

// Nodes returns the cluster's nodes, as this one knows them.
func (v views) Nodes(context.Context) ([]client.Node, error) {
	var all []client.Node
	for _, m := range v.n.members.Members() {
		one := client.Node{
			Node: m.Name, Version: m.Version, StartedAt: m.StartedAt, Zone: m.Zone, Shards: m.Shards, Gateways: m.Gateways,
			State: stateOf(m), Core: m.Core, Capacity: m.Capacity, CPU: m.Load.CPU,
			AckMS: milliseconds(m.Load.Ack), DelayMS: milliseconds(m.Load.Delay), Overload: m.Overload, SeenAt: m.SeenAt.UTC(),
		}
		if m.Dead { // what it said last is over
			one.Shards, one.Gateways, one.CPU, one.AckMS, one.DelayMS, one.Overload = nil, 0, 0, 0, 0, nil
		}
		if one.Shards == nil {
			one.Shards = []int{} // [], not null
		}
		all = append(all, one)
	}
	return all, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func stateOf(m membership.Member) string {
	switch {
	case m.Dead:
		return "dead"
	case m.Draining:
		return "draining"
	}
	return "live"
}

// Shards returns every shard by number, as this node has heard of it.
func (v views) Shards(context.Context) ([]client.Holding, error) {
	n := v.n
	sites := make([]int, len(n.logs))
	for _, a := range n.catalog.Sites() {
		sites[a.Shard]++
	}
	all := make([]client.Holding, len(n.logs))
	for i := range all {
		all[i] = holdingOf(i, n.owners.Of(i))
		all[i].Sites = sites[i]
		if why, decided := n.seats.Why(i); decided {
			all[i].Rule, all[i].Target = why.Rule.String(), why.Target
		}
	}
	return all, nil
}

func holdingOf(shard int, h cluster.Holding) client.Holding {
	out := client.Holding{Shard: shard, Owner: h.Serving(), State: string(h.State), Incarnation: h.Incarnation, Epoch: h.Epoch}
	if h.State == "" {
		out.State = "unclaimed"
	}
	return out
}

// ShardOf returns where a site's state is.
func (v views) ShardOf(ctx context.Context, name id.Site) (int, error) { return v.n.shardOf(ctx, name) }

// Why returns what this node last decided about a shard.
func (v views) Why(_ context.Context, shard int) (client.Placement, error) {
	if shard < 0 || shard >= len(v.n.logs) {
		return client.Placement{}, fmt.Errorf("shard %d: %w", shard, api.ErrNotFound)
	}
	r, decided := v.n.seats.Why(shard)
	if !decided {
		return client.Placement{}, api.ErrUndecided
	}
	return placementOf(r), nil
}

func placementOf(r placement.Reason) client.Placement {
	out := client.Placement{
		Shard: r.Shard, Zone: r.Zone, Owner: r.Owner, OwnerState: r.State.String(), Target: r.Target,
		Rule: r.Rule.String(), Text: strings.TrimSuffix(r.String(), "\n"), Candidates: []client.Candidate{},
	}
	for _, c := range r.Candidates {
		out.Candidates = append(out.Candidates, client.Candidate{
			Rank: c.Rank, Node: c.Node, Zone: c.Zone, Score: c.Score, Health: c.Health, Weight: c.Weight, Bonus: c.Bonus,
			Fill: c.Fill, Full: c.Full,
		})
	}
	return out
}

// Drain stores that a node is to be emptied, or no longer, and says how many
// shards it serves. The last node that lives is not drained: nobody could take
// what it has. The drain of a node that was forgotten can be taken back, for the
// next of that name.
func (v views) Drain(ctx context.Context, name string, on bool) (client.Drain, error) {
	n := v.n
	var found *membership.Member
	others := 0
	for _, m := range n.members.Members() {
		if m.Name == name {
			found = &m
		} else if !m.Dead && !m.Draining {
			others++
		}
	}
	switch {
	case found == nil && on:
		return client.Drain{}, fmt.Errorf("node %s: %w", name, api.ErrNotFound)
	case on && others == 0:
		return client.Drain{}, fmt.Errorf("node %s: %w", name, api.ErrNoHeir)
	}
	if err := n.members.Drain(ctx, name, on); err != nil {
		return client.Drain{}, fmt.Errorf("%w: %w", api.ErrNotStored, err)
	}
	out := client.Drain{Node: name, Drain: on, Core: found != nil && found.Core}
	for i := range n.logs {
		if n.owners.Of(i).Serving() == name {
			out.Shards++
		}
	}
	return out, nil
}

// Advice returns whether the cluster should grow or shrink.
func (v views) Advice(context.Context) (client.Advice, error) { return v.n.adviceNow() }
