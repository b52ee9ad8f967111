package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

func only[T any](site id.Site, all ...T) ([]T, error) {
	if site != "hq" {
		return nil, api.ErrNotFound
	}
	return all, nil
}

func (fakeViews) Rooms(_ context.Context, site id.Site) ([]client.Room, error) {
	return only(site, client.Room{Room: "hq/floor-1"}, client.Room{Room: "hq/floor-1/kitchen", Live: 2})
}

func (fakeViews) Room(_ context.Context, room id.Room) (client.Room, error) {
	if room.Name != "floor-1/kitchen" {
		return client.Room{}, api.ErrNotFound
	}
	return client.Room{Room: room.String(), Devices: []string{"hq/c1"}, Live: 2}, nil
}

func (fakeViews) Pipelines(_ context.Context, site id.Site) ([]client.Pipeline, error) {
	return only(site, client.Pipeline{Pipeline: "hq/warm", Revision: 7})
}

func (fakeViews) Pipeline(_ context.Context, p id.Pipeline) (client.Pipeline, error) {
	if p.Name != "warm" {
		return client.Pipeline{}, api.ErrNotFound
	}
	return client.Pipeline{Pipeline: p.String(), Revision: 7}, nil
}

func (fakeViews) Alarms(_ context.Context, site id.Site) ([]client.Alarm, error) {
	return only(site,
		client.Alarm{Pipeline: "hq/warm", Device: "hq/c1", State: "active"},
		client.Alarm{Pipeline: "hq/warm", Device: "hq/c1", Stage: 1, State: "cleared"})
}

func (fakeViews) Commands(_ context.Context, site id.Site) ([]client.Command, error) {
	return only(site,
		client.Command{ID: id.Command{2}.String(), IssuedAt: t0.Add(time.Second)},
		client.Command{ID: id.Command{1}.String(), IssuedAt: t0})
}

func (fakeViews) Command(_ context.Context, _ id.Site, c id.Command) (client.Command, error) {
	return client.Command{}, fmt.Errorf("command %s: %w", c, api.ErrNotFound)
}

func (fakeViews) Nodes(context.Context) ([]client.Node, error) {
	return []client.Node{{Node: "n1", Shards: []int{0}}}, nil
}

func (fakeViews) Intend(context.Context, id.Site, journal.Intent) (client.Command, error) {
	return client.Command{}, api.ErrUnavailable
}

func (fakeViews) Watch(context.Context, []id.Site) (api.Events, error) {
	return nil, api.ErrUnavailable
}

// windows of hq/warm: hours of c1, three a device.
func (fakeHistory) Windows(_ context.Context, site id.Site, name string, revision uint64, device string, from, to time.Time, _ int) iter.Seq2[history.Window, error] {
	return func(yield func(history.Window, error) bool) {
		for _, dev := range []string{"c1", "c2"} {
			for h := range 3 {
				at := t0.Add(time.Duration(h) * time.Hour)
				if name != "warm" || revision != 7 || device != "" && device != dev || at.Before(from) || !at.Before(to) {
					continue
				}
				w := history.Window{Site: site, Pipeline: name, Device: dev, Stage: 1, Start: at.UnixMicro(), End: at.Add(time.Hour).UnixMicro()}
				w.Part.Add(at.UnixMicro(), float64(h))
				if !yield(w, nil) {
					return
				}
			}
		}
	}
}

func (fakeHistory) AlarmLog(site id.Site) iter.Seq2[history.AlarmEntry, error] {
	return func(yield func(history.AlarmEntry, error) bool) {
		for i := range 3 {
			e := history.AlarmEntry{Site: site, Pipeline: "warm", Device: "c1", State: pipeline.Active, Time: t0.UnixMicro(), Value: float64(i)}
			if site != "hq" || !yield(e, nil) {
				return
			}
		}
	}
}

