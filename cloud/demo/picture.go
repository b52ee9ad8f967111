package demo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo/plant"
)

const (
	// trendEvery and trendLength make a sparkline: two minutes.
	trendEvery  = 2 * time.Second
	trendLength = 60
	// logLength is how many lines of what happened are kept: a screen of them.
	logLength = 64
)

// Picture is what a screen shows of a demonstration. It is plain data.
type Picture struct {
	API   string
	Begin time.Time
	Now   time.Time
	Cloud Health
	Sites []SitePicture
	Log   []LogLine // oldest first
	Ready bool      // the cloud has told everything, and tells what changes
}

// LogLine is something that happened.
type LogLine struct {
	At   time.Time
	Text string
}

// SitePicture is one site.
type SitePicture struct {
	Name    string
	Plant   plant.Site
	Cut     bool // the link
	Broken  bool // the sensor is unplugged
	Gateway Health
	Edge    Edge
	Applied uint64          // readings in twin and history, when Edge was asked
	Rooms   []RoomPicture   // by name
	Devices []client.Device // by name
	Alarms  []client.Alarm  // active ones, by pipeline and device
	Command *client.Command // the newest

	arrived uint64 // readings in twin and history, as the stream says
	trended time.Time
}

// RoomPicture is a room and where its temperature comes from.
type RoomPicture struct {
	client.Room
	Trend []float64 // mean temperature, oldest first, every trendEvery
}

// Edge is a gateway's account of itself, its counts over all its lives.
type Edge struct {
	Known bool // it answers
	EdgeStatus
	before counts // of the lives before the present one
}

type counts struct{ sampled, committed, acked, sent uint64 }

// EdgeStatus is what a gateway's /status says (edge/agent).
type EdgeStatus struct {
	Gateway    string  `json:"gateway"`
	Connected  bool    `json:"connected"`
	Mode       string  `json:"mode"`
	Sampled    uint64  `json:"sampled"`
	Committed  uint64  `json:"committed"`
	Acked      uint64  `json:"acked"`
	Dropped    uint64  `json:"dropped"`
	Recovered  uint64  `json:"recovered"`
	SentBytes  uint64  `json:"sent_bytes"`
	DrainETAMS *uint64 `json:"drain_eta_ms"`
	Buffer     struct {
		Frames      uint64 `json:"frames"`
		Readings    uint64 `json:"readings"`
		Bytes       uint64 `json:"bytes"`
		OldestAgeMS uint64 `json:"oldest_age_ms"`
		DiskBytes   uint64 `json:"disk_bytes"`
	} `json:"buffer"`
}

// own returns the counts of this life alone: what the one before left was
// counted then.
func (s *EdgeStatus) own() counts {
	return counts{s.Sampled - s.Recovered, s.Committed - s.Recovered, s.Acked, s.SentBytes}
}

func newSitePicture(s plant.Site) SitePicture { return SitePicture{Name: s.Name, Plant: s} }

// Flow follows readings from the chips to twin and history, over all lives of
// the gateway.
type Flow struct {
	Sampled, Committed, Applied uint64
	BytesEach                   float64 // on the wire, for each that was acked; 0 before the first
}

// Flow returns the site's. A gateway that was killed did not tell what it
// sampled last; what the cloud applied was sampled and committed all the same.
func (p *SitePicture) Flow() Flow {
	before, now := p.Edge.before, p.Edge.own()
	f := Flow{Applied: p.Applied}
	f.Committed = max(before.committed+now.committed, f.Applied)
	f.Sampled = max(before.sampled+now.sampled, f.Committed)
	if acked := before.acked + now.acked; acked > 0 {
		f.BytesEach = float64(before.sent+now.sent) / float64(acked)
	}
	return f
}

// edge takes a gateway's account. Counts that fall begin a new life.
func (p *SitePicture) edge(s EdgeStatus) {
	e := &p.Edge
	if was, is := e.own(), s.own(); is.sampled < was.sampled || is.sent < was.sent {
		e.before.sampled += was.sampled
		e.before.committed += was.committed
		e.before.acked += was.acked
		e.before.sent += was.sent
	}
	e.EdgeStatus = s
}

// trend adds the rooms' present temperatures, every trendEvery.
func (p *SitePicture) trend(now time.Time) {
	if now.Sub(p.trended) < trendEvery {
		return
	}
	p.trended = now
	for i := range p.Rooms {
		r := &p.Rooms[i]
		if a := r.Aggregate("temperature"); a != nil {
			if len(r.Trend) == trendLength {
				r.Trend = slices.Delete(r.Trend, 0, 1)
			}
			r.Trend = append(r.Trend, a.Mean)
		}
	}
}

// Aggregate returns what the room says about a point; nil if nothing.
func (r *RoomPicture) Aggregate(point string) *client.Aggregate {
	i := slices.IndexFunc(r.Aggregates, func(a client.Aggregate) bool { return a.Point == point })
	if i < 0 {
		return nil
	}
	return &r.Aggregates[i]
}

// Age is how long ago the newest value of the site's devices was sampled; false
// without any.
func (p *SitePicture) Age(now time.Time) (time.Duration, bool) {
	var newest time.Time
	for _, d := range p.Devices {
		if at := d.Newest(); at.After(newest) {
			newest = at
		}
	}
	return now.Sub(newest), !newest.IsZero()
}

