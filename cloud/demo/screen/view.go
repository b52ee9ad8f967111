package screen

import (
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo"
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
	top := []line{v.header(), nil}
	body := v.body()
	foot := v.keys(width)
	room := height - len(top) - len(foot)
	out := make([]string, 0, height)
	for _, l := range top {
		out = append(out, l.render(width))
	}
	side := v.twins(room)
	log := v.log(max(0, room-len(body)))
	body = append(body, log...)
	for i := range room {
		var l line
		if i < len(body) {
			l = body[i]
		}
		row := l.render(left)
		if left < width {
			var s line
			if i < len(side) {
				s = side[i]
			}
			row += s.render(width - left)
		}
		out = append(out, row)
	}
	for _, l := range foot {
		out = append(out, l.render(width))
	}
	return strings.Join(out, "\n")
}

func (v view) header() line {
	var l line
	l.add(bold, " Atrium demo ")
	l.add(plain, " ")
	l.add(accent, v.API)
	l.add(plain, "   cloud node ")
	up(&l, v.Cloud, v.Now)
	if age, ok := v.age(); ok {
		l.add(plain, "   newest value ")
		l.add(freshness(age), seconds(age)+" old")
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

func freshness(age time.Duration) look {
	if age > staleAfter {
		return warn
	}
	return good
}

func up(l *line, h demo.Health, now time.Time) {
	switch {
	case h.Up:
		l.add(good, "● up")
	case h.Fault != "":
		l.add(bad, "○ does not start")
	default:
		l.add(bad, fmt.Sprintf("○ killed %s ago", seconds(now.Sub(h.Since))))
	}
}

// body is the sites with their rooms.
func (v view) body() (out []line) {
	for i := range v.Sites {
		s := &v.Sites[i]
		out = append(out, v.siteLine(i, s), flowLine(s), bufferLine(s))
		for j := range s.Rooms {
			out = append(out, roomLine(s, &s.Rooms[j]))
		}
		for _, a := range s.Alarms {
			out = append(out, alarmLine(a))
		}
		out = append(out, nil)
	}
	return out
}

func (v view) siteLine(i int, s *demo.SitePicture) line {
	var l line
	mark := "  "
	if i == v.site {
		mark = "▸ "
	}
	l.add(accent, mark)
	l.add(bold, strings.ToUpper(s.Name))
	l.add(plain, "   gateway ")
	up(&l, s.Gateway, v.Now)
	l.add(plain, "   link ")
	if s.Cut {
		l.add(bad, "✂ cut")
	} else {
		l.add(good, "● whole")
	}
	if s.Broken {
		l.add(warn, "   "+s.Plant.Sensor.Device+" unplugged")
	}
	if age, ok := s.Age(v.Now); ok && age > staleAfter {
		l.add(warn, "   values "+seconds(age)+" old")
	}
	return l
}

// flowLine follows the readings: sampled, safe, applied.
func flowLine(s *demo.SitePicture) line {
	var l line
	sampled, committed, acked, sent := s.Edge.Total()
	l.add(faint, "  readings ")
	l.add(plain, number(sampled))
	l.add(faint, " sampled ▸ ")
	l.add(plain, number(committed))
	l.add(faint, " committed ▸ ")
	l.add(plain, number(s.Applied))
	l.add(faint, " applied")
	if acked > 0 {
		l.add(faint, fmt.Sprintf("   %.1f B each", float64(sent)/float64(acked)))
	}
	return l
}

func bufferLine(s *demo.SitePicture) line {
	var l line
	b := s.Edge.Buffer
	l.add(faint, "  buffer ")
	if !s.Edge.Known {
		l.add(warn, "? the gateway does not answer")
		return l
	}
	k := plain
	if !s.Edge.Connected {
		k = warn
	}
	l.add(k, fmt.Sprintf("%s readings, %s, oldest %s", number(b.Readings), size(b.Bytes), seconds(time.Duration(b.OldestAgeMS)*time.Millisecond)))
	l.add(faint, "  ("+s.Edge.Mode+")")
	if eta := s.Edge.DrainETAMS; eta != nil && b.Readings > 0 && s.Edge.Connected {
		l.add(good, "  drained in "+seconds(time.Duration(*eta)*time.Millisecond))
	}
	return l
}

func roomLine(s *demo.SitePicture, r *demo.RoomPicture) line {
	var l line
	name := strings.TrimPrefix(r.Room.Room, s.Name+"/")
	depth := strings.Count(name, "/")
	title := r.Title
	if title == "" {
		title = name
	}
	l.add(plain, strings.Repeat("  ", depth+2)+title)
	l.to(23)
	if a := r.Aggregate("temperature"); a != nil {
		l.add(bold, fmt.Sprintf("%6.2f °C ", a.Mean))
	} else {
		l.add(faint, "     –    ")
	}
	l.add(accent, spark(r.Trend, 20, 0.4))
	if a := r.Aggregate("humidity"); a != nil {
		l.add(plain, fmt.Sprintf(" %3.0f %%", a.Mean))
	}
	l.to(60)
	if a := r.Aggregate("motion"); a != nil && a.Any {
		l.add(good, " motion")
	}
	if a := r.Aggregate("on"); a != nil && a.Any {
		l.add(warn, " on")
	}
	l.to(72)
	k := faint
	if r.Live < len(r.Devices) {
		k = warn
	}
	l.add(k, fmt.Sprintf("%d/%d live", r.Live, len(r.Devices)))
	return l
}

func alarmLine(a client.Alarm) line {
	var l line
	k := warn
	if a.Severity == "critical" {
		k = bad
	}
	l.add(k, fmt.Sprintf("    ! %s: %s (%.1f, limit %.1f)", a.Device, a.Text, a.Value, a.Threshold))
	return l
}

// log is the newest of what happened, as many lines as there are.
func (v view) log(lines int) []line {
	var out []line
	for _, e := range v.Log[max(0, len(v.Log)-lines):] {
		var l line
		l.add(faint, " "+e.At.Local().Format(time.TimeOnly)+" ")
		l.add(plain, e.Text)
		out = append(out, l)
	}
	return out
}

// twins is the column of devices.
func (v view) twins(lines int) []line {
	var head line
	head.add(bold, "TWINS")
	out := []line{head}
	for i := range v.Sites {
		for _, d := range v.Sites[i].Devices {
			out = append(out, v.twinLine(d))
		}
	}
	if len(out) > lines && lines > 1 {
		var more line
		more.add(faint, fmt.Sprintf("and %d more: atrium get devices", len(out)-lines+1))
		out = append(out[:lines-1], more)
	}
	return out
}

func (v view) twinLine(d client.Device) line {
	var l line
	switch d.Liveness {
	case "live":
		l.add(good, "● ")
	case "silent":
		l.add(bad, "○ ")
	default:
		l.add(faint, "○ ")
	}
	l.add(plain, d.Device)
	l.to(24)
	var newest time.Time
	for _, p := range d.Points {
		if p.SampledAt.After(newest) {
			newest = p.SampledAt
		}
		k := plain
		if p.Quality == "bad" {
			k = bad
		}
		l.add(k, " "+value(p))
	}
	if !newest.IsZero() {
		age := v.Now.Sub(newest)
		k := faint
		if age > 10*time.Second {
			k = warn
		}
		l.add(k, "  "+seconds(age))
	}
	return l
}

// keys explains what can be done.
func (v view) keys(width int) []line {
	var note, keys line
	note.add(accent, " "+v.note)
	site := ""
	if len(v.Sites) > 0 {
		site = v.Sites[v.site].Name
	}
	for _, k := range keyHelp(site) {
		keys.add(bold, " "+k.key)
		keys.add(faint, " "+k.does+" ")
	}
	if keys.width() > width {
		keys = nil
		for _, k := range keyHelp(site) {
			keys.add(bold, " "+k.key)
			keys.add(faint, " "+k.short)
		}
	}
	return []line{note, keys}
}
