package site

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// TestRunsAreJudgedAsTheDesignSays plays testdata/runs: each command is one
// record, the output is what it left in the ledger, history, the dead letters
// and the state. It protects I1.
func TestRunsAreJudgedAsTheDesignSays(t *testing.T) {
	datadriven.Walk(t, "testdata/runs", func(t *testing.T, path string) {
		p := &play{shard: offline(t, "node")}
		datadriven.RunTest(t, path, p.command)
	})
}

// TestReadingsAreAtTheRightTimeOrMarkedAsEstimated plays testdata/clocks, where
// rows show their UTC in milliseconds and what is known of their clock.
func TestReadingsAreAtTheRightTimeOrMarkedAsEstimated(t *testing.T) {
	datadriven.Walk(t, "testdata/clocks", func(t *testing.T, path string) {
		p := &play{shard: offline(t, "node"), now: 1_000_000_000, times: true}
		datadriven.RunTest(t, path, p.command)
	})
}

// play is one scenario.
type play struct {
	times bool // show rows' times
	shard *Shard
	seq   uint64
	now   int64 // milliseconds
}

func (p *play) command(t *testing.T, d *datadriven.TestData) string {
	gw := gw1
	if d.HasArg("gw") {
		d.ScanArgs(t, "gw", &gw.Name)
	}
	u := func(key string, def uint64) uint64 {
		if d.HasArg(key) {
			d.ScanArgs(t, key, &def)
		}
		return def
	}
	r := run(byte(u("run", 1)))
	boot := id.Boot{byte(u("boot", 1))}
	dev := id.Device{Site: "hq", Name: fmt.Sprintf("t%d", u("dev", 1))}
	var rec journal.Record
	switch d.Cmd {
	case "hello":
		rec = p.hello(t, d, gw, u)
	case "bind":
		rec = bindTo(gw, dev)
	case "schema":
		rec = schemaOf(gw, r, uint32(u("sid", 1)), dev)
	case "clock":
		m := wire.Clock{Run: r, Clk: uint32(u("clk", 1)), Boot: boot, UTC0: int64(u("utc0", 0)) * 1000, Uncertainty: 1000, Source: wire.ClockSystem}
		if d.HasArg("unsynchronised") {
			m.Uncertainty, m.Source = noIdea, wire.ClockNone
		}
		rec = wireRecord(journal.KindClock, gw, m.Append(nil))
	case "frame":
		rec = frameBy(gw, r, u("seq", 1), uint32(u("clk", 1)), uint32(u("sid", 1)), int64(u("tick", 10*u("seq", 1))), int64(u("value", u("seq", 1))))
	case "broken":
		rec = frameOf(gw, r, u("seq", 1), 1, 0, 1)
		rec.Body[len(rec.Body)-1] ^= 1
	case "gap":
		rec = gapOf(gw, r, u("a", 1), u("b", 1), wire.GapReason(u("reason", 1)))
	case "advance":
		p.now += int64(u("ms", 0))
		return ""
	case "tick":
		rec = journal.Record{Kind: journal.KindTick, Origin: "node", Site: "hq", Body: journal.AppendTick(nil)}
	case "state":
		return p.state(gw)
	default:
		t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	return p.apply(t, rec)
}

// hello reads lines "run class boot-index first last state" from the input.
func (p *play) hello(t *testing.T, d *datadriven.TestData, gw id.Gateway, u func(string, uint64) uint64) journal.Record {
	m := wire.Hello{Min: 1, Max: 1, Agent: "test", Board: id.Board{byte(u("board", 1))}, Interval: 1000, Now: u("now", uint64(p.now))}
	for b := range u("boots", 1) {
		m.Boots = append(m.Boots, id.Boot{byte(b + 1)})
	}
	for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
		if line == "" {
			continue
		}
		var n byte
		var state string
		info := wire.RunInfo{Class: wire.Telemetry}
		if _, err := fmt.Sscanf(line, "run=%d boot=%d first=%d last=%d %s", &n, &info.Boot, &info.First, &info.Last, &state); err != nil {
			t.Fatalf("%s: %q: %v", d.Pos, line, err)
		}
		info.Run = run(n)
		info.State = map[string]wire.RunState{"open": wire.RunOpen, "closed": wire.RunClosed, "unclean": wire.RunUnclean}[state]
		m.Runs = append(m.Runs, info)
	}
	return wireRecord(journal.KindHello, gw, m.Append(nil))
}

