package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
	"github.com/atrium-iot/atrium/shared/wire"
)

// ofSite asks the owner of a site for a list. A site that is in the catalog and
// has no record yet has none of anything.
func ofSite[T, C any](ctx context.Context, v views, name id.Site, ask func(*site.Shard, context.Context, id.Site) ([]T, error), as func(T) C) ([]C, error) {
	s, err := v.owner(ctx, name)
	if err != nil {
		return nil, err
	}
	list, err := ask(s, ctx, name)
	if err != nil && !errors.Is(err, site.ErrUnknown) {
		return nil, found(err)
	}
	var out []C
	for _, item := range list {
		out = append(out, as(item))
	}
	return out, nil
}

// one asks the owner of a site for one thing.
func one[K, T, C any](ctx context.Context, v views, name id.Site, key K, ask func(*site.Shard, context.Context, K) (T, error), as func(T) C) (out C, err error) {
	s, err := v.owner(ctx, name)
	if err != nil {
		return out, err
	}
	item, err := ask(s, ctx, key)
	if err != nil {
		return out, found(err)
	}
	return as(item), nil
}

func (v views) Rooms(ctx context.Context, name id.Site) ([]client.Room, error) {
	return ofSite(ctx, v, name, (*site.Shard).Rooms, roomOf)
}

func (v views) Room(ctx context.Context, name id.Room) (client.Room, error) {
	return one(ctx, v, name.Site, name, (*site.Shard).Room, roomOf)
}

func (v views) Pipelines(ctx context.Context, name id.Site) ([]client.Pipeline, error) {
	return ofSite(ctx, v, name, (*site.Shard).Pipelines, pipelineOf)
}

func (v views) Pipeline(ctx context.Context, name id.Pipeline) (client.Pipeline, error) {
	return one(ctx, v, name.Site, name, (*site.Shard).Pipeline, pipelineOf)
}

func (v views) Alarms(ctx context.Context, name id.Site) ([]client.Alarm, error) {
	return ofSite(ctx, v, name, (*site.Shard).Alarms, alarmOf)
}

func (v views) Commands(ctx context.Context, name id.Site) ([]client.Command, error) {
	return ofSite(ctx, v, name, (*site.Shard).Commands, commandOf)
}

func (v views) Command(ctx context.Context, name id.Site, c id.Command) (client.Command, error) {
	ask := func(s *site.Shard, ctx context.Context, c id.Command) (site.Command, error) {
		return s.Command(ctx, name, c)
	}
	return one(ctx, v, name, c, ask, commandOf)
}

func (v views) Intend(ctx context.Context, name id.Site, in journal.Intent) (client.Command, error) {
	ask := func(s *site.Shard, ctx context.Context, in journal.Intent) (site.Command, error) {
		return s.Intend(ctx, name, in)
	}
	c, err := one(ctx, v, name, in, ask, commandOf)
	if errors.Is(err, site.ErrInactive) || errors.Is(err, cluster.ErrLost) {
		return c, fmt.Errorf("%w: %w", api.ErrUnavailable, err)
	}
	return c, err
}

func roomOf(r site.Room) client.Room {
	out := client.Room{
		Room: r.Room.String(), Title: r.Title, Revision: r.Revision, Devices: []string{},
		Live: r.Live, Alarms: r.Alarms, Aggregates: []client.Aggregate{},
	}
	for _, name := range r.Devices {
		out.Devices = append(out.Devices, id.Device{Site: r.Room.Site, Name: name}.String())
	}
	for _, a := range r.Aggregates {
		out.Aggregates = append(out.Aggregates, client.Aggregate{
			Point: string(a.Point), Unit: a.Unit, Kind: a.Kind.String(), Count: a.Count,
			Mean: a.Mean, Min: a.Min, Max: a.Max, Any: a.Any, NewestAt: micros(a.NewestAt),
		})
	}
	return out
}

func pipelineOf(p site.Pipeline) client.Pipeline {
	out := client.Pipeline{
		Pipeline: p.Pipeline.String(), Title: p.Title, Revision: p.Revision, Stages: p.Stages,
		Devices: []client.PipelineDevice{},
		Count: client.PipelineCount{
			Rows: p.Count.Rows, Bad: p.Count.Bad, Filtered: p.Count.Filtered, Late: p.Count.Late,
			TooLate: p.Count.TooLate, Windows: p.Count.Windows, Raised: p.Count.Raised,
		},
	}
	for _, d := range p.Devices {
		c := client.PipelineDevice{Device: id.Device{Site: p.Pipeline.Site, Name: d.Device}.String(), LastAt: d.LastAt, Alarm: d.Alarm}
		if !d.LastAt.IsZero() {
			c.Value = &d.Value
		}
		out.Devices = append(out.Devices, c)
	}
	return out
}

func alarmOf(a site.Alarm) client.Alarm {
	out := client.Alarm{
		Pipeline: a.Pipeline.String(), Device: id.Device{Site: a.Pipeline.Site, Name: a.Device}.String(), Stage: a.Stage,
		State: "cleared", Severity: a.Severity, Text: a.Text, Value: a.Value, Threshold: a.Threshold,
		RaisedAt: micros(a.RaisedAt), Raised: a.Raised,
	}
	if a.State == pipeline.Active {
		out.State = "active"
	} else {
		out.ClearedAt = micros(a.ClearedAt)
	}
	return out
}

func commandOf(c site.Command) client.Command {
	out := client.Command{
		ID: c.ID.String(), Device: id.Device{Site: c.Site, Name: c.Device}.String(), Command: c.Name, By: c.By,
		State: c.Status.String(), ConfirmedBy: c.Confirmed.String(), Text: c.Text,
		IssuedAt: micros(c.Issued), ExpiresAt: micros(c.Deadline),
	}
	if c.Status.Ended() {
		out.EndedAt = micros(c.EndedAt)
	}
	for _, a := range c.Args {
		if out.Args == nil {
			out.Args = make(map[string]any)
		}
		if out.Args[a.Name] = a.Number; a.Kind == wire.KindBoolean {
			out.Args[a.Name] = a.Number != 0
		}
	}
	return out
}

func micros(us int64) time.Time { return time.UnixMicro(us).UTC() }
