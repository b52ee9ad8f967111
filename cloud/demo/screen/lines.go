package screen

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo"
	"github.com/atrium-iot/atrium/cloud/terminal"
)

// linesEvery is how often the plain view says where things stand.
const linesEvery = 2 * time.Second

// Lines prints what happens and where things stand, as plain text, until ctx
// is done: for a terminal that is too small, dumb or not there.
func Lines(ctx context.Context, f Feed, out io.Writer) error {
	tick := time.NewTicker(linesEvery)
	defer tick.Stop()
	var said time.Time
	for {
		p := f.Picture()
		if err := write(out, p, said); err != nil {
			return fmt.Errorf("screen: %w", err)
		}
		if n := len(p.Log); n > 0 {
			said = p.Log[n-1].At
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// write prints what happened after a moment, and a line for each site.
func write(out io.Writer, p demo.Picture, after time.Time) error {
	var b strings.Builder
	for _, e := range p.Log {
		if e.At.After(after) {
			fmt.Fprintf(&b, "%s  %s\n", e.At.Local().Format(time.TimeOnly), e.Text)
		}
	}
	for i := range p.Sites {
		b.WriteString(siteText(&p.Sites[i], p.Now))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func siteText(s *demo.SitePicture, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", now.Local().Format(time.TimeOnly), s.Name)
	switch {
	case !s.Gateway.Up:
		b.WriteString("  gateway down")
	case s.Cut:
		b.WriteString("  link cut")
	}
	flow := s.Flow()
	fmt.Fprintf(&b, "  sampled %s committed %s applied %s  buffer %s", terminal.Number(flow.Sampled), terminal.Number(flow.Committed), terminal.Number(flow.Applied), terminal.Number(s.Edge.Buffer.Readings))
	if age, ok := s.Age(now); ok {
		fmt.Fprintf(&b, "  newest %s old", terminal.Seconds(age))
	}
	for j := range s.Rooms {
		r := &s.Rooms[j]
		if a := r.Aggregate("temperature"); a != nil {
			fmt.Fprintf(&b, "  %s %.1f °C", strings.TrimPrefix(r.Room.Room, s.Name+"/"), a.Mean)
		}
	}
	if n := len(s.Alarms); n > 0 {
		fmt.Fprintf(&b, "  %d alarms (%s)", n, first(s.Alarms))
	}
	b.WriteByte('\n')
	return b.String()
}

func first(alarms []client.Alarm) string { return alarms[0].Device + ": " + alarms[0].Text }
