package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/terminal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

const (
	// describedEntries is how much of a ledger describe shows.
	describedEntries = 10
	// describedWindows is how many of its newest windows it shows a device.
	describedWindows = 3
	// windowsSince is how far back it looks for them.
	windowsSince = time.Hour
)

// section is a part of a description: a table under a title.
type section struct {
	title string
	rows  [][]string // the first is the head
}

func newDescribe(api *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "describe KIND NAME",
		Short: "Show everything about one thing",
		Long: `describe shows what a site, gateway, device, room, pipeline, alarm, command, node
or shard is doing, and the document that the catalog holds of it, with its revision. Of a
gateway it shows the gap ledger: what was lost, and why; the newest entries, or
with --json all of them.`,
		Example: "  atrium describe device hq/office-air\n  atrium describe gateway hq/gw-1\n  atrium describe gateway hq/gw-1 --json | jq '.ledger[] | select(.reason == \"quota\")'\n  atrium describe room hq/kitchen\n  atrium describe profile ti.tmp102",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := parseKind(args[0])
			if err != nil {
				return err
			}
			if k.sited && !strings.Contains(args[1], "/") {
				return ops.Usage(fmt.Errorf("%s %q: want SITE/NAME", k.name, args[1]))
			}
			c, err := client.New(*api)
			if err != nil {
				return err
			}
			all, err := k.find(cmd.Context(), c, args[1])
			if err != nil {
				return err
			}
			warnStale(cmd, c)
			e := all[0]
			if k.complete != nil && e.State != nil {
				if err := k.complete(cmd.Context(), c, &e); err != nil {
					return err
				}
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
			}
			return describe(cmd.Context(), cmd.OutOrStdout(), c, k, e)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON: what get -o json prints of it, and a gateway's ledger")
	cmd.ValidArgsFunction = completeEntity(api)
	return cmd
}

// describe prints an entity: its columns, its sections, its document.
func describe(ctx context.Context, out io.Writer, c *client.Client, k kind, e entity) error {
	fmt.Fprintf(out, "%s %s\n", e.Kind, e.Name)
	if e.State != nil {
		sections := []section{{rows: fields(k, e.State)}}
		if k.details != nil {
			more, err := k.details(ctx, c, e)
			if err != nil {
				return err
			}
			sections = append(sections, more...)
		}
		for _, s := range sections {
			if err := s.print(out); err != nil {
				return err
			}
		}
	}
	if d := e.Document; d != nil {
		if e.State != nil {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "revision %d, applied %s\n\n", d.Revision, d.AppliedAt.Local().Format(time.DateTime))
		return printDocuments(out, []entity{e})
	}
	return nil
}

// fields are a state's columns, one a line.
func fields(k kind, state any) (rows [][]string) {
	for i, text := range k.row(state) {
		rows = append(rows, []string{strings.ToLower(k.columns[i]), text})
	}
	return rows
}

