package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/terminal"
	"github.com/atrium-iot/atrium/shared/id"
)

func siteKind() kind {
	return kind{
		name: "site", document: document.Site,
		columns: []string{"SHARD", "GATEWAYS", "DEVICES", "LIVE", "SILENT", "ALARMS"},
		list: func(ctx context.Context, c *client.Client, _ id.Site) ([]entity, error) {
			all, err := c.SitesInShort(ctx)
			return live("site", func(s client.Site) string { return s.Site }, all, err)
		},
		row:     siteRow,
		details: describeSite,
	}
}

// siteRow has no numbers for a site whose owner does not answer: -o json says
// why.
func siteRow(state any) []string {
	s := state.(client.Site)
	row := []string{fmt.Sprint(s.Shard), "-", "-", "-", "-", "-"}
	if of := s.Summary; of != nil {
		for i, n := range []int{of.Gateways, of.Devices, of.Live, of.Silent, of.Alarms} {
			row[i+1] = terminal.Number(uint64(n))
		}
	}
	return row
}

func gatewayKind() kind {
	return kind{
		name: "gateway", document: document.Gateway, sited: true,
		columns: []string{"SEEN", "READINGS", "GAPS", "MISSING", "DEAD", "AGENT"},
		list: func(ctx context.Context, c *client.Client, site id.Site) ([]entity, error) {
			all, err := c.Gateways(ctx, site)
			return live("gateway", func(g client.Gateway) string { return g.Gateway }, all, err)
		},
		row: func(state any) []string {
			g := state.(client.Gateway)
			return []string{ago(g.SeenAt), terminal.Number(g.Count.Readings), terminal.Number(g.Count.Gaps), terminal.Number(g.Count.Missing), terminal.Number(g.Count.Dead), g.Agent}
		},
		details: describeGateway, complete: addLedger,
	}
}

func deviceKind() kind {
	return kind{
		name: "device", sited: true, columns: []string{"LIVENESS", "AGE", "VALUES", "GATEWAY", "PROFILE"},
		list: func(ctx context.Context, c *client.Client, site id.Site) ([]entity, error) {
			all, err := c.Devices(ctx, site)
			return live("device", func(d client.Device) string { return d.Device }, all, err)
		},
		row: func(state any) []string {
			d := state.(client.Device)
			var values []string
			for _, p := range d.Points {
				values = append(values, terminal.Reported(p))
			}
			return []string{d.Liveness, ago(d.Newest()), strings.Join(values, ", "), d.Gateway, d.Profile}
		},
		details: describeDevice,
	}
}

func roomKind() kind {
	return kind{
		name: "room", document: document.Room, sited: true, columns: []string{"LIVE", "ALARMS", "MEANS"},
		list: func(ctx context.Context, c *client.Client, site id.Site) ([]entity, error) {
			all, err := c.Rooms(ctx, site)
			return live("room", func(r client.Room) string { return r.Room }, all, err)
		},
		row: func(state any) []string {
			r := state.(client.Room)
			var means []string
			for _, a := range r.Aggregates {
				means = append(means, aggregateText(a))
			}
			return []string{fmt.Sprintf("%d/%d", r.Live, len(r.Devices)), fmt.Sprint(r.Alarms), strings.Join(means, ", ")}
		},
		details: describeRoom,
	}
}

func pipelineKind() kind {
	return kind{
		name: "pipeline", document: document.Pipeline, sited: true, columns: []string{"DEVICES", "ROWS", "WINDOWS", "LATE", "RAISED"},
		list: func(ctx context.Context, c *client.Client, site id.Site) ([]entity, error) {
			all, err := c.Pipelines(ctx, site)
			return live("pipeline", func(p client.Pipeline) string { return p.Pipeline }, all, err)
		},
		row: func(state any) []string {
			p := state.(client.Pipeline)
			return []string{fmt.Sprint(len(p.Devices)), terminal.Number(p.Count.Rows), terminal.Number(p.Count.Windows), terminal.Number(p.Count.Late), terminal.Number(p.Count.Raised)}
		},
		details: describePipeline,
	}
}

func profileKind() kind { return kind{name: "profile", document: document.Profile} }

func alarmKind() kind {
	return kind{
		name: "alarm", sited: true, columns: []string{"STATE", "SEVERITY", "VALUE", "LIMIT", "RAISED", "TEXT"},
		list: func(ctx context.Context, c *client.Client, site id.Site) ([]entity, error) {
			all, err := c.Alarms(ctx, site, "")
			return live("alarm", alarmName, all, err)
		},
		row: func(state any) []string {
			a := state.(client.Alarm)
			return []string{a.State, a.Severity, fmt.Sprintf("%.2f", a.Value), fmt.Sprintf("%.2f", a.Threshold), ago(a.RaisedAt), a.Text}
		},
	}
}

// alarmName is SITE/PIPELINE/DEVICE: whose rule it is comes first.
func alarmName(a client.Alarm) string {
	_, device, _ := strings.Cut(a.Device, "/")
	return a.Pipeline + "/" + device
}

func commandKind() kind {
	return kind{
		name: "command", sited: true, columns: []string{"DEVICE", "COMMAND", "STATE", "ISSUED", "BY"},
		list: func(ctx context.Context, c *client.Client, site id.Site) ([]entity, error) {
			all, err := c.Commands(ctx, site)
			return live("command", func(m client.Command) string { return string(site) + "/" + m.ID }, all, err)
		},
		row: func(state any) []string {
			m := state.(client.Command)
			return []string{m.Device, call(m), outcome(m), ago(m.IssuedAt), m.By}
		},
	}
}

// ago is how long ago something was; a dash if it never was.
func ago(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return terminal.Seconds(time.Since(t)) + " ago"
}

// aggregateText is a room's mean as if it were a point's value.
func aggregateText(a client.Aggregate) string {
	v := a.Mean
	if a.Kind == "boolean" && a.Any {
		v = 1
	}
	return terminal.Value(client.Point{Point: a.Point, Unit: a.Unit, Kind: a.Kind, Value: &v})
}
