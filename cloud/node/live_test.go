package node

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

var counted = id.Pipeline{Site: "hq", Name: "counted"}

// apply puts the site, a room with the counter, and a pipeline over it that
// makes windows of ten seconds and raises an alarm when one passes 15.
func (l *life) apply() {
	l.t.Helper()
	for _, text := range []string{
		"kind: site\nname: hq\n",
		"kind: room\nname: hq/floor/hall\ndevices: [c1]\n",
		"kind: pipeline\nname: hq/counted\nfrom: {rooms: [floor/hall]}\npoints: [count]\nstages:\n" +
			"- window: {every: 10s}\n- alarm: {of: max, above: 15, severity: critical, text: too many}\n",
	} {
		if _, err := l.api.Put(l.t.Context(), []byte(text), client.PutOptions{}); err != nil {
			l.t.Fatal(err)
		}
	}
	until(l.t, "the site has its documents", func() bool {
		p, err := l.api.Pipeline(l.t.Context(), counted)
		return err == nil && p.Revision > 0
	})
}

// reading is a frame with one reading at a second of the boot.
func reading(seq uint64, second int64, value int64) journal.Record {
	var rows wire.Rows
	tick := second * 1000
	rows.Append(tick, 0, []int64{value})
	f := wire.Frame{Run: run, Seq: seq, Clk: 1, T0: tick, Blocks: []wire.Block{{
		SID: 1, N: 1, DT0: wire.DT0(tick, tick, uint64(time.Millisecond)), Data: wire.AppendColumns(nil, &rows, 1000),
	}}}
	return record(journal.KindFrame, f.Append(nil))
}

// hour is opening with a boot that began at a whole hour, so that windows begin
// at its tens of seconds.
func hour() []journal.Record {
	recs := opening()
	clock := wire.Clock{Run: run, Clk: 1, Boot: boot, UTC0: time.Now().Add(-2 * time.Hour).Truncate(time.Hour).UnixMicro(), Uncertainty: 1, Source: wire.ClockSystem}
	recs[3] = record(journal.KindClock, clock.Append(nil))
	return recs
}

// windows are the counts and the sums of the pipeline's windows.
func (l *life) windows() (all [][2]float64) {
	l.t.Helper()
	for w, err := range l.api.Windows(l.t.Context(), counted, dev.Name, time.Time{}, time.Time{}) {
		if err != nil {
			l.t.Fatal(err)
		}
		all = append(all, [2]float64{float64(w.Count), w.Mean * float64(w.Count)})
	}
	return all
}

// I1, I7: what a site makes of readings survives its node; a reading that comes
// late after a restart reaches its window, once.
func TestRoomsWindowsAndAlarmsGoOnAfterARestart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	l := start(t, data)
	l.apply()
	if r, err := l.api.Room(t.Context(), id.Room{Site: "hq", Name: "floor/hall"}); err != nil || r.Live != 0 || len(r.Devices) != 1 {
		t.Errorf("a room before its device speaks: %+v, %v", r, err)
	}
	l.journal(hour()...)
	l.journal(reading(1, 1, 1), reading(2, 2, 2), reading(3, 12, 20), reading(4, 25, 7))
	until(t, "the alarm is raised", func() bool {
		all, err := l.api.Alarms(t.Context(), "hq", "active")
		return err == nil && len(all) == 1 && all[0].Value == 20 && all[0].Severity == "critical"
	})
	l.stop()

	l = start(t, data)
	r, err := l.api.Room(t.Context(), id.Room{Site: "hq", Name: "floor/hall"})
	if err != nil || r.Live != 1 || r.Alarms != 1 || len(r.Aggregates) != 1 || r.Aggregates[0].Mean != 7 {
		t.Errorf("the room is %+v, %v", r, err)
	}
	l.journal(reading(5, 3, 3))
	l.journal(reading(5, 3, 3)) // its ack was lost
	until(t, "the late reading is in its window", func() bool {
		w := l.windows()
		return len(w) == 2 && w[0] == [2]float64{3, 6} && w[1] == [2]float64{1, 20}
	})
	l.journal(reading(6, 31, 4), reading(7, 41, 4))
	until(t, "the alarm ends", func() bool {
		all, err := l.api.Alarms(t.Context(), "hq", "cleared")
		return err == nil && len(all) == 1
	})
	var log []string
	for e, err := range l.api.AlarmLog(t.Context(), "hq") {
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, e.State)
	}
	if len(log) != 2 || log[0] != "active" || log[1] != "inactive" {
		t.Errorf("the alarm log is %v", log)
	}
	p, err := l.api.Pipeline(t.Context(), counted)
	if err != nil || p.Count.Rows != 7 || p.Count.Late != 1 || p.Devices[0].Device != "hq/c1" {
		t.Errorf("the pipeline is %+v, %v", p, err)
	}
	l.stop()
}

