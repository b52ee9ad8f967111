package watch

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// Picture is what is known from a stream. The zero value is empty.
type Picture struct {
	now   state
	next  state // what a stream that was opened again has brought, until Ready
	ready bool
	fault error // why the stream broke; nil while it is open
	since time.Time
}

// state is everything that a stream tells of and that is shown.
type state struct {
	sites   map[string]bool
	devices map[string]client.Device
	alarms  map[alarmKey]client.Alarm
}

// alarmKey names an alarm: a pipeline may have several stages.
type alarmKey struct {
	pipeline, device string
	stage            int
}

func (s *state) apply(e client.Event) {
	if s.devices == nil {
		*s = state{map[string]bool{}, map[string]client.Device{}, map[alarmKey]client.Alarm{}}
	}
	switch {
	case e.Site != nil:
		s.sites[e.Site.Site] = true
	case e.Device != nil:
		s.devices[e.Device.Device] = *e.Device
	case e.Alarm != nil:
		a := *e.Alarm
		key := alarmKey{a.Pipeline, a.Device, a.Stage}
		if a.State == "active" {
			s.alarms[key] = a
		} else {
			delete(s.alarms, key)
		}
	case e.Gone != nil && e.Gone.Kind == "alarm":
		delete(s.alarms, alarmKey{e.Gone.Name, e.Gone.Device, e.Gone.Stage})
	}
}

// Event takes an event: of the beginning of a stream into a state of its own,
// so that what was known is shown until everything is known anew.
func (p *Picture) Event(_ time.Time, e client.Event) error {
	switch {
	case p.ready:
		p.now.apply(e)
	case e.Ready != nil:
		p.now, p.next = p.next, state{}
		p.ready, p.fault = true, nil
	default:
		p.next.apply(e)
	}
	return nil
}

// Broken keeps what is known; it gets older.
func (p *Picture) Broken(now time.Time, why error) error {
	if p.fault == nil {
		p.since = now
	}
	p.ready, p.next, p.fault = false, state{}, why
	return nil
}

// devices returns them by name.
func (p *Picture) devices() []client.Device {
	return slices.SortedFunc(maps.Values(p.now.devices), func(a, b client.Device) int { return cmp.Compare(a.Device, b.Device) })
}

// alarms returns the active ones, the worst first, then the newest.
func (p *Picture) alarms() []client.Alarm {
	rank := map[string]int{"critical": 0, "warning": 1}
	of := func(a client.Alarm) int {
		if r, ok := rank[a.Severity]; ok {
			return r
		}
		return len(rank)
	}
	return slices.SortedFunc(maps.Values(p.now.alarms), func(a, b client.Alarm) int {
		return cmp.Or(cmp.Compare(of(a), of(b)), b.RaisedAt.Compare(a.RaisedAt), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Pipeline, b.Pipeline), cmp.Compare(a.Stage, b.Stage))
	})
}

// clone is a copy that the caller owns.
func (p *Picture) clone() Picture {
	q := *p
	q.now = state{maps.Clone(p.now.sites), maps.Clone(p.now.devices), maps.Clone(p.now.alarms)}
	q.next = state{}
	return q
}
