package room_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// TestRoomsFollowTheirScenarios scripts a site as text: its rooms' documents,
// and what its devices say.
func TestRoomsFollowTheirScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/rooms", func(t *testing.T, path string) {
		s := site{rooms: map[string]*room.State{}, said: map[string]room.Input{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.run(t, d)
		})
	})
}

// site does what a site does with its rooms: it defines those whose members
// may have changed, and passes on what a device says to the rooms that it is
// in.
type site struct {
	plan  room.Plan
	rooms map[string]*room.State
	said  map[string]room.Input // by device
}

func (s *site) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "put": // put, with a document as input
		r, err := room.Parse("room.yaml", []byte("kind: room\n"+d.Input))
		if err != nil {
			return err.Error()
		}
		changed, err := s.plan.Put(r)
		if err != nil {
			return err.Error()
		}
		s.define(changed)
		return strings.Join(changed, " ")
	case "remove": // remove ROOM
		changed := s.plan.Remove(d.CmdArgs[0].Key)
		delete(s.rooms, d.CmdArgs[0].Key)
		s.define(changed)
		return strings.Join(changed, " ")
	case "says": // says DEVICE live|silent, with lines of point unit kind value [bad]
		in := room.Input{Kind: room.Member, Device: d.CmdArgs[0].Key, Live: d.CmdArgs[1].Key == "live", Points: points(t, d)}
		s.said[in.Device] = in
		var out strings.Builder
		for _, name := range s.plan.Of(in.Device) {
			fmt.Fprintf(&out, "%s: changed %v\n", name, s.rooms[name].Step(in))
		}
		return out.String()
	case "room": // room NAME: its members and aggregates
		r := s.rooms[d.CmdArgs[0].Key]
		if r == nil {
			return "no such room"
		}
		return show(r)
	case "of": // of DEVICE: the rooms that it is in
		return strings.Join(s.plan.Of(d.CmdArgs[0].Key), " ")
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func (s *site) define(rooms []string) {
	for _, name := range rooms {
		r := s.rooms[name]
		if r == nil {
			r = new(room.State)
			s.rooms[name] = r
		}
		r.Step(room.Input{Kind: room.Define, Members: s.plan.Members(name)})
		for _, device := range s.plan.Members(name) {
			if in, ok := s.said[device]; ok {
				r.Step(in)
			}
		}
	}
}

func points(t *testing.T, d *datadriven.TestData) (all []room.Point) {
	for line := range strings.Lines(d.Input) {
		f := strings.Fields(line)
		kind := map[string]wire.ColumnKind{"number": wire.KindNumber, "boolean": wire.KindBoolean, "counter": wire.KindCounter}[f[2]]
		value, err := strconv.ParseFloat(f[3], 64)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		all = append(all, room.Point{Point: id.Point(f[0]), Unit: f[1], Kind: kind, Value: value, Good: len(f) == 4, Sampled: int64(value)})
	}
	return all
}

func show(r *room.State) string {
	var out strings.Builder
	fmt.Fprintf(&out, "members: %s, %d live\n", strings.Join(r.Members(), " "), r.Live())
	for _, a := range r.Aggregates() {
		fmt.Fprintf(&out, "%s %s %v: count %d mean %v min %v max %v any %v newest %d\n", a.Point, a.Unit, a.Kind, a.Count, a.Mean, a.Min, a.Max, a.Any, a.NewestAt)
	}
	return out.String()
}
