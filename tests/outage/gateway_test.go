package outage

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/tests/bench/workload"
)

const (
	site = "hq"
	// eventEvery is how many seconds are between two events.
	eventEvery = 600
)

// alarm is what an event is: its number.
var alarm = wire.Body{Profile: "test.alarm", Version: 1, Tick: workload.Tick, Columns: []wire.Column{{Point: "n", Unit: "1", Kind: wire.KindCounter, Mantissa: 1}}}

// gateway is a gateway's sensors, sampler and buffer, and the book beside them.
type gateway struct {
	t       *testing.T
	cfg     buffer.Config
	buf     *buffer.Buffer
	field   field
	book    *book
	devices []*sensor
	alarms  *buffer.Series
	second  int // since the link went
	events  int64
}

// sensor is one device: its rules, and the series that its rows go to.
type sensor struct {
	state  *device.State
	series *buffer.Series
}

// newGateway opens a buffer with a limit of telemetry in bytes, which is raised
// to what a buffer needs at least.
func newGateway(t *testing.T, limit int64) *gateway {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := buffer.OpenBadger(filepath.Join(t.TempDir(), "buffer"), log)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	g := &gateway{t: t, field: newField()}
	g.book = newBook(g.field)
	memory := min(buffer.DefaultMaxMemory, max(buffer.MinMaxMemory, limit/16))
	g.cfg = buffer.Config{
		Limit: max(limit, memory), MaxMemory: memory, Boot: id.Boot{1}, Reserve: 1,
		Now: func() time.Duration { return time.Since(start) + time.Hour },
	}
	if g.buf, err = buffer.Open(t.Context(), g.cfg, store, log, nil); err != nil {
		t.Fatal(err)
	}
	body := workload.Body()
	rules := device.Rules{Every: time.Second, Heartbeat: 5 * time.Second, Deadband: make([]int64, len(body.Columns)), Boolean: make([]bool, len(body.Columns))}
	for i, c := range body.Columns {
		rules.Boolean[i] = c.Kind == wire.KindBoolean
	}
	for i := range g.field {
		s, err := g.buf.Series(workload.Device(site, i), body, [32]byte{1}, g.field[i].Grid)
		if err != nil {
			t.Fatal(err)
		}
		g.devices = append(g.devices, &sensor{device.NewState(rules), s})
	}
	if g.alarms, err = g.buf.EventSeries(workload.Device(site, 0), alarm, [32]byte{2}); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gateway) close() {
	if err := g.buf.Close(context.Background()); err != nil {
		g.t.Error(err)
	}
}

// sample lets a second pass, in which every device is read once.
func (g *gateway) sample() {
	g.t.Helper()
	var v [workload.Points]int64
	for i, d := range g.devices {
		tick := g.field.row(g.second, i, v[:])
		d.state.Step(device.Input{Event: device.Tick, Due: time.Duration(g.second+1) * time.Second})
		e := d.state.Step(device.Input{Event: device.Sampled, V: v[:], Keep: g.buf.Pressure().Keep()})
		g.book.note(g.second, i, e.Row)
		if !e.Row {
			continue
		}
		if err := d.series.Append(tick, e.Q, e.V, e.Suppressed); err != nil {
			g.t.Fatal(err)
		}
	}
	if g.second%eventEvery == 0 {
		g.events++
		if err := g.alarms.Append(int64(g.second)*1000, 0, []int64{g.events}, 0); err != nil {
			g.t.Fatal(err)
		}
	}
	g.second++
	time.Sleep(time.Second)
}