func TestTheClientReadsRoomsPipelinesAlarmsAndNodes(t *testing.T) {
	c := newClient(t, fakeViews{}, fakeHistory{})
	if all, err := c.Rooms(t.Context(), "hq"); err != nil || len(all) != 2 || all[1].Live != 2 {
		t.Error(all, err)
	}
	if r, err := c.Room(t.Context(), id.Room{Site: "hq", Name: "floor-1/kitchen"}); err != nil || r.Room != "hq/floor-1/kitchen" {
		t.Error(r, err)
	}
	if _, err := c.Room(t.Context(), id.Room{Site: "hq", Name: "cellar"}); !client.NotFound(err) || !strings.Contains(err.Error(), "/rooms lists") {
		t.Error(err)
	}
	if all, err := c.Pipelines(t.Context(), "hq"); err != nil || len(all) != 1 {
		t.Error(all, err)
	}
	if p, err := c.Pipeline(t.Context(), id.Pipeline{Site: "hq", Name: "warm"}); err != nil || p.Revision != 7 {
		t.Error(p, err)
	}
	for state, n := range map[string]int{"": 2, "active": 1, "cleared": 1} {
		if all, err := c.Alarms(t.Context(), "hq", state); err != nil || len(all) != n {
			t.Errorf("alarms %q: %v %v", state, all, err)
		}
	}
	n := 0
	for e, err := range c.AlarmLog(t.Context(), "hq") {
		if err != nil || e.Value != float64(n) || e.Pipeline != "hq/warm" {
			t.Error(e, err)
		}
		n++
	}
	if all, err := c.Commands(t.Context(), "hq"); n != 3 || err != nil || len(all) != 2 || !all[0].IssuedAt.Equal(t0) {
		t.Error(n, all, err)
	}
	if all, err := c.Nodes(t.Context()); err != nil || len(all) != 1 || all[0].Node != "n1" {
		t.Error(all, err)
	}
}