func (s section) print(out io.Writer) error {
	if s.title != "" {
		fmt.Fprintf(out, "\n%s:\n", s.title)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range s.rows {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	return w.Flush()
}

func describeSite(ctx context.Context, c *client.Client, e entity) ([]section, error) {
	site := id.Site(e.Name)
	where, err := c.SiteShard(ctx, site)
	if err != nil && !client.NotFound(err) { // of a node that does not know sites that move
		return nil, err
	}
	out := shardsOf(where)
	devices, err := c.Devices(ctx, site)
	if client.NotFound(err) || where.To != nil && client.Unavailable(err) {
		return out, nil // no record yet, or nobody has it at the moment
	}
	if err != nil {
		return nil, err
	}
	gateways, err := c.Gateways(ctx, site)
	if err != nil {
		return nil, err
	}
	alarms, err := c.Alarms(ctx, site, "active")
	if err != nil {
		return nil, err
	}
	alive := 0
	for _, d := range devices {
		if d.Liveness == "live" {
			alive++
		}
	}
	counts := [][]string{
		{"gateways", fmt.Sprint(len(gateways))},
		{"devices", fmt.Sprintf("%d, %d live", len(devices), alive)},
		{"active alarms", fmt.Sprint(len(alarms))},
	}
	return withAlarms(append(out, section{title: "holds", rows: counts}), alarms), nil
}

// shardsOf says what the row of a site does not: where it moves to, where it was.
func shardsOf(s client.SiteShard) []section {
	var rows [][]string
	if s.To != nil {
		rows = append(rows, []string{"moving to", fmt.Sprint(*s.To)})
	}
	if len(s.Past) > 0 {
		rows = append(rows, []string{"has left", strings.Trim(fmt.Sprint(s.Past), "[]")})
	}
	if rows == nil {
		return nil
	}
	return []section{{title: "shards", rows: rows}}
}

// addLedger adds a gateway's entries of its site's gap ledger.
func addLedger(ctx context.Context, c *client.Client, e *entity) error {
	name, err := id.ParseGateway(e.Name)
	if err != nil {
		return err
	}
	ledger, err := c.Ledger(ctx, name.Site)
	e.Ledger = slices.DeleteFunc(ledger, func(l client.LedgerEntry) bool { return l.Gateway != e.Name })
	return err
}

func describeGateway(_ context.Context, _ *client.Client, e entity) ([]section, error) {
	g := e.State.(client.Gateway)
	n := terminal.Number
	out := []section{
		{title: "board", rows: [][]string{{"serial", g.Board}, {"commit interval", fmt.Sprintf("%d ms", g.IntervalMS)}}},
		{title: "counts", rows: [][]string{
			{"frames", n(g.Count.Frames)},
			{"readings", n(g.Count.Readings)},
			{"suppressed", n(g.Count.Suppressed)},
			{"duplicates", n(g.Count.Duplicates)},
			{"late", n(g.Count.Late)},
		}},
	}
	runs := section{title: "runs", rows: [][]string{{"RUN", "CLASS", "STATE", "NEXT", "LAST COMMITTED"}}}
	for _, r := range g.Runs {
		runs.rows = append(runs.rows, []string{r.Run, r.Class, r.State, fmt.Sprint(r.Next), fmt.Sprint(r.Last)})
	}
	out = append(out, runs)
	if len(e.Ledger) > 0 {
		out = append(out, lost(e.Ledger), newestGaps(e.Ledger))
	}
	return out, nil
}

// lost adds a ledger up by reason. How much lies behind an open end, of a
// crash, nobody knows: at most a commit interval.
func lost(ledger []client.LedgerEntry) section {
	type sum struct{ entries, sequences, readings, open uint64 }
	byReason := map[string]*sum{}
	for _, l := range ledger {
		s := byReason[l.Reason]
		if s == nil {
			s = &sum{}
			byReason[l.Reason] = s
		}
		s.entries++
		s.readings += l.Readings
		if l.B == 0 {
			s.open++
		} else {
			s.sequences += l.B - l.A + 1
		}
	}
	n := terminal.Number
	out := section{title: "lost, by reason", rows: [][]string{{"REASON", "ENTRIES", "SEQUENCES", "READINGS", "OPEN ENDS"}}}
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		s := byReason[reason]
		out.rows = append(out.rows, []string{reason, n(s.entries), n(s.sequences), n(s.readings), n(s.open)})
	}
	return out
}

func newestGaps(ledger []client.LedgerEntry) section {
	out := section{title: "gap ledger, newest last", rows: [][]string{{"RUN", "FROM", "TO", "REASON", "READINGS", "CLASS", "FOUND"}}}
	for _, l := range ledger[max(0, len(ledger)-describedEntries):] {
		to := fmt.Sprint(l.B)
		if l.B == 0 {
			to = "open"
		}
		out.rows = append(out.rows, []string{l.Run, fmt.Sprint(l.A), to, l.Reason, terminal.Number(l.Readings), cmp.Or(l.Class, "-"), ago(l.FoundAt)})
	}
	return out
}

func describeDevice(ctx context.Context, c *client.Client, e entity) ([]section, error) {
	d := e.State.(client.Device)
	name, err := id.ParseDevice(d.Device)
	if err != nil {
		return nil, err
	}
	points := section{title: "points", rows: [][]string{{"POINT", "VALUE", "QUALITY", "AGE", "CLOCK", "RUN", "SEQ"}}}
	for _, p := range d.Points {
		clock := p.Clock
		if p.Suspect {
			clock += " (suspect)"
		}
		points.rows = append(points.rows, []string{p.Point, terminal.Value(p), p.Quality, ago(p.SampledAt), clock, p.Run, fmt.Sprint(p.Seq)})
	}
	alarms, err := c.Alarms(ctx, name.Site, "active")
	if err != nil {
		return nil, err
	}
	alarms = slices.DeleteFunc(alarms, func(a client.Alarm) bool { return a.Device != d.Device })
	return withAlarms([]section{points}, alarms), nil
}

func describeRoom(_ context.Context, _ *client.Client, e entity) ([]section, error) {
	r := e.State.(client.Room)
	all := section{title: "aggregates", rows: [][]string{{"POINT", "MEAN", "MIN", "MAX", "COUNT", "ANY", "UNIT", "NEWEST"}}}
	for _, a := range r.Aggregates {
		all.rows = append(all.rows, []string{a.Point, fmt.Sprintf("%.2f", a.Mean), fmt.Sprintf("%.2f", a.Min), fmt.Sprintf("%.2f", a.Max), fmt.Sprint(a.Count), fmt.Sprint(a.Any), a.Unit, ago(a.NewestAt)})
	}
	return []section{{title: "members", rows: [][]string{{strings.Join(r.Devices, ", ")}}}, all}, nil
}

func describePipeline(ctx context.Context, c *client.Client, e entity) ([]section, error) {
	p := e.State.(client.Pipeline)
	name, err := id.ParsePipeline(p.Pipeline)
	if err != nil {
		return nil, err
	}
	stages := section{title: "stages"}
	for i, s := range p.Stages {
		stages.rows = append(stages.rows, []string{fmt.Sprint(i), s})
	}
	counts := section{title: "dropped", rows: [][]string{
		{"bad", terminal.Number(p.Count.Bad)}, {"filtered", terminal.Number(p.Count.Filtered)}, {"too late", terminal.Number(p.Count.TooLate)},
	}}
	devices := section{title: "devices", rows: [][]string{{"DEVICE", "NEWEST", "VALUE", "ALARM"}}}
	windows := section{title: "newest windows", rows: [][]string{{"DEVICE", "END", "MEAN", "MIN", "MAX", "COUNT"}}}
	for _, d := range p.Devices {
		value := "-"
		if d.Value != nil {
			value = fmt.Sprintf("%.2f", *d.Value)
		}
		devices.rows = append(devices.rows, []string{d.Device, ago(d.LastAt), value, cmp.Or(d.Alarm, "-")})
		last, err := newestWindows(ctx, c, name, d.Device)
		if err != nil {
			return nil, err
		}
		for _, w := range last {
			windows.rows = append(windows.rows, []string{d.Device, w.End.Local().Format(time.TimeOnly), fmt.Sprintf("%.2f", w.Mean), fmt.Sprintf("%.2f", w.Min), fmt.Sprintf("%.2f", w.Max), fmt.Sprint(w.Count)})
		}
	}
	out := []section{stages, counts, devices}
	if len(windows.rows) > 1 {
		out = append(out, windows)
	}
	alarms, err := c.Alarms(ctx, name.Site, "")
	if err != nil {
		return nil, err
	}
	return withAlarms(out, slices.DeleteFunc(alarms, func(a client.Alarm) bool { return a.Pipeline != p.Pipeline })), nil
}

// newestWindows are the last of a device's windows within windowsSince.
func newestWindows(ctx context.Context, c *client.Client, name id.Pipeline, device string) (last []client.Window, err error) {
	_, in, sited := strings.Cut(device, "/")
	if !sited {
		in = device
	}
	for w, err := range c.Windows(ctx, name, in, time.Now().Add(-windowsSince), time.Time{}) {
		if err != nil {
			return nil, err
		}
		if last = append(last, w); len(last) > describedWindows {
			last = last[1:]
		}
	}
	return last, nil
}

func withAlarms(out []section, alarms []client.Alarm) []section {
	if len(alarms) == 0 {
		return out
	}
	s := section{title: "alarms", rows: [][]string{{"STATE", "SEVERITY", "DEVICE", "VALUE", "LIMIT", "RAISED", "TIMES", "TEXT"}}}
	for _, a := range alarms {
		s.rows = append(s.rows, []string{a.State, a.Severity, a.Device, fmt.Sprintf("%.2f", a.Value), fmt.Sprintf("%.2f", a.Threshold), ago(a.RaisedAt), fmt.Sprint(a.Raised), a.Text})
	}
	return append(out, s)
}
