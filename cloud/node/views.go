package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
	"github.com/atrium-iot/atrium/shared/wire"
)

// views answers the API from the catalog and the shards' owners.
type views struct{ n *node }

func (v views) Status(ctx context.Context) (client.Status, error) {
	n := v.n
	st := client.Status{
		Cluster: n.ca.Cluster(), Node: n.cfg.Name, Version: ops.Version(), StartedAt: n.start.UTC(),
		Gateways: n.gate.Connections(), QueuedB: n.coalescer.Lag(),
	}
	for _, s := range n.seats.Held() {
		first, last, err := n.logs[s.Shard].Bounds(ctx)
		if err != nil {
			return client.Status{}, err
		}
		p, err := s.Work.Progress(ctx)
		if errors.Is(err, site.ErrEnded) {
			continue // it has just gone
		}
		if err != nil {
			return client.Status{}, err
		}
		st.Shards = append(st.Shards, client.Shard{
			Shard: s.Shard, Incarnation: s.Claim.Incarnation(), Epoch: s.Claim.Epoch(),
			First: first, Last: last, Applied: p.Applied, Durable: n.history.Position(s.Shard), Snapshot: p.Snapshot,
		})
	}
	return st, nil
}

func (v views) Sites(context.Context) ([]client.Site, error) {
	var out []client.Site
	for _, a := range v.n.catalog.Sites() {
		out = append(out, client.Site{Site: string(a.Site), Shard: a.Shard, Revision: a.Revision})
	}
	return out, nil
}

// owner returns who holds a site, if that is this node.
func (v views) owner(ctx context.Context, name id.Site) (*site.Shard, error) {
	i, err := v.n.shardOf(ctx, name)
	if err != nil {
		return nil, err
	}
	s, here := v.n.seats.Of(i)
	if !here {
		return nil, fmt.Errorf("site %s: %w", name, api.ErrUnavailable)
	}
	return s.Work, nil
}

// found makes the API's error of the owner's: one that has just ended is on its
// way to another.
func found(err error) error {
	switch {
	case errors.Is(err, site.ErrUnknown):
		return fmt.Errorf("%w: %w", api.ErrNotFound, err)
	case errors.Is(err, site.ErrEnded), errors.Is(err, site.ErrMoved):
		return fmt.Errorf("%w: %w", api.ErrUnavailable, err)
	}
	return err
}

func (v views) Gateways(ctx context.Context, name id.Site) ([]client.Gateway, error) {
	return ofSite(ctx, v, name, (*site.Shard).Gateways, gatewayOf)
}

func (v views) Retired(ctx context.Context, name id.Site) ([]client.RetiredRun, error) {
	return ofSite(ctx, v, name, (*site.Shard).Retired, retiredOf)
}

func (v views) Devices(ctx context.Context, name id.Site) ([]client.Device, error) {
	return ofSite(ctx, v, name, (*site.Shard).Devices, deviceOf)
}

func (v views) Device(ctx context.Context, dev id.Device) (client.Device, error) {
	return one(ctx, v, dev.Site, dev, (*site.Shard).Device, deviceOf)
}

func gatewayOf(g site.Gateway) client.Gateway {
	out := client.Gateway{Gateway: g.Gateway.String(), Agent: g.Agent, Board: g.Board.String(), IntervalMS: uint64(g.Interval.Milliseconds()), SeenAt: g.SeenAt}
	n := g.Count
	out.Count = client.Count{
		Frames: n.Frames, Readings: n.Readings, Suppressed: n.Suppressed, Duplicates: n.Duplicates,
		Late: n.Late, Missing: n.Missing, Gaps: n.Gaps, Dead: n.Dead,
	}
	for _, r := range g.Runs {
		out.Runs = append(out.Runs, client.Run{Run: r.Run.String(), Class: r.Class.String(), Boot: r.Boot.String(), State: r.State.String(), Next: r.Next, Last: r.Last})
	}
	return out
}

func retiredOf(r site.Retired) client.RetiredRun {
	return client.RetiredRun{
		Gateway: r.Gateway.String(),
		Run:     client.Run{Run: r.Run.String(), Class: r.Class.String(), Boot: r.Boot.String(), State: "retired", Next: r.Next, Last: r.Next - 1},
	}
}

func deviceOf(d site.Device) client.Device {
	out := client.Device{Device: d.Device.String(), Gateway: d.Gateway, Profile: d.Profile, Liveness: d.Liveness.String(), LastAt: d.LastAt, Points: []client.Point{}}
	if d.Gateway != "" {
		out.Gateway = id.Gateway{Site: d.Device.Site, Name: d.Gateway}.String()
	}
	for _, p := range d.Points {
		c := client.Point{
			Point: string(p.Point), Unit: p.Unit, Kind: p.Kind.String(), Quality: p.Now.String(), Clock: p.Source.String(),
		}
		if p.Held {
			value, text := p.Value, p.Text
			if p.Kind == wire.KindText {
				c.Text = &text
			} else {
				c.Value = &value
			}
			c.Raw, c.Run, c.Seq = p.Raw, p.Run.String(), p.Order.Seq
			c.SampledAt, c.ReceivedAt, c.UncertaintyUS, c.Suspect = p.Sampled, p.Received, p.Within, p.Suspect
		}
		if p.Source == wire.ClockNone {
			c.Clock = "estimated"
		}
		out.Points = append(out.Points, c)
	}
	return out
}
