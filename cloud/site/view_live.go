package site

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

// Room is a room as it stands.
type Room struct {
	Room       id.Room
	Title      string
	Revision   uint64   // of its document
	Devices    []string // members, by name
	Live       int      // of them
	Alarms     int      // active ones of them
	Aggregates []room.Aggregate
}

// Pipeline is a pipeline and what it did.
type Pipeline struct {
	Pipeline id.Pipeline
	Title    string
	Revision uint64 // of its document
	Stages   []string
	Devices  []PipelineDevice // that it has read, by name
	Count    pipeline.Counts
}

// PipelineDevice is what a pipeline knows of a device.
type PipelineDevice struct {
	Device string
	LastAt time.Time // sample time of the newest row; zero before the first
	Value  float64   // of that row
	Alarm  string    // the gravest of its alarms' states; "" without an alarm stage
}

// Alarm is an alarm that was raised at least once since its pipeline began.
type Alarm struct {
	Pipeline id.Pipeline
	Device   string
	pipeline.Alarm
}

// Command is a command of a site, as it stands.
type Command struct {
	Site id.Site
	command.Command
}

// Rooms returns a site's rooms by name. ErrUnknown.
func (s *Shard) Rooms(ctx context.Context, name id.Site) ([]Room, error) {
	return askSite(ctx, s, name, func(st *site) (all []Room, err error) {
		for _, room := range st.rooms.plan.Rooms() {
			all = append(all, st.rooms.actors[room].view())
		}
		return all, nil
	})
}

// Room returns one room. ErrUnknown.
func (s *Shard) Room(ctx context.Context, name id.Room) (Room, error) {
	return askSite(ctx, s, name.Site, func(st *site) (Room, error) {
		a := st.rooms.actors[name.Name]
		if a == nil {
			return Room{}, fmt.Errorf("site: room %s: %w", name, ErrUnknown)
		}
		return a.view(), nil
	})
}

// Pipelines returns a site's pipelines by name. ErrUnknown.
func (s *Shard) Pipelines(ctx context.Context, name id.Site) ([]Pipeline, error) {
	return askSite(ctx, s, name, func(st *site) (all []Pipeline, err error) {
		for _, a := range st.pipelines.ordered {
			all = append(all, a.view())
		}
		return all, nil
	})
}

// Pipeline returns one pipeline. ErrUnknown.
func (s *Shard) Pipeline(ctx context.Context, name id.Pipeline) (Pipeline, error) {
	return askSite(ctx, s, name.Site, func(st *site) (Pipeline, error) {
		a := st.pipelines.actors[name.Name]
		if a == nil {
			return Pipeline{}, fmt.Errorf("site: pipeline %s: %w", name, ErrUnknown)
		}
		return a.view(), nil
	})
}

// Alarms returns a site's alarms by pipeline, device and stage. ErrUnknown.
func (s *Shard) Alarms(ctx context.Context, name id.Site) ([]Alarm, error) {
	return askSite(ctx, s, name, func(st *site) ([]Alarm, error) { return st.alarms(), nil })
}

// Commands returns a site's commands: those that have not ended in the order in
// which they were accepted, then the others, the latest first. ErrUnknown.
func (s *Shard) Commands(ctx context.Context, name id.Site) ([]Command, error) {
	return askSite(ctx, s, name, func(st *site) (all []Command, err error) {
		for _, c := range st.commands.state.List() {
			all = append(all, Command{Site: name, Command: c})
		}
		return all, nil
	})
}

// Command returns one command. ErrUnknown.
func (s *Shard) Command(ctx context.Context, name id.Site, wanted id.Command) (Command, error) {
	return askSite(ctx, s, name, func(st *site) (Command, error) {
		c, ok := st.commands.state.Get(wanted)
		if !ok {
			return Command{}, fmt.Errorf("site: command %s of site %s: %w", wanted, name, ErrUnknown)
		}
		return Command{Site: name, Command: c}, nil
	})
}

func (a *roomActor) view() Room {
	s := a.site
	v := Room{
		Room: id.Room{Site: s.id, Name: a.name}, Title: s.rooms.plan.Room(a.name).Title,
		Revision: s.documents[docKey{roomKind, a.name}].Revision,
		Devices:  slices.Clone(a.state.Members()), Live: a.state.Live(), Aggregates: a.state.Aggregates(),
	}
	for _, device := range v.Devices {
		v.Alarms += s.pipelines.active[device]
	}
	return v
}

func (a *pipelineActor) view() Pipeline {
	v := Pipeline{
		Pipeline: a.def.Name, Title: a.def.Title, Revision: a.state.Revision, Stages: a.def.Stages(), Count: a.state.Count,
	}
	for _, device := range slices.Sorted(maps.Keys(a.state.Devices)) {
		state := a.state.Devices[device]
		d := PipelineDevice{Device: device, LastAt: moment(state.SeenAt), Value: state.Value}
		if alarms := a.def.Alarms(state); len(alarms) > 0 {
			d.Alarm = slices.MaxFunc(alarms, func(x, y pipeline.Alarm) int { return cmp.Compare(x.State, y.State) }).State.String()
		}
		v.Devices = append(v.Devices, d)
	}
	return v
}

// alarms are the ones that were raised since their pipelines began.
func (s *site) alarms() (all []Alarm) {
	for _, a := range s.pipelines.ordered {
		for _, device := range slices.Sorted(maps.Keys(a.state.Devices)) {
			for _, alarm := range a.def.Alarms(a.state.Devices[device]) {
				if alarm.Raised > 0 {
					all = append(all, Alarm{Pipeline: a.def.Name, Device: device, Alarm: alarm})
				}
			}
		}
	}
	return all
}

func (s *site) alarm(pipeline, device string, stage int) (Alarm, bool) {
	a := s.pipelines.actors[pipeline]
	if a == nil || a.state.Devices[device] == nil {
		return Alarm{}, false
	}
	for _, alarm := range a.def.Alarms(a.state.Devices[device]) {
		if alarm.Stage == stage && alarm.Raised > 0 {
			return Alarm{Pipeline: a.def.Name, Device: device, Alarm: alarm}, true
		}
	}
	return Alarm{}, false
}
