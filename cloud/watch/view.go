package watch

import (
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/terminal"
)

const (
	// MinWidth and MinHeight are the smallest terminal that the view fits.
	MinWidth, MinHeight = 60, 10

	// wideWidth is where a device's gateway and profile are shown too.
	wideWidth  = 130
	wideMargin = 44 // then the columns that they take
	nameWidth  = 26
	ageWidth   = 8

	// staleAfter is the age from which a value is shown as old.
	staleAfter = 10 * time.Second
	// alarmShare is the part of the height that alarms may take: a storm must
	// not hide the devices.
	alarmShare = 3
)

// view is what a frame depends on.
type view struct {
	Picture
	api    string
	at     time.Time
	offset int // the first device that is shown
}

// render draws the view: exactly height lines of width columns.
func (v view) render(width, height int) string {
	rows := append([]terminal.Line{v.header(), nil}, v.alarmLines(height/alarmShare)...)
	rows = append(rows, head(width))
	devices := v.devices()
	room := v.room(height)
	from := min(v.offset, v.last(height))
	for _, d := range devices[from:min(from+room, len(devices))] {
		rows = append(rows, v.deviceLine(d, width))
	}
	for len(rows) < height-1 {
		rows = append(rows, nil)
	}
	rows = append(rows[:height-1], foot(from, room, len(devices)))
	var b strings.Builder
	for i, l := range rows {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(l.Render(width))
	}
	return b.String()
}

// room is how many devices fit.
func (v view) room(height int) int {
	const around = 4 // header, an empty line, head and foot
	return max(0, height-around-len(v.alarmLines(height/alarmShare)))
}

// last is the highest offset: the last page is full.
func (v view) last(height int) int { return max(0, len(v.now.devices)-v.room(height)) }

func (v view) header() terminal.Line {
	var l terminal.Line
	l.Add(terminal.Bold, " Atrium ")
	l.Add(terminal.Accent, " "+v.api)
	live := 0
	for _, d := range v.now.devices {
		if d.Liveness == "live" {
			live++
		}
	}
	l.Add(terminal.Plain, fmt.Sprintf("   %d sites, %d of %d devices live   ", len(v.now.sites), live, len(v.now.devices)))
	switch {
	case v.fault != nil:
		l.Add(terminal.Bad, fmt.Sprintf("○ connection lost %s ago", terminal.Seconds(v.at.Sub(v.since))))
		l.Add(terminal.Faint, fmt.Sprintf(" (%v)", v.fault))
	case v.ready:
		l.Add(terminal.Good, "● live")
	default:
		l.Add(terminal.Faint, "○ connecting")
	}
	return l
}

// alarmLines are the active alarms, at most so many lines and one that is
// empty.
func (v view) alarmLines(most int) (out []terminal.Line) {
	all := v.alarms()
	for i, a := range all {
		var l terminal.Line
		if i == most-1 && len(all) > most {
			l.Add(terminal.Warn, fmt.Sprintf(" ! and %d more: atrium get alarms", len(all)-i))
			out = append(out, l)
			break
		}
		k := terminal.Warn
		if a.Severity == "critical" {
			k = terminal.Bad
		}
		l.Add(k, fmt.Sprintf(" ! %s: %s", a.Device, a.Text))
		l.Add(terminal.Faint, fmt.Sprintf("  %.2f, limit %.2f, for %s", a.Value, a.Threshold, terminal.Seconds(v.at.Sub(a.RaisedAt))))
		out = append(out, l)
	}
	if len(all) > 0 {
		out = append(out, nil)
	}
	return out
}

func head(width int) terminal.Line {
	var l terminal.Line
	l.Add(terminal.Faint, "   DEVICE")
	l.To(nameWidth)
	l.Add(terminal.Faint, "AGE")
	l.To(nameWidth + ageWidth)
	l.Add(terminal.Faint, "VALUES")
	if width >= wideWidth {
		l.To(width - wideMargin)
		l.Add(terminal.Faint, "GATEWAY")
		l.To(width - wideMargin/2)
		l.Add(terminal.Faint, "PROFILE")
	}
	return l
}

func (v view) deviceLine(d client.Device, width int) terminal.Line {
	var l terminal.Line
	l.Add(terminal.Plain, " ")
	l.Add(terminal.Liveness(d.Liveness))
	l.Add(terminal.Plain, " "+d.Device)
	l.To(nameWidth - 1)
	l.Add(terminal.Plain, " ")
	if at := d.Newest(); !at.IsZero() {
		age, k := v.at.Sub(at), terminal.Faint
		if age > staleAfter {
			k = terminal.Warn
		}
		l.Add(k, terminal.Seconds(age))
	}
	l.To(nameWidth + ageWidth)
	for _, p := range d.Points {
		k := terminal.Plain
		switch p.Quality {
		case "good", "":
		case "bad":
			k = terminal.Bad
		default:
			k = terminal.Warn
		}
		l.Add(k, terminal.Reported(p)+"  ")
	}
	if width >= wideWidth {
		l.To(width - wideMargin)
		_, gateway, _ := strings.Cut(d.Gateway, "/")
		l.Add(terminal.Faint, gateway)
		l.To(width - wideMargin/2)
		l.Add(terminal.Faint, d.Profile)
	}
	return l
}

func foot(from, room, devices int) terminal.Line {
	var l terminal.Line
	l.Add(terminal.Bold, " q")
	l.Add(terminal.Faint, " quit")
	if devices > room {
		l.Add(terminal.Bold, "  ↑↓ pgup pgdn")
		l.Add(terminal.Faint, fmt.Sprintf(" devices %d to %d of %d", from+1, min(from+room, devices), devices))
	}
	return l
}
