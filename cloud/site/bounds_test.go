package site

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
	"github.com/atrium-iot/atrium/shared/wire"
)

// step applies one record to a gateway whose site takes devices as admit says.
func step(g *gateway, out *gatewayOutput, rec journal.Record, admit bool) {
	g.Step(1, gatewayInput{
		pos: journal.Position{Seq: 1}, kind: rec.Kind, body: rec.Body,
		admit: func(string) bool { return admit },
	}, out)
}

// opened is a gateway that has heard the opening of run 1.
func opened(t *testing.T) (*gateway, *gatewayOutput) {
	t.Helper()
	g, out := newGateway(gw1, newGatewayState(), new(scratch)), new(gatewayOutput)
	for _, rec := range opening(gw1, run(1), boot1, dev1) {
		if step(g, out, rec, true); len(out.dead) > 0 {
			t.Fatal(out.dead[0].Reason)
		}
	}
	return g, out
}

// I5: clock mappings are bounded in whatever order they are numbered.
func TestClocksOfARunAreBoundedAlsoWhenNumberedDownwards(t *testing.T) {
	g, out := opened(t)
	for clk := uint32(3 * MaxClocks); clk > 1; clk-- {
		step(g, out, clockOf(gw1, run(1), clk, boot1, 0), true)
	}
	if n := len(g.state.Runs[run(1)].Clks); n != MaxClocks {
		t.Fatalf("%d clocks, want %d", n, MaxClocks)
	}
}

// I6: a time that JSON can't say would make every answer that holds it fail.
func TestAClockOutsideFourDigitYearsIsRefused(t *testing.T) {
	g, out := opened(t)
	for clk, utc0 := range []int64{math.MinInt64, minUTC - 1, maxUTC + 1, math.MaxInt64} {
		if step(g, out, clockOf(gw1, run(1), uint32(clk+2), boot1, utc0), true); len(out.dead) != 1 {
			t.Errorf("utc0 of %d us is taken", utc0)
		}
	}
	const reach = maxNanos / 1000 // of a row around its boot, in microseconds
	for clk, utc0 := range []int64{minUTC, maxUTC} {
		if step(g, out, clockOf(gw1, run(1), uint32(clk+2), boot1, utc0), true); len(out.dead) != 0 {
			t.Errorf("utc0 of %d us: %s", utc0, out.dead[0].Reason)
		}
		for _, us := range []int64{utc0 - reach, utc0 + reach} {
			if _, err := time.UnixMicro(us).UTC().MarshalJSON(); err != nil {
				t.Errorf("utc0 of %d us: %v", utc0, err)
			}
		}
	}
}

// I1, I6: last + 1 would be 0, and a run that goes on at 0 takes all its
// frames a second time.
func TestAHelloAtTheLastSequenceChangesNothing(t *testing.T) {
	g, out := opened(t)
	step(g, out, frameOf(gw1, run(1), 1, 1, 10, 1), true)
	boots := []id.Boot{boot1, {2}}
	step(g, out, hello(gw1, 1, boots, wire.RunInfo{Run: run(1), Class: wire.Telemetry, First: 1, Last: math.MaxUint64}), true)
	if len(out.dead) != 1 || len(g.state.Boots) != 1 {
		t.Fatalf("%d dead letters, boots %v", len(out.dead), g.state.Boots)
	}
	step(g, out, hello(gw1, 1, boots), true) // the run is done
	step(g, out, frameOf(gw1, run(1), 1, 1, 10, 1), true)
	if out.applied != 0 || out.duplicates != 1 {
		t.Fatalf("the frame was applied again: %d blocks, %d duplicates", out.applied, out.duplicates)
	}
}

// I5: a record is at most one dead letter, whatever number of names in it is
// beyond a limit: each holds the whole record.
func TestARecordBeyondALimitIsOneDeadLetter(t *testing.T) {
	g, out := opened(t)
	devices := make([]id.Device, 100)
	for i := range devices {
		devices[i] = id.Device{Site: "hq", Name: "d" + itoa(uint64(i))}
	}
	step(g, out, bindTo(gw1, devices...), false)
	if len(out.dead) != 1 || len(out.binds) != 0 || !strings.Contains(out.dead[0].Reason, "d0 and 99 more") {
		t.Fatalf("bind: %d dead letters, %d binds", len(out.dead), len(out.binds))
	}
	for n := range uint64(3) {
		runs := make([]wire.RunInfo, wire.MaxRuns)
		for i := range runs {
			runs[i] = wire.RunInfo{Run: id.Run{9, byte(n), byte(i >> 8), byte(i)}, Class: wire.Telemetry, First: 1}
		}
		step(g, out, hello(gw1, 1, []id.Boot{boot1}, runs...), true)
	}
	if len(out.dead) != 1 || len(g.state.Runs) != MaxRuns {
		t.Fatalf("hello: %d dead letters, %d runs", len(out.dead), len(g.state.Runs))
	}
}