func (p *play) apply(t *testing.T, rec journal.Record) string {
	p.seq++
	p.shard.pending.Reset()
	msg := journal.Message{Seq: p.seq, Time: time.UnixMilli(p.now), Records: []journal.Record{rec}}
	if err := p.shard.apply(t.Context(), msg); err != nil {
		return "error: " + err.Error()
	}
	var out strings.Builder
	h := &p.shard.pending
	for _, r := range h.Rows {
		fmt.Fprintf(&out, "row %s run=%d seq=%d bind=%d boot=%d n=%d", r.Device, r.Run[0], r.Seq, r.Bind, r.Boot, r.N)
		if p.times {
			fmt.Fprintf(&out, " at %d ms, %s", r.From/1000, certainty(r.Source, r.Uncertainty))
		}
		out.WriteByte('\n')
	}
	for _, e := range h.Ledger {
		fmt.Fprintf(&out, "ledger %s run=%d %d..%d", e.Reason, e.Run[0], e.A, e.B)
		if e.Interval > 0 {
			fmt.Fprintf(&out, " within %d ms after %d ms", e.Interval, e.TLast)
		}
		out.WriteByte('\n')
	}
	for _, x := range h.Dead {
		fmt.Fprintf(&out, "dead %s\n", x.Reason)
	}
	return out.String()
}

func certainty(source wire.ClockSource, uncertainty uint64) string {
	switch {
	case source != wire.ClockNone:
		return fmt.Sprintf("%s within %d ms", source, uncertainty/1000)
	case uncertainty == noIdea:
		return "a guess"
	}
	return fmt.Sprintf("estimated within %d ms", uncertainty/1000)
}

func (p *play) state(gw id.Gateway) string {
	var out strings.Builder
	st := p.shard.sites[gw.Site]
	v := st.gateways[gw.Name].view()
	for _, r := range v.Runs {
		fmt.Fprintf(&out, "run=%d %s next=%d last=%d\n", r.Run[0], r.State, r.Next, r.Last)
	}
	c := v.Count
	fmt.Fprintf(&out, "frames=%d duplicates=%d late=%d missing=%d gaps=%d dead=%d retired=%d\n", c.Frames, c.Duplicates, c.Late, c.Missing, c.Gaps, c.Dead, c.Retired)
	for _, name := range []string{"t1", "t2"} {
		if t, ok := st.twins[name]; ok {
			d := t.view()
			fmt.Fprintf(&out, "%s gateway=%s bind=%d %s", d.Device, d.Gateway, d.Bind, d.Liveness)
			for _, pt := range d.Points {
				fmt.Fprintf(&out, " %s=%d (run=%d seq=%d)", pt.Point, pt.Raw, pt.Run[0], pt.Order.Seq)
			}
			out.WriteByte('\n')
		}
	}
	return out.String()
}

func TestARetiredRunIsRememberedWithItsBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, journaltest.NewMem(journaltest.Config{}), newMemHistory(t), "a", Config{})
		l.publish(opening(gw1, run(1), boot1, dev1)...)
		l.frames(1, 3)
		l.reach(l.publish(hello(gw1, 1, []id.Boot{boot1},
			wire.RunInfo{Run: run(1), Class: wire.Telemetry, State: wire.RunClosed, First: 4, Last: 3},
			wire.RunInfo{Run: run(2), Class: wire.Telemetry, First: 1})))
		all, err := l.shard.Retired(t.Context(), "hq")
		if want := (Retired{gw1, run(1), wire.Telemetry, boot1, 4}); err != nil || len(all) != 1 || all[0] != want {
			t.Fatalf("%+v, %v; want %+v", all, err, want)
		}
		if _, err := l.shard.Retired(t.Context(), "lab"); !errors.Is(err, ErrUnknown) {
			t.Fatalf("unknown site: %v", err)
		}
		if err := l.stop(); err != nil {
			t.Fatal(err)
		}
	})
}
