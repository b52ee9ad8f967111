package peer

import (
	"cmp"
	"maps"
	"slices"

	"github.com/atrium-iot/atrium/cloud/api/client"
)

// told is what a subscriber has been told of a shard and may hear the end of:
// rooms, alarms and commands. While a stream is broken some of them may go, and
// the stream that is opened next does not tell of what is not there. It holds
// names only, of what the shard holds.
type told struct {
	known map[client.Gone]bool
	again map[client.Gone]bool // those that the open stream has told of
}

// begin is before the first event of a stream.
func (t *told) begin() {
	t.again = make(map[client.Gone]bool)
	if t.known == nil {
		t.known = make(map[client.Gone]bool)
	}
}

// add takes an event of the stream.
func (t *told) add(e *client.Event) {
	switch name := nameOf(e); {
	case e.Gone != nil:
		delete(t.known, *e.Gone)
		delete(t.again, *e.Gone)
	case name != client.Gone{}:
		t.known[name], t.again[name] = true, true
	}
}

// ready is after the whole state of a stream: it returns what has gone while
// none was open.
func (t *told) ready() (gone []client.Event) {
	lost := slices.Collect(maps.Keys(t.known))
	lost = slices.DeleteFunc(lost, func(name client.Gone) bool { return t.again[name] })
	slices.SortFunc(lost, func(a, b client.Gone) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Stage, b.Stage))
	})
	for _, name := range lost {
		delete(t.known, name)
		gone = append(gone, client.Event{Gone: &name})
	}
	return gone
}

// nameOf is how the end of an event's entity would be told; zero of what never
// ends.
func nameOf(e *client.Event) client.Gone {
	switch {
	case e.Room != nil:
		return client.Gone{Kind: "room", Name: e.Room.Room}
	case e.Alarm != nil:
		return client.Gone{Kind: "alarm", Name: e.Alarm.Pipeline, Device: e.Alarm.Device, Stage: e.Alarm.Stage}
	case e.Command != nil:
		return client.Gone{Kind: "command", Name: e.Command.ID}
	}
	return client.Gone{}
}