// I5: frames of which each has its many rows in another block must not leave a
// gateway with the memory of all of them.
func TestAGatewayKeepsNoMemoryOfGreatBlocks(t *testing.T) {
	g, out := opened(t)
	const series = 20
	for sid := uint32(2); sid <= series; sid++ {
		step(g, out, schemaOf(gw1, run(1), sid, dev1), true)
	}
	for seq := uint64(1); seq <= series; seq++ {
		m := wire.Frame{Run: run(1), Seq: seq, Clk: 1}
		for sid := uint64(1); sid <= series; sid++ {
			n := 1
			if sid == seq {
				n = wire.MaxRows - series
			}
			rows := wire.Rows{T: make([]int64, n), Q: make([]uint64, n), V: [][]int64{make([]int64, n)}}
			m.Blocks = append(m.Blocks, wire.Block{SID: uint32(sid), N: n, Data: wire.AppendColumns(nil, &rows, 1000)})
		}
		step(g, out, wireRecord(journal.KindFrame, gw1, m.Append(nil)), true)
		if out.applied != series {
			t.Fatalf("frame %d: %+v", seq, out.dead)
		}
		out.release()
	}
	out.reset(journal.Position{}, 0)
	kept := 0
	for _, b := range out.blocks {
		kept += cap(b.rows.T)
		if b.row.Data != nil {
			t.Fatal("a block holds on to its journal message")
		}
	}
	if kept > keptValues {
		t.Fatalf("%d ticks are kept", kept)
	}
}

// Schemas that no live run uses are let go with the last run that did, however
// it ended; those of other runs stay.
func TestSchemasEndWithTheirLastRun(t *testing.T) {
	closed := wire.RunInfo{Run: run(1), Class: wire.Telemetry, First: 1, Last: 1, State: wire.RunClosed}
	for name, end := range map[string][]journal.Record{
		"frame":   {hello(gw1, 1, []id.Boot{boot1}, closed), frameOf(gw1, run(1), 1, 1, 10, 1)},
		"gap":     {hello(gw1, 1, []id.Boot{boot1}, closed), gapOf(gw1, run(1), 1, 1, wire.GapQuota)},
		"hello":   {hello(gw1, 1, []id.Boot{boot1})},
		"skipped": {hello(gw1, 1, []id.Boot{boot1}, closed)},
	} {
		g, out := opened(t)
		if len(g.state.Schemas) != 1 {
			t.Fatalf("%s: %d schemas at first", name, len(g.state.Schemas))
		}
		for _, rec := range end {
			step(g, out, rec, true)
		}
		if name == "skipped" {
			rec := frameOf(gw1, run(1), 1, 1, 10, 1)
			g.Step(1, gatewayInput{pos: journal.Position{Seq: 1}, kind: rec.Kind, body: rec.Body, skipped: true}, out)
		}
		if len(g.state.Runs) != 0 || len(g.state.Schemas) != 0 {
			t.Errorf("%s: %d runs, %d schemas left", name, len(g.state.Runs), len(g.state.Schemas))
		}
	}
}

// I5: a log that takes nothing holds documents in the catalog, and each of them
// comes once when it takes again.
func TestDocumentsWaitInTheCatalogWhileTheLogTakesNothing(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	documents := newFakeDocuments()
	s.documents = documents
	long := strings.Repeat("#", journal.MaxText)
	const changes = 3 * maxQueued / journal.MaxText
	for range changes {
		documents.put("room", "floor", long)
		s.copyDocuments()
	}
	if n := len(s.keeper.records); !s.uncopied || n > maxQueued/journal.MaxText+1 {
		t.Fatalf("%d records wait, more are to come: %v", n, s.uncopied)
	}
	for s.uncopied {
		s.keeper.records, s.keeper.queued = nil, 0
		s.copyDocuments()
	}
	if n := len(s.keeper.records); n != 1 {
		t.Fatalf("then come %d records", n)
	}
	if d, err := journal.ParseDocument(s.keeper.records[0].Body); err != nil || d.Revision != changes {
		t.Fatalf("then comes revision %d of %d, %v", d.Revision, changes, err)
	}
}

func TestPipelinesAndTextsBeyondTheLimitsAreRefused(t *testing.T) { // I5
	s := offline(t, "node")
	defer s.done()
	seq := uint64(0)
	put := func(recs ...journal.Record) {
		seq++
		s.play(t, []journal.Message{{Seq: seq, Time: time.UnixMilli(1), Records: recs}})
	}
	for i := range uint64(pipeline.MaxPipelines + 1) {
		name := "p" + itoa(i)
		put(documentOf("pipeline", name, i+1, strings.Replace(seconds, "hq/seconds", "hq/"+name, 1)))
	}
	if n := len(s.sites["hq"].pipelines.actors); n != pipeline.MaxPipelines {
		t.Fatalf("%d pipelines", n)
	}
	full := strings.Repeat("#"+strings.Repeat(" ", 1000)+"\n", 64)
	for i := range uint64(MaxDocumentText/len(full) + 2) {
		name := "r" + itoa(i)
		put(documentOf("room", name, 1000+i, "kind: room\nname: hq/"+name+"\n"+full))
	}
	size := 0
	for _, d := range s.sites["hq"].documents {
		size += len(d.Text)
	}
	dead := s.history.(*memHistory).dead
	if size > MaxDocumentText || size < MaxDocumentText-2*journal.MaxText || len(dead) != 3 {
		t.Fatalf("%d bytes of documents, %d dead letters", size, len(dead))
	}
	for _, d := range dead {
		if !strings.HasPrefix(d.Reason, "limit: ") {
			t.Fatalf("dead letter %q", d.Reason)
		}
	}
	// Rows beyond the states of pipelines are dropped and counted.
	s.sites["hq"].pipelines.states = MaxPipelineDevices
	put(opening(gw1, run(1), boot1, dev1)...)
	if err := s.turn(t.Context(), s.sites["hq"], record{pos: journal.Position{Seq: seq + 1}, kind: journal.KindFrame, gateway: "gw1", body: frameOf(gw1, run(1), 1, 1, 1, 7).Body}); err != nil {
		t.Fatal(err)
	}
	if n := len(s.sites["hq"].pipelines.actors["p0"].state.Devices); n != 0 {
		t.Fatalf("%d devices beyond the limit", n)
	}
}
