package node

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// I7: texts and floats go the whole way and are there
// after a restart. A room adds up the float and leaves the text out; a pipeline
// that would read the text is refused.
func TestTextsAndFloatsReachTwinHistoryAndRoom(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	l := start(t, data)
	l.apply()
	l.journal(machine()...)
	l.journal(says(1, "idle", 0.5), says(2, "stuck at <3>", -2.5), says(3, "idle", 0.1))
	check := func() {
		t.Helper()
		until(t, "the twin says the last", func() bool {
			d, err := l.api.Device(t.Context(), dev)
			if err != nil || len(d.Points) != 2 {
				return false
			}
			ratio, state := d.Points[0], d.Points[1]
			return ratio.Kind == "float" && ratio.Value != nil && *ratio.Value == 0.1 &&
				state.Kind == "text" && state.Value == nil && state.Text != nil && *state.Text == "idle"
		})
		var texts []string
		for r, err := range l.api.History(t.Context(), dev, "state", time.Time{}, time.Time{}, false) {
			if err != nil || r.Value != nil || r.Text == nil {
				t.Fatalf("%+v, %v", r, err)
			}
			texts = append(texts, *r.Text)
		}
		if want := []string{"idle", "stuck at <3>", "idle"}; !slices.Equal(texts, want) {
			t.Errorf("history says %q, want %q", texts, want)
		}
		r, err := l.api.Room(t.Context(), id.Room{Site: "hq", Name: "floor/hall"})
		if err != nil || len(r.Aggregates) != 1 || r.Aggregates[0].Point != "ratio" || r.Aggregates[0].Mean != 0.1 {
			t.Errorf("the room is %+v, %v", r, err)
		}
	}
	check()
	const reads = "kind: pipeline\nname: hq/states\npoints: [state]\nstages:\n- window: {every: 10s}\n"
	if _, err := l.api.Put(t.Context(), []byte(reads), client.PutOptions{}); err == nil || !strings.Contains(err.Error(), "state of hq/c1 is a text") {
		t.Errorf("a pipeline over texts: %v", err)
	}
	l.stop()
	l = start(t, data)
	check()
	l.stop()
}

// machine is opening of a device with a text and a float.
func machine() []journal.Record {
	recs := opening()
	body := wire.Body{Profile: "test.machine", Version: 1, Tick: uint64(time.Millisecond), Columns: []wire.Column{
		{Point: "state", Kind: wire.KindText, Mantissa: 1}, {Point: "ratio", Unit: "1", Kind: wire.KindFloat, Mantissa: 1},
	}}
	columns := body.Append(nil)
	schema := wire.Schema{Run: run, SID: 1, Device: dev, Hash: wire.HashBody(columns), Grid: 1000, Body: columns}
	recs[2] = record(journal.KindSchema, schema.Append(nil))
	return recs
}

// says is a frame with one row at second seq of the boot.
func says(seq uint64, state string, ratio float64) journal.Record {
	var rows wire.Rows
	tick := int64(seq) * 1000
	v, _ := rows.Text(0, state)
	rows.Append(tick, 0, []int64{v, int64(math.Float64bits(ratio))})
	f := wire.Frame{Run: run, Seq: seq, Clk: 1, T0: tick, Blocks: []wire.Block{{
		SID: 1, N: 1, DT0: wire.DT0(tick, tick, uint64(time.Millisecond)), Data: wire.AppendColumns(nil, &rows, 1000),
	}}}
	return record(journal.KindFrame, f.Append(nil))
}
