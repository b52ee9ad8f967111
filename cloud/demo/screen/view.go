package screen

import (
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo"
	"github.com/atrium-iot/atrium/cloud/terminal"
)

const (
	// MinWidth and MinHeight are the smallest terminal that the live view fits:
	// below it the demonstration prints lines.
	MinWidth, MinHeight = 72, 20

	// wideWidth is where the twins get a column of their own beside the rooms.
	wideWidth = 124
	roomsWide = 82 // then the columns of the left side

	// staleAfter is the age from which the newest value is shown as old.
	staleAfter = 2 * time.Second
)

// view is what a frame of the screen depends on.
type view struct {
	demo.Picture
	site int    // selected: keys act on it
	note string // of what a key is about to do or did
}

// render draws the view: exactly height lines of width columns.
func (v view) render(width, height int) string {
	left := width
	if width >= wideWidth {
		left = roomsWide
	}
	top := []terminal.Line{v.header(), nil}
	body := v.body()
	foot := v.keys(width)
	room := height - len(top) - len(foot)
	out := make([]string, 0, height)
	for _, l := range top {
		out = append(out, l.Render(width))
	}
	side := v.twins(room)
	body = append(body, v.log(max(0, room-len(body)))...)
	if hints := hintLines(); len(body)+len(hints) < room {
		body = append(body, make([]terminal.Line, room-len(body)-len(hints))...)
		body = append(body, hints...)
	}
	for i := range room {
		var l terminal.Line
		if i < len(body) {
			l = body[i]
		}
		row := l.Render(left)
		if left < width {
			var s terminal.Line
			if i < len(side) {
				s = side[i]
			}
			row += s.Render(width - left)
		}
		out = append(out, row)
	}
	for _, l := range foot {
		out = append(out, l.Render(width))
	}
	return strings.Join(out, "\n")
}

func (v view) header() terminal.Line {
	var l terminal.Line
	l.Add(terminal.Bold, " Atrium demo ")
	l.Add(terminal.Plain, " ")
	l.Add(terminal.Accent, v.API)
	l.Add(terminal.Plain, "   cloud node ")
	up(&l, v.Cloud, v.Now)
	if age, ok := v.age(); ok {
		l.Add(terminal.Plain, "   newest value ")
		l.Add(freshness(age), terminal.Seconds(age)+" old")
	}
	return l
}

// age is that of the newest value of the site that is furthest behind.
func (v view) age() (oldest time.Duration, ok bool) {
	for i := range v.Sites {
		if age, known := v.Sites[i].Age(v.Now); known {
			oldest, ok = max(oldest, age), true
		}
	}
	return oldest, ok
}

func freshness(age time.Duration) terminal.Look {
	if age > staleAfter {
		return terminal.Warn
	}
	return terminal.Good
}

func up(l *terminal.Line, h demo.Health, now time.Time) {
	switch {
	case h.Up:
		l.Add(terminal.Good, "● up")
	case h.Fault != "":
		l.Add(terminal.Bad, "○ does not start")
	default:
		l.Add(terminal.Bad, fmt.Sprintf("○ killed %s ago", terminal.Seconds(now.Sub(h.Since))))
	}
}

// body is the sites with their rooms.
func (v view) body() (out []terminal.Line) {
	for i := range v.Sites {
		s := &v.Sites[i]
		out = append(out, v.siteLine(i, s), flowLine(s), bufferLine(s))
		for j := range s.Rooms {
			out = append(out, roomLine(s, &s.Rooms[j]))
		}
		for _, a := range s.Alarms {
			out = append(out, alarmLine(s, a))
		}
		out = append(out, nil)
	}
	return out
}

func (v view) siteLine(i int, s *demo.SitePicture) terminal.Line {
	var l terminal.Line
	mark := "  "
	if i == v.site {
		mark = "▸ "
	}
	l.Add(terminal.Accent, mark)
	l.Add(terminal.Bold, strings.ToUpper(s.Name))
	l.Add(terminal.Plain, "   gateway ")
	up(&l, s.Gateway, v.Now)
	l.Add(terminal.Plain, "   link ")
	if s.Cut {
		l.Add(terminal.Bad, "✂ cut")
	} else {
		l.Add(terminal.Good, "● whole")
	}
	if s.Broken {
		l.Add(terminal.Warn, "   "+s.Plant.Sensor.Device+" unplugged")
	}
	if age, ok := s.Age(v.Now); ok && age > staleAfter {
		l.Add(terminal.Warn, "   values "+terminal.Seconds(age)+" old")
	}
	return l
}

// flowLine follows the readings: sampled, safe, applied.
func flowLine(s *demo.SitePicture) terminal.Line {
	var l terminal.Line
	flow := s.Flow()
	l.Add(terminal.Faint, "  readings ")
	l.Add(terminal.Plain, terminal.Number(flow.Sampled))
	l.Add(terminal.Faint, " sampled ▸ ")
	l.Add(terminal.Plain, terminal.Number(flow.Committed))
	l.Add(terminal.Faint, " committed ▸ ")
	l.Add(terminal.Plain, terminal.Number(flow.Applied))
	l.Add(terminal.Faint, " applied")
	if flow.BytesEach > 0 {
		l.Add(terminal.Faint, fmt.Sprintf("   %.1f B each", flow.BytesEach))
	}
	return l
}

