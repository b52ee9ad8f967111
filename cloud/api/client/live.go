package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
)

// Rooms returns the rooms of a site, by name.
func (c *Client) Rooms(ctx context.Context, site id.Site) ([]Room, error) {
	return collect(list[Room](ctx, c, nil, "v1", "sites", string(site), "rooms"))
}

// Room returns one room.
func (c *Client) Room(ctx context.Context, room id.Room) (Room, error) {
	return get[Room](ctx, c, nil, "v1", "sites", string(room.Site), "rooms", url.PathEscape(room.Name))
}

// Pipelines returns the pipelines of a site, by name.
func (c *Client) Pipelines(ctx context.Context, site id.Site) ([]Pipeline, error) {
	return collect(list[Pipeline](ctx, c, nil, "v1", "sites", string(site), "pipelines"))
}

// Pipeline returns one pipeline.
func (c *Client) Pipeline(ctx context.Context, p id.Pipeline) (Pipeline, error) {
	return get[Pipeline](ctx, c, nil, "v1", "sites", string(p.Site), "pipelines", p.Name)
}

// Windows yields the results of a pipeline's present revision for one device
// (a name within the site), by stage and start, from since until before until;
// zero times are open ends. It stops at the first error.
func (c *Client) Windows(ctx context.Context, p id.Pipeline, device string, since, until time.Time) iter.Seq2[Window, error] {
	q := between(since, until)
	q.Set("device", device)
	return list[Window](ctx, c, q, "v1", "sites", string(p.Site), "pipelines", p.Name, "windows")
}

// Alarms returns the alarms of a site by pipeline and device; state is active,
// cleared, or "" for both.
func (c *Client) Alarms(ctx context.Context, site id.Site, state string) ([]Alarm, error) {
	q := url.Values{}
	if state != "" {
		q.Set("state", state)
	}
	return collect(list[Alarm](ctx, c, q, "v1", "sites", string(site), "alarms"))
}

// AlarmLog yields what the alarms of a site did, the newest last. It stops at
// the first error.
func (c *Client) AlarmLog(ctx context.Context, site id.Site) iter.Seq2[AlarmEntry, error] {
	return list[AlarmEntry](ctx, c, nil, "v1", "sites", string(site), "alarms", "log")
}

// Commands returns the commands of a site that have not ended and the latest
// that have, oldest first.
func (c *Client) Commands(ctx context.Context, site id.Site) ([]Command, error) {
	return collect(list[Command](ctx, c, nil, "v1", "sites", string(site), "commands"))
}

// Command returns one command.
func (c *Client) Command(ctx context.Context, site id.Site, command id.Command) (Command, error) {
	return get[Command](ctx, c, nil, "v1", "sites", string(site), "commands", command.String())
}

// Send asks for a command to a device and returns it when the request is
// durable; what becomes of it, Command says.
func (c *Client) Send(ctx context.Context, dev id.Device, req CommandRequest) (Command, error) {
	var out Command
	u := c.base.JoinPath("v1", "sites", string(dev.Site), "devices", dev.Name, "commands")
	body, err := json.Marshal(req)
	if err == nil {
		body, err = c.fetch(ctx, request{method: http.MethodPost, url: u.String(), media: "application/json", body: body})
	}
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil {
		return out, fmt.Errorf("POST %s: %w", u, err)
	}
	return out, nil
}

// Nodes returns the nodes of the cluster.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	return collect(list[Node](ctx, c, nil, "v1", "nodes"))
}

// between is the query of a span of time.
func between(since, until time.Time) url.Values {
	q := url.Values{}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if !until.IsZero() {
		q.Set("until", until.UTC().Format(time.RFC3339Nano))
	}
	return q
}
