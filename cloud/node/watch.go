package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
)

// Watch watches sites, or all of them, at the owners of their shards.
func (v views) Watch(ctx context.Context, names []id.Site) (api.Events, error) {
	owners := make(map[*site.Shard]bool)
	for _, name := range names {
		s, err := v.owner(ctx, name)
		if err != nil {
			return nil, err
		}
		owners[s] = true
	}
	e := &events{wake: make(chan struct{}, 1)}
	for _, s := range v.n.shards {
		if len(names) > 0 && !owners[s.owner] {
			continue
		}
		w, err := s.owner.Watch(ctx, names, e.wake)
		if err != nil {
			e.Close()
			return nil, errors.Join(api.ErrUnavailable, err)
		}
		e.watches = append(e.watches, w)
	}
	e.begun = len(e.watches)
	return e, nil
}

// events are the changes of several shards as one stream.
type events struct {
	watches []*site.Watch
	wake    chan struct{}
	begun   int // watches that have not told their whole state yet
}

// Next waits for changes, but no longer than wait, and returns some or none.
// more says that others have changed before.
func (e *events) Next(ctx context.Context, wait time.Duration) (out []client.Event, more bool, err error) {
	enough := time.NewTimer(wait)
	defer enough.Stop()
	for {
		if out, err = e.take(ctx); err != nil || len(out) > 0 {
			return out, e.behind(), err
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

// take takes from every watch, or while one is behind from those that are.
func (e *events) take(ctx context.Context) (out []client.Event, err error) {
	all := !e.behind()
	for _, w := range e.watches {
		if !all && !w.Behind() {
			continue
		}
		changes, err := w.Take(ctx)
		if err != nil {
			return nil, err
		}
		for i := range changes {
			out = e.add(out, &changes[i])
		}
	}
	return out, nil
}

func (e *events) behind() bool { return slices.ContainsFunc(e.watches, (*site.Watch).Behind) }

// Close ends the watches.
func (e *events) Close() {
	for _, w := range e.watches {
		w.Close()
	}
}

// add appends the event of a change. There is one Ready, when all are.
func (e *events) add(out []client.Event, c *site.Change) []client.Event {
	var event client.Event
	switch {
	case c.Ready:
		if e.begun--; e.begun > 0 {
			return out
		}
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
	return append(out, event)
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