func bufferLine(s *demo.SitePicture) terminal.Line {
	var l terminal.Line
	b := s.Edge.Buffer
	l.Add(terminal.Faint, "  buffer ")
	if !s.Edge.Known {
		l.Add(terminal.Warn, "? the gateway does not answer")
		return l
	}
	if b.Readings == 0 {
		l.Add(terminal.Plain, "empty")
		l.Add(terminal.Faint, "  ("+s.Edge.Mode+")")
		return l
	}
	k := terminal.Plain
	if !s.Edge.Connected {
		k = terminal.Warn
	}
	l.Add(k, fmt.Sprintf("%s readings, %s, oldest %s", terminal.Number(b.Readings), terminal.Size(b.Bytes), terminal.Seconds(time.Duration(b.OldestAgeMS)*time.Millisecond)))
	l.Add(terminal.Faint, "  ("+s.Edge.Mode+")")
	if eta := s.Edge.DrainETAMS; eta != nil && s.Edge.Connected {
		l.Add(terminal.Good, "  drained in "+terminal.Seconds(time.Duration(*eta)*time.Millisecond))
	}
	return l
}

func roomLine(s *demo.SitePicture, r *demo.RoomPicture) terminal.Line {
	var l terminal.Line
	name := strings.TrimPrefix(r.Room.Room, s.Name+"/")
	depth := strings.Count(name, "/")
	title := r.Title
	if title == "" {
		title = name
	}
	l.Add(terminal.Plain, strings.Repeat("  ", depth+2)+title)
	l.To(23)
	if a := r.Aggregate("temperature"); a != nil {
		l.Add(terminal.Bold, fmt.Sprintf("%6.2f °C ", a.Mean))
	} else {
		l.Add(terminal.Faint, "     –    ")
	}
	l.Add(terminal.Accent, terminal.Spark(r.Trend, 20, 0.4))
	if a := r.Aggregate("humidity"); a != nil {
		l.Add(terminal.Plain, fmt.Sprintf(" %3.0f %%", a.Mean))
	}
	l.To(60)
	if a := r.Aggregate("motion"); a != nil && a.Any {
		l.Add(terminal.Good, " motion")
	}
	if a := r.Aggregate("on"); a != nil && a.Any {
		l.Add(terminal.Warn, " on")
	}
	l.To(72)
	k := terminal.Faint
	if r.Live < len(r.Devices) {
		k = terminal.Warn
	}
	l.Add(k, fmt.Sprintf("%d/%d live", r.Live, len(r.Devices)))
	return l
}

func alarmLine(s *demo.SitePicture, a client.Alarm) terminal.Line {
	var l terminal.Line
	k := terminal.Warn
	if a.Severity == "critical" {
		k = terminal.Bad
	}
	l.Add(k, fmt.Sprintf("    ! %s raised at %.1f, limit %.1f: %s", strings.TrimPrefix(a.Device, s.Name+"/"), a.Value, a.Threshold, a.Text))
	return l
}

// log is the newest of what happened, as many lines as there are.
func (v view) log(lines int) []terminal.Line {
	var out []terminal.Line
	for _, e := range v.Log[max(0, len(v.Log)-lines):] {
		var l terminal.Line
		l.Add(terminal.Faint, " "+e.At.Local().Format(time.TimeOnly)+" ")
		l.Add(terminal.Plain, e.Text)
		out = append(out, l)
	}
	return out
}

func hintLines() (out []terminal.Line) {
	for _, h := range hints() {
		var l terminal.Line
		l.Add(terminal.Faint, " "+h)
		out = append(out, l)
	}
	return out
}

// twins is the column of devices.
func (v view) twins(lines int) []terminal.Line {
	var head terminal.Line
	head.Add(terminal.Bold, "TWINS")
	out := []terminal.Line{head}
	for i := range v.Sites {
		for _, d := range v.Sites[i].Devices {
			out = append(out, v.twinLine(d))
		}
	}
	if len(out) > lines && lines > 1 {
		var more terminal.Line
		more.Add(terminal.Faint, fmt.Sprintf("and %d more: atrium get devices", len(out)-lines+1))
		out = append(out[:lines-1], more)
	}
	return out
}

func (v view) twinLine(d client.Device) terminal.Line {
	var l terminal.Line
	l.Add(terminal.Liveness(d.Liveness))
	l.Add(terminal.Plain, " "+d.Device)
	l.To(24)
	for _, p := range d.Points {
		k := terminal.Plain
		if p.Quality == "bad" {
			k = terminal.Bad
		}
		l.Add(k, " "+terminal.Value(p))
	}
	if newest := d.Newest(); !newest.IsZero() {
		age := v.Now.Sub(newest)
		k := terminal.Faint
		if age > 10*time.Second {
			k = terminal.Warn
		}
		l.Add(k, "  "+terminal.Seconds(age))
	}
	return l
}

// keys explains what can be done.
func (v view) keys(width int) []terminal.Line {
	var note, keys terminal.Line
	note.Add(terminal.Accent, " "+v.note)
	site := ""
	if len(v.Sites) > 0 {
		site = v.Sites[v.site].Name
	}
	for _, k := range keyHelp(site) {
		keys.Add(terminal.Bold, " "+k.key)
		keys.Add(terminal.Faint, " "+k.does+" ")
	}
	if keys.Width() > width {
		keys = nil
		for _, k := range keyHelp(site) {
			keys.Add(terminal.Bold, " "+k.key)
			keys.Add(terminal.Faint, " "+k.short)
		}
	}
	return []terminal.Line{note, keys}
}