func TestWindowsArePagedWithoutLossOrRepetition(t *testing.T) {
	c := newClient(t, fakeViews{}, fakeHistory{})
	n := 0
	for w, err := range c.Windows(t.Context(), id.Pipeline{Site: "hq", Name: "warm"}, "c1", t0.Add(time.Hour), time.Time{}) {
		if err != nil || w.Device != "hq/c1" || w.Count != 1 || w.Mean != float64(n+1) {
			t.Fatal(w, err)
		}
		n++
	}
	if n != 2 {
		t.Fatalf("%d windows of c1 since the second hour, want 2", n)
	}
	base := serve(t, fakeViews{}, fakeHistory{})
	var got []string
	for next := ""; ; {
		var page client.Page[client.Window]
		get(t, base+"/v1/sites/hq/pipelines/warm/windows?limit=2&after="+strings.ReplaceAll(next, " ", "+"), http.StatusOK, &page)
		for _, w := range page.Items {
			got = append(got, fmt.Sprint(w.Device, w.Start.Hour()))
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if want := "hq/c112 hq/c113 hq/c114 hq/c212 hq/c213 hq/c214"; strings.Join(got, " ") != want {
		t.Fatalf("windows %v", got)
	}
}

// liveViews watches what a test says.
type liveViews struct {
	fakeViews
	events chan []client.Event
	closed chan struct{}
}

func (v liveViews) Watch(_ context.Context, sites []id.Site) (api.Events, error) {
	if len(sites) > 0 && sites[0] != "hq" {
		return nil, api.ErrNotFound
	}
	return v, nil
}

func (v liveViews) Next(ctx context.Context, _ time.Duration) ([]client.Event, bool, error) {
	select {
	case batch, ok := <-v.events:
		if !ok {
			return nil, false, errors.New("the watch is over")
		}
		return batch, false, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

func (v liveViews) Close() { v.closed <- struct{}{} }

func TestAStreamTellsWhatChangesUntilTheWatchEnds(t *testing.T) {
	v := liveViews{events: make(chan []client.Event, 3), closed: make(chan struct{}, 1)}
	c := newClient(t, v, fakeHistory{})
	v.events <- []client.Event{{Room: &client.Room{Room: "hq/kitchen"}}, {Ready: new(struct{})}}
	v.events <- nil // an idle time: a comment
	v.events <- []client.Event{{Gone: &client.Gone{Kind: "room", Name: "hq/kitchen"}}}
	close(v.events)
	var got []client.Event
	for e, err := range c.Stream(t.Context(), "hq") {
		if err != nil {
			if !errors.Is(err, client.ErrStreamEnded) {
				t.Fatal(err)
			}
			break
		}
		got = append(got, e)
	}
	if len(got) != 3 || got[0].Room == nil || got[1].Ready == nil || got[2].Gone == nil {
		t.Fatalf("%+v", got)
	}
	<-v.closed
}

// I5: a page that is reloaded in a loop must not take all that a node has.
func TestStreamsAreBoundedAndFreeTheirPlaces(t *testing.T) {
	v := liveViews{events: make(chan []client.Event), closed: make(chan struct{}, api.MaxStreams)}
	base := serve(t, v, fakeHistory{})
	open := func(ctx context.Context) *http.Response {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var begun sync.WaitGroup
	for range api.MaxStreams {
		begun.Go(func() {
			resp := open(ctx)
			if ct := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || ct != "text/event-stream" {
				t.Error(resp.Status, ct)
			}
		})
		v.events <- []client.Event{{Ready: new(struct{})}}
	}
	begun.Wait()
	resp := open(t.Context())
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "64 live streams") {
		t.Fatal(resp.Status, string(body))
	}
	cancel()
	for range api.MaxStreams {
		<-v.closed
	}
	go func() { v.events <- []client.Event{{Ready: new(struct{})}} }()
	c, err := client.New(base)
	if err != nil {
		t.Fatal(err)
	}
	for e, err := range c.Stream(t.Context()) {
		if err != nil || e.Ready == nil {
			t.Fatal(e, err)
		}
		break
	}
}

func TestAStreamEndsWithTheProgram(t *testing.T) {
	v := liveViews{events: make(chan []client.Event, 1), closed: make(chan struct{}, 1)}
	stop, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := client.New(serveUntil(t, stop, v, fakeHistory{}))
	if err != nil {
		t.Fatal(err)
	}
	v.events <- []client.Event{{Ready: new(struct{})}}
	var last error
	for _, err := range c.Stream(t.Context()) {
		last = err
		cancel()
	}
	if !errors.Is(last, client.ErrStreamEnded) {
		t.Fatal(last)
	}
	<-v.closed
}

func TestAStreamOfAnUnknownSiteIsAProblemAndNotAnEmptyStream(t *testing.T) {
	base := serve(t, liveViews{}, fakeHistory{})
	var problem client.Error
	get(t, base+"/v1/stream?site=lab", http.StatusNotFound, &problem)
	get(t, base+"/v1/stream?site=A", http.StatusBadRequest, &problem)
	get(t, serve(t, fakeViews{}, fakeHistory{})+"/v1/stream", http.StatusServiceUnavailable, &problem)
}

// commandViews takes intents as the owner does.
type commandViews struct {
	fakeViews
	mu    sync.Mutex
	taken map[id.Command]client.Command
	last  journal.Intent
	fail  error // of Intend, which has taken it all the same
}

func (v *commandViews) Device(_ context.Context, dev id.Device) (client.Device, error) {
	switch dev.Name {
	case "relay":
		return client.Device{Device: "hq/relay", Gateway: "hq/gw", Profile: "generic.relay"}, nil
	case "other":
		return client.Device{Device: "hq/other", Gateway: "hq/gw", Profile: "acme.unheard"}, nil
	case "loose":
		return client.Device{Device: "hq/loose"}, nil
	}
	return client.Device{}, api.ErrNotFound
}

func (v *commandViews) Command(_ context.Context, _ id.Site, c id.Command) (client.Command, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if known, ok := v.taken[c]; ok {
		return known, nil
	}
	return client.Command{}, api.ErrNotFound
}

func (v *commandViews) Intend(_ context.Context, site id.Site, in journal.Intent) (client.Command, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = in
	c := client.Command{ID: in.ID.String(), Device: string(site) + "/" + in.Device, Command: in.Name, State: "accepted", By: in.By}
	for _, a := range in.Args {
		c.Args = map[string]any{a.Name: a.Value.Number != 0}
	}
	v.taken[in.ID] = c
	return c, v.fail
}

// Who asks again without the id would have the device do it twice.
func TestACommandThatMayBeTakenIsAnsweredWithItsID(t *testing.T) {
	v := &commandViews{taken: map[id.Command]client.Command{}}
	c := newClient(t, v, fakeHistory{})
	relay, req := id.Device{Site: "hq", Name: "relay"}, client.CommandRequest{Command: "set", Args: map[string]any{"on": true}}
	for _, v.fail = range []error{context.DeadlineExceeded, fmt.Errorf("ended: %w", api.ErrUnavailable)} {
		_, err := c.Send(t.Context(), relay, req)
		var problem *client.Error
		if !errors.As(err, &problem) || problem.Status != http.StatusServiceUnavailable || !strings.Contains(problem.Detail, v.last.ID.String()) {
			t.Fatalf("%v: %v", v.fail, err)
		}
		again := req
		again.ID = v.last.ID.String()
		if got, err := c.Send(t.Context(), relay, again); err != nil || got.ID != again.ID || len(v.taken) != 1 {
			t.Fatal(got, err, v.taken)
		}
		clear(v.taken)
	}
}

func TestACommandIsTakenOnceAndAskedForAgainIsTheSame(t *testing.T) {
	v := &commandViews{taken: map[id.Command]client.Command{}}
	c := newClient(t, v, fakeHistory{})
	relay := id.Device{Site: "hq", Name: "relay"}
	req := client.CommandRequest{ID: id.Command{9}.String(), Command: "set", Args: map[string]any{"on": true}, By: "ann", ExpiresMS: 5000}
	first, err := c.Send(t.Context(), relay, req)
	if err != nil || first.State != "accepted" || first.ID != req.ID {
		t.Fatal(first, err)
	}
	if life := time.Duration(v.last.Deadline-v.last.Issued) * time.Microsecond; life != 5*time.Second || v.last.By != "ann" {
		t.Fatalf("intent %+v", v.last)
	}
	v.last = journal.Intent{}
	if again, err := c.Send(t.Context(), relay, req); err != nil || again.ID != first.ID || v.last.Name != "" {
		t.Fatal(again, err, v.last)
	}
	req.Args["on"] = false
	var problem *client.Error
	if _, err := c.Send(t.Context(), relay, req); !errors.As(err, &problem) || problem.Status != http.StatusConflict {
		t.Fatal(err)
	}
	if got, err := c.Command(t.Context(), "hq", id.Command{9}); err != nil || got.Command != "set" {
		t.Fatal(got, err)
	}
	if drawn, err := c.Send(t.Context(), relay, client.CommandRequest{Command: "set", Args: map[string]any{"on": true}}); err != nil || drawn.ID == first.ID {
		t.Fatal(drawn, err)
	}
}

const relayProfile = `id: generic.relay
version: 1
title: Relay
bus: {type: gpio}
every: 5s
lines:
  out: {direction: out, safe: low}
raw:
  on: {line: out}
points:
  - {name: on, expr: on, kind: boolean}
commands:
  set:
    args: {on: {kind: boolean}}
    do: [{line: out, level: "on"}]
    confirm: shadow
    idempotent: true
`

func TestACommandThatCannotBeIsRefusedWithWhatIsWanted(t *testing.T) { // I6
	v := &commandViews{taken: map[id.Command]client.Command{}}
	c := openCatalog(t)
	if _, _, err := c.Put(t.Context(), "relay.yaml", []byte(relayProfile), catalog.Any, false); err != nil {
		t.Fatal(err)
	}
	base := serveCatalog(t, t.Context(), v, fakeHistory{}, c)
	for _, bad := range []struct {
		device, body, want string
		status             int
	}{
		{"none", `{"command":"set"}`, "GET /v1/sites/hq/devices lists", 404},
		{"loose", `{"command":"set"}`, "hangs on no gateway", 409},
		{"relay", `{"command":"Set"}`, "body.command", 422},
		{"relay", `{"command":"toggle"}`, "profile generic.relay has set", 422},
		{"relay", `{"command":"set"}`, "on (true or false)", 422},
		{"relay", `{"command":"set","args":{"on":1}}`, "on (true or false)", 422},
		{"relay", `{"command":"set","args":{"on":"yes"}}`, "body.args.on", 422},
		{"relay", `{"command":"set","args":{"On":true}}`, "body.args.On", 422},
		{"relay", `{"command":"set","args":{"on":true},"expires_ms":99}`, "100 to 604800000", 422},
		{"relay", `{"command":"set","args":{"on":true},"expires_ms":604800001}`, "100 to 604800000", 422},
		{"relay", `{"command":"set","args":{"on":true},"id":"7"}`, "body.id", 422},
		{"relay", `{"command":"set","args":{"on":true},"by":"` + strings.Repeat("a", 257) + `"}`, "body.by", 422},
		{"relay", `{"command":"set","colour":"red"}`, "body.colour", 422},
		{"relay", `{"args":{}}`, "required property command", 422},
		{"relay", `{`, "unexpected end", 400},
		{"relay", `{"command":"set","args":{"on":1e999}}`, "1e999", 400},
		{"relay", `{"command":"set","args":{"on":NaN}}`, "invalid character", 400},
		{"relay", `{"command":"set","args":{"on":[true]}}`, "body.args.on", 422},
		{"relay", `{"command":"set","args":{"on":null}}`, "body.args.on", 422},
		{"relay", `{"command":"set","args":{"on":true}} {"command":"set"}`, "after top-level value", 400},
		{"relay", `{"command":"set","args":{"on":true},"expires_ms":-1}`, "body.expires_ms", 422},
		{"relay", `{"command":"set","args":{"on":true},"expires_ms":1e30}`, "expires_ms", 422},
		{"relay", `[]`, "expected object", 422},
		{"relay", `null`, "expected object", 422},
		{"relay", ``, "required", 400},
		{"relay", `{"by":"` + strings.Repeat("a", 20_000) + `"}`, "", 413},
	} {
		resp, err := http.Post(base+"/v1/sites/hq/devices/"+bad.device+"/commands", "application/json", strings.NewReader(bad.body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var problem map[string]any
		if ct := resp.Header.Get("Content-Type"); resp.StatusCode != bad.status || ct != "application/problem+json" || json.Unmarshal(text, &problem) != nil || !strings.Contains(fmt.Sprint(problem), bad.want) {
			t.Errorf("%s %.60s: %s %s %s; want %d with %q", bad.device, bad.body, resp.Status, ct, text, bad.status, bad.want)
		}
	}
	if len(v.taken) != 0 {
		t.Fatalf("%d intents of bad requests", len(v.taken))
	}
	// Whose profile the catalog has not is the gateway's to judge.
	resp, err := http.Post(base+"/v1/sites/hq/devices/other/commands", "application/json", strings.NewReader(`{"command":"open"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Fatal(resp.Status)
	}
	var problem client.Error
	get(t, base+"/v1/sites/hq/commands/zz", http.StatusBadRequest, &problem)
	get(t, base+"/v1/sites/hq/commands/"+id.Command{77}.String(), http.StatusNotFound, &problem)
}
