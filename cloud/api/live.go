package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
)

// registerLive adds the endpoints of rooms, pipelines and alarms.
func registerLive(a huma.API, s *server) {
	const site = "/v1/sites/{site}"
	add(a, "list-rooms", site+"/rooms", "The rooms of a site with their live aggregates", s.rooms)
	add(a, "get-room", site+"/rooms/{room}", "A room", s.room)
	add(a, "list-pipelines", site+"/pipelines", "The pipelines of a site", s.pipelines)
	add(a, "get-pipeline", site+"/pipelines/{pipeline}", "A pipeline", s.pipeline)
	add(a, "get-windows", site+"/pipelines/{pipeline}/windows", "The window results of a pipeline's present revision, by device, stage and start", s.windows)
	add(a, "list-alarms", site+"/alarms", "The alarms of a site that were raised since their pipelines began", s.alarms)
	add(a, "get-alarm-log", site+"/alarms/log", "What the alarms of a site did, the newest last", s.alarmLog)
}

// RoomPath names a room.
type RoomPath struct {
	Site string `path:"site" maxLength:"63"`
	Room string `path:"room" maxLength:"600" doc:"A slash is written %2F." example:"floor-1%2Fkitchen"`
}

// PipelinePath names a pipeline.
type PipelinePath struct {
	Site     string `path:"site" maxLength:"63"`
	Pipeline string `path:"pipeline" maxLength:"63"`
}

func (p *PipelinePath) parse() (id.Pipeline, error) {
	if _, err := parseSite(p.Site); err != nil {
		return id.Pipeline{}, err
	}
	name, err := id.ParsePipeline(p.Site + "/" + p.Pipeline)
	if err != nil {
		return id.Pipeline{}, badParameter("path.pipeline", p.Pipeline, err)
	}
	return name, nil
}

// listed answers with a page of something that a site has.
func listed[T any](ctx context.Context, in *siteInput, ask func(context.Context, id.Site) ([]T, error), name func(T) string) (*body[client.Page[T]], error) {
	site, err := parseSite(in.Site)
	if err != nil {
		return nil, err
	}
	all, err := ask(ctx, site)
	if err != nil {
		return nil, answered(err, "site "+in.Site, "/v1/sites")
	}
	return page(all, name, in.Listing), nil
}

func (s *server) rooms(ctx context.Context, in *siteInput) (*body[client.Page[client.Room]], error) {
	return listed(ctx, in, s.views.Rooms, func(r client.Room) string { return r.Room })
}

func (s *server) room(ctx context.Context, in *RoomPath) (*body[client.Room], error) {
	if _, err := parseSite(in.Site); err != nil {
		return nil, err
	}
	room, err := id.ParseRoom(in.Site + "/" + in.Room)
	if err != nil {
		return nil, badParameter("path.room", in.Room, err)
	}
	r, err := s.views.Room(ctx, room)
	if err != nil {
		return nil, answered(err, "room "+room.String(), "/v1/sites/"+in.Site+"/rooms")
	}
	return ok(r), nil
}

func (s *server) pipelines(ctx context.Context, in *siteInput) (*body[client.Page[client.Pipeline]], error) {
	return listed(ctx, in, s.views.Pipelines, func(p client.Pipeline) string { return p.Pipeline })
}

func (s *server) pipeline(ctx context.Context, in *PipelinePath) (*body[client.Pipeline], error) {
	name, err := in.parse()
	if err != nil {
		return nil, err
	}
	p, err := s.views.Pipeline(ctx, name)
	if err != nil {
		return nil, answered(err, "pipeline "+name.String(), "/v1/sites/"+in.Site+"/pipelines")
	}
	return ok(p), nil
}

type windowsInput struct {
	PipelinePath
	Device string `query:"device" maxLength:"63" doc:"Its name within the site. Default: all devices."`
	Span
	Listing
}

// windows pages by the windows' places in their order.
func (s *server) windows(ctx context.Context, in *windowsInput) (*body[client.Page[client.Window]], error) {
	name, err := in.PipelinePath.parse()
	if err != nil {
		return nil, err
	}
	if in.Device != "" {
		if _, err := id.ParseDevice(in.Site + "/" + in.Device); err != nil {
			return nil, badParameter("query.device", in.Device, err)
		}
	}
	since, until, err := in.Span.parse(time.Now())
	if err != nil {
		return nil, err
	}
	p, err := s.views.Pipeline(ctx, name)
	if err != nil {
		return nil, answered(err, "pipeline "+name.String(), "/v1/sites/"+in.Site+"/pipelines")
	}
	incomplete, err := s.incomplete(ctx, name.Site)
	if err != nil {
		return nil, err
	}
	out := client.Page[client.Window]{Items: []client.Window{}, Incomplete: incomplete}
	looked, last := 0, ""
	for w, err := range s.store.Windows(ctx, name.Site, name.Name, p.Revision, in.Device, since, until, 0) {
		if err != nil {
			return nil, answered(err, "windows of "+name.String(), "")
		}
		looked++
		place := fmt.Sprintf("%s %03d %020d", w.Device, w.Stage, w.Start)
		if place <= in.After {
			continue
		}
		if len(out.Items) == in.Limit {
			out.Next = last
			break
		}
		out.Items, last = append(out.Items, windowOf(w)), place
	}
	if looked == history.MaxWindows && out.Next == "" {
		return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("more than %d windows: narrow 'since' and 'until', or name a 'device'", looked))
	}
	return ok(out), nil
}

func windowOf(w history.Window) client.Window {
	return client.Window{
		Device: id.Device{Site: w.Site, Name: w.Device}.String(), Stage: w.Stage,
		Start: time.UnixMicro(w.Start).UTC(), End: time.UnixMicro(w.End).UTC(),
		Count: w.Part.Count, Mean: w.Part.Mean(), Min: w.Part.Min, Max: w.Part.Max, First: w.Part.First, Last: w.Part.Last,
	}
}

type alarmsInput struct {
	Site string `path:"site" maxLength:"63"`
	Listing
	State string `query:"state" enum:"active,cleared" doc:"Default: both."`
}

func (s *server) alarms(ctx context.Context, in *alarmsInput) (*body[client.Page[client.Alarm]], error) {
	ask := func(ctx context.Context, site id.Site) ([]client.Alarm, error) {
		all, err := s.views.Alarms(ctx, site)
		return slices.DeleteFunc(all, func(a client.Alarm) bool { return in.State != "" && a.State != in.State }), err
	}
	return listed(ctx, &siteInput{in.Site, in.Listing}, ask, func(a client.Alarm) string { return fmt.Sprintf("%s %s %02d", a.Pipeline, a.Device, a.Stage) })
}

func (s *server) alarmLog(ctx context.Context, in *siteInput) (*body[client.Page[client.AlarmEntry]], error) {
	return logged(ctx, s, in, "alarm log", s.store.AlarmLog, alarmEntryOf)
}

func alarmEntryOf(e history.AlarmEntry) client.AlarmEntry {
	return client.AlarmEntry{
		Pipeline: id.Pipeline{Site: e.Site, Name: e.Pipeline}.String(), Device: id.Device{Site: e.Site, Name: e.Device}.String(),
		Stage: e.Stage, State: e.State.String(), Severity: e.Severity, Text: e.Text,
		Value: e.Value, Threshold: e.Threshold, At: time.UnixMicro(e.Time).UTC(), Revision: e.Revision,
	}
}
