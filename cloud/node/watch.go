package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
)

// Watch watches sites, or all of them, at the owners of their shards.
func (v views) Watch(ctx context.Context, names []id.Site) (api.Events, error) {
	return v.n.peer.Watch(ctx, names)
}

// watchShard watches some sites of a shard that this node has, or all of them.
func (n *node) watchShard(ctx context.Context, shard int, names []id.Site) (api.Events, error) {
	s, here := n.seats.Of(shard)
	if !here {
		return nil, fmt.Errorf("shard %d: %w", shard, api.ErrUnavailable)
	}
	e := &events{wake: make(chan struct{}, 1)}
	var err error
	if e.watch, err = s.Work.Watch(ctx, names, e.wake); err != nil {
		return nil, errors.Join(api.ErrUnavailable, err)
	}
	return e, nil
}

// events are the changes of a shard.
type events struct {
	watch *site.Watch
	wake  chan struct{}
}

// Next waits for changes, but no longer than wait, and returns some or none.
// more says that others have changed before.
func (e *events) Next(ctx context.Context, wait time.Duration) (out []client.Event, more bool, err error) {
	enough := time.NewTimer(wait)
	defer enough.Stop()
	for {
		changes, err := e.watch.Take(ctx)
		for i := range changes {
			out = append(out, eventOf(&changes[i]))
		}
		if err != nil || len(out) > 0 {
			return out, e.watch.Behind(), err
		}
		select {
		case <-e.wake:
		case <-enough.C:
			return nil, false, nil
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// Close ends the watch.
func (e *events) Close() { e.watch.Close() }

// eventOf is a change as the API has it.
func eventOf(c *site.Change) (event client.Event) {
	switch {
	case c.Ready:
		event.Ready = new(struct{})
	case c.Site != nil:
		s := c.Site
		event.Site = &client.Summary{Site: string(s.Site), Gateways: s.Gateways, Devices: s.Devices, Live: s.Live, Silent: s.Silent, Alarms: s.Alarms}
	case c.Gateway != nil:
		v := gatewayOf(*c.Gateway)
		event.Gateway = &v
	case c.Device != nil:
		v := deviceOf(*c.Device)
		event.Device = &v
	case c.Room != nil:
		v := roomOf(*c.Room)
		event.Room = &v
	case c.Alarm != nil:
		v := alarmOf(*c.Alarm)
		event.Alarm = &v
	case c.Command != nil:
		v := commandOf(*c.Command)
		event.Command = &v
	case c.Gone != nil:
		event.Gone = goneOf(c.Gone)
	}
	return event
}

func goneOf(g *site.Gone) *client.Gone {
	v := &client.Gone{Kind: g.Kind, Name: g.Name, Stage: g.Stage}
	if g.Kind != "command" { // an id is no name of a site
		v.Name = string(g.Site) + "/" + g.Name
	}
	if g.Device != "" {
		v.Device = id.Device{Site: g.Site, Name: g.Device}.String()
	}
	return v
}
