package watch

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/terminal"
)

// JSON writes each event as a line. That a stream broke goes to Errors: the
// events after it are the whole state again.
type JSON struct{ Out, Errors io.Writer }

// Event writes it.
func (j JSON) Event(_ time.Time, e client.Event) error { return json.NewEncoder(j.Out).Encode(e) }

// Broken writes why.
func (j JSON) Broken(now time.Time, why error) error { return said(j.Errors, now, lost(why)) }

// Lines writes what happens to devices, alarms and commands as plain text.
type Lines struct{ Out io.Writer }

// Event writes it, if it is something to tell.
func (l Lines) Event(now time.Time, e client.Event) error {
	switch {
	case e.Device != nil:
		return said(l.Out, now, deviceText(now, *e.Device))
	case e.Alarm != nil:
		a := e.Alarm
		return said(l.Out, now, fmt.Sprintf("%s  alarm %s: %s (%.2f, limit %.2f)", a.Device, a.State, a.Text, a.Value, a.Threshold))
	case e.Command != nil:
		c := e.Command
		return said(l.Out, now, strings.TrimSpace(fmt.Sprintf("%s  command %s: %s %s", c.Device, c.Command, c.State, c.Text)))
	}
	return nil
}

// Broken writes why.
func (l Lines) Broken(now time.Time, why error) error { return said(l.Out, now, lost(why)) }

func said(out io.Writer, now time.Time, text string) error {
	_, err := fmt.Fprintf(out, "%s  %s\n", now.Local().Format(time.TimeOnly), text)
	return err
}

func deviceText(now time.Time, d client.Device) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s", d.Device, d.Liveness)
	for _, p := range d.Points {
		b.WriteString("  " + terminal.Reported(p))
	}
	if at := d.Newest(); !at.IsZero() {
		fmt.Fprintf(&b, "  %.1f s old", max(0, now.Sub(at)).Seconds())
	}
	return b.String()
}