// Apply takes an event of the live stream.
func (p *Picture) Apply(now time.Time, e client.Event) {
	switch {
	case e.Ready != nil:
		p.Ready = true
	case e.Gateway != nil:
		if s := p.site(e.Gateway.Gateway); s != nil {
			s.arrived = e.Gateway.Count.Readings
		}
	case e.Device != nil:
		if s := p.site(e.Device.Device); s != nil {
			s.Devices = put(s.Devices, *e.Device, func(d client.Device) string { return d.Device })
		}
	case e.Room != nil:
		if s := p.site(e.Room.Room); s != nil {
			s.room(*e.Room)
		}
	case e.Alarm != nil:
		if s := p.site(e.Alarm.Pipeline); s != nil {
			p.alarm(now, s, *e.Alarm)
		}
	case e.Command != nil:
		if s := p.site(e.Command.Device); s != nil {
			p.command(now, s, *e.Command)
		}
	case e.Gone != nil:
		if s := p.site(e.Gone.Name); s != nil {
			s.gone(*e.Gone)
		}
	}
}

// gone takes away what no document names any more.
func (p *SitePicture) gone(g client.Gone) {
	switch g.Kind {
	case "room":
		p.Rooms = slices.DeleteFunc(p.Rooms, func(r RoomPicture) bool { return r.Room.Room == g.Name })
	case "alarm":
		key := alarmKey(client.Alarm{Pipeline: g.Name, Device: g.Device, Stage: g.Stage})
		p.Alarms = slices.DeleteFunc(p.Alarms, func(a client.Alarm) bool { return alarmKey(a) == key })
	}
}

// Broken says that the stream ended. The next one begins with everything: what
// may be gone by then is forgotten, values only get older.
func (p *Picture) Broken() {
	p.Ready = false
	for i := range p.Sites {
		p.Sites[i].Alarms = nil
	}
}

func (p *SitePicture) room(r client.Room) {
	fresh := RoomPicture{Room: r}
	if i := slices.IndexFunc(p.Rooms, func(x RoomPicture) bool { return x.Room.Room == r.Room }); i >= 0 {
		fresh.Trend = p.Rooms[i].Trend
	}
	p.Rooms = put(p.Rooms, fresh, func(x RoomPicture) string { return x.Room.Room })
}

func alarmKey(a client.Alarm) string { return fmt.Sprint(a.Pipeline, " ", a.Device, " ", a.Stage) }

func (p *Picture) alarm(now time.Time, s *SitePicture, a client.Alarm) {
	i := slices.IndexFunc(s.Alarms, func(x client.Alarm) bool { return alarmKey(x) == alarmKey(a) })
	switch {
	case a.State == "active":
		if i < 0 && p.Ready { // else it was there already
			p.say(now, fmt.Sprintf("alarm: %s: %s (%.1f)", a.Device, a.Text, a.Value))
		}
		s.Alarms = put(s.Alarms, a, alarmKey)
	case i >= 0:
		s.Alarms = slices.Delete(s.Alarms, i, i+1)
		p.say(now, fmt.Sprintf("cleared: %s: %s (%.1f)", a.Device, a.Text, a.Value))
	}
}

func (p *Picture) command(now time.Time, s *SitePicture, c client.Command) {
	if old := s.Command; old != nil && (old.IssuedAt.After(c.IssuedAt) || old.ID == c.ID && old.State == c.State) {
		return
	}
	s.Command = &c
	if c.Ended() && p.Ready {
		p.say(now, "command "+Describe(c))
	}
}

// Describe says in words what became of a command.
func Describe(c client.Command) string {
	text := fmt.Sprintf("%s %s: %s", c.Device, c.Command, c.State)
	if c.ConfirmedBy != "" {
		text += ", confirmed by " + c.ConfirmedBy
	}
	if c.Text != "" {
		text += ": " + c.Text
	}
	return text
}

// site returns the site of a name SITE/...; nil if it is none of the plant.
func (p *Picture) site(name string) *SitePicture {
	site, _, _ := strings.Cut(name, "/")
	i := slices.IndexFunc(p.Sites, func(s SitePicture) bool { return s.Name == site })
	if i < 0 {
		return nil
	}
	return &p.Sites[i]
}

func (p *Picture) say(now time.Time, text string) {
	if len(p.Log) == logLength {
		p.Log = slices.Delete(p.Log, 0, 1)
	}
	p.Log = append(p.Log, LogLine{now, text})
}

// clone copies what Apply and trend write to in place.
func (p *Picture) clone() Picture {
	c := *p
	c.Log = slices.Clone(p.Log)
	c.Sites = slices.Clone(p.Sites)
	for i := range c.Sites {
		s := &c.Sites[i]
		s.Devices, s.Alarms, s.Rooms = slices.Clone(s.Devices), slices.Clone(s.Alarms), slices.Clone(s.Rooms)
		for j := range s.Rooms {
			s.Rooms[j].Trend = slices.Clone(s.Rooms[j].Trend)
		}
	}
	return c
}

// put inserts or replaces an item of a list that is sorted by name.
func put[T any](list []T, item T, name func(T) string) []T {
	i, ok := slices.BinarySearchFunc(list, name(item), func(x T, n string) int { return strings.Compare(name(x), n) })
	if ok {
		list[i] = item
		return list
	}
	return slices.Insert(list, i, item)
}