// A gateway that is away gets a command as soon as it can be reached; here it
// answers through the journal alone.
func TestACommandIsDurableAndEndsWithItsGatewaysResult(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	l := start(t, data)
	l.journal(append(opening(), frame(1))...)
	l.reports(1)
	req := client.CommandRequest{Command: "reset", Args: map[string]any{"to": 5.0}, By: "ann", ExpiresMS: 60_000}
	c, err := l.api.Send(t.Context(), dev, req)
	if err != nil || c.Ended() || c.By != "ann" || c.Args["to"] != 5.0 {
		t.Fatalf("%+v, %v", c, err)
	}
	name, err := id.ParseCommand(c.ID)
	if err != nil {
		t.Fatal(err)
	}
	state := func(want string) func() bool {
		return func() bool {
			got, err := l.api.Command(t.Context(), "hq", name)
			return err == nil && got.State == want
		}
	}
	until(t, "the command may be sent", state("sent"))
	l.stop()

	l = start(t, data)
	if !state("sent")() {
		t.Error("the restart forgot the command")
	}
	result := wire.Result{ID: name, State: wire.ResultDone, Confirmed: wire.ConfirmShadow}
	l.journal(record(journal.KindResult, result.Append(nil)))
	until(t, "the command is done", state("done"))
	req.ID = c.ID
	if again, err := l.api.Send(t.Context(), dev, req); err != nil || again.State != "done" || again.ConfirmedBy != "shadow (assumed)" {
		t.Errorf("asked for again: %+v, %v", again, err)
	}
	if _, err := l.api.Send(t.Context(), id.Device{Site: "hq", Name: "none"}, req); err == nil {
		t.Error("the same id for another device is taken")
	}
	req.ID = ""
	if _, err := l.api.Send(t.Context(), id.Device{Site: "hq", Name: "none"}, req); !client.NotFound(err) {
		t.Errorf("a command to nobody: %v", err)
	}
	l.stop()
}

func TestTheStreamTellsTheStateAndItsChangesAndEndsWithTheNode(t *testing.T) {
	l := start(t, filepath.Join(t.TempDir(), "data"))
	l.apply()
	l.journal(hour()...)
	l.journal(reading(1, 1, 1))
	l.reports(1)
	events := make(chan client.Event, 100)
	ended := make(chan error, 1)
	go func() {
		for e, err := range l.api.Stream(t.Context()) {
			if err != nil {
				ended <- err
				return
			}
			events <- e
		}
	}()
	var site, gateway, device, room bool
	for e := range events {
		site, gateway = site || e.Site != nil, gateway || e.Gateway != nil && e.Gateway.Count.Frames == 1
		device, room = device || e.Device != nil && e.Device.Profile == "atrium.counter", room || e.Room != nil
		if e.Ready != nil {
			break
		}
	}
	if !site || !gateway || !device || !room {
		t.Errorf("before ready: site %v, gateway %v, device %v, room %v", site, gateway, device, room)
	}
	l.journal(reading(2, 12, 20), reading(3, 25, 21))
	for device, room, alarm := false, false, false; !device || !room || !alarm; {
		select {
		case e := <-events:
			device = device || e.Device != nil && *e.Device.Points[0].Value == 21
			room = room || e.Room != nil && e.Room.Alarms == 1
			alarm = alarm || e.Alarm != nil && e.Alarm.State == "active"
		case <-time.After(patience):
			t.Fatalf("not told: device %v, room %v, alarm %v", device, room, alarm)
		}
	}
	until(t, "the node says that it has both shards", func() bool {
		nodes, err := l.api.Nodes(t.Context())
		return err == nil && len(nodes) == 1 && nodes[0].Node == "n1" && len(nodes[0].Shards) == 2
	})
	if status, body := l.get("/v1/stream?site=nowhere"); status != http.StatusNotFound || !strings.Contains(body, "site nowhere: not found: a site begins with") {
		t.Errorf("a stream of an unknown site is %d %s", status, body)
	}
	l.stop()
	if err := <-ended; !errors.Is(err, client.ErrStreamEnded) {
		t.Errorf("the stream ended with %v", err)
	}
}
