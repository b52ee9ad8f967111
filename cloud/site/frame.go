package site

import (
	"fmt"
	"math"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const (
	nanosPerMilli = 1_000_000

	// minUTC and maxUTC bound a clock's boot to the years 1019 to 8941, and
	// maxNanos a row's tick to 146 years around it: all arithmetic stays within
	// 64 bits, and every time within the four-digit years of RFC 3339, beyond
	// which no answer with it could be written as JSON.
	minUTC   = -30_000_000_000 * 1_000_000
	maxUTC   = 220_000_000_000 * 1_000_000
	maxNanos = math.MaxInt64 / 2
)

// takeFrame judges, decodes and applies one frame: all of it or nothing. One
// that can't be decoded is a dead letter and its sequence is in the ledger.
func (g *gateway) takeFrame(in gatewayInput, out *gatewayOutput) error {
	run, seq, _, err := wire.PeekSeq(in.body)
	if err != nil {
		return err
	}
	if seq == math.MaxUint64 {
		return fmt.Errorf("frame: run %s is at the last sequence there is", run)
	}
	r, v := g.judge(run, seq, seq, out)
	switch v {
	case fresh:
	case late:
		g.bury(in, out, "late: the run is retired")
		return nil
	case stranger:
		return fmt.Errorf("frame: unknown run %s", run)
	default:
		return nil
	}
	if err := g.decode(in.body, r, out); err != nil {
		out.applied = 0
		g.lose(run, seq, seq, history.Undecodable, out)
		return err
	}
	g.rival(run, r, out)
	g.advance(run, r, seq, seq, out)
	c := &g.state.Count
	c.Frames++
	c.Suppressed += uint64(g.work.frame.Suppressed)
	last := int64(math.MinInt64)
	for _, b := range out.blocks[:out.applied] {
		c.Readings += uint64(b.rows.Len() * len(b.batch.Columns))
		for _, t := range b.rows.T {
			r.Tick = max(r.Tick, t*int64(b.batch.Tick))
		}
		last = max(last, b.row.To)
	}
	g.reached(r.Boot, last, out.now)
	g.retireIfDone(run, out)
	return nil
}

// rival reports a run of another board than the one that said hello last, if
// it still grows: two boards use one identity.
func (g *gateway) rival(run id.Run, r *runState, out *gatewayOutput) {
	if r.Board != g.state.Board && r.State == wire.RunOpen {
		g.twice(run, r, out)
	}
}

// returned reports a run of a board that says hello again after another board
// did, if it is the same process still: of two boards a gate serves one at a
// time, so that neither ever sends while the other one is the last. A card that
// was moved to another board and back has unclean runs.
func (g *gateway) returned(m *wire.Hello, last id.Board, out *gatewayOutput) {
	if m.Board == last {
		return
	}
	for i := range m.Runs {
		info := &m.Runs[i]
		r, known := g.state.Runs[info.Run]
		if known && r.Board == m.Board && r.State == wire.RunOpen && info.State != wire.RunUnclean {
			g.twice(info.Run, r, out)
		}
	}
}

// twice enters, once a run, that two boards use one identity.
func (g *gateway) twice(run id.Run, r *runState, out *gatewayOutput) {
	if r.Rival {
		return
	}
	r.Rival = true
	g.enter(out, history.Entry{Run: run, Class: r.Class, Boot: r.Boot, Reason: history.IdentityTwice})
}

// decode fills out.blocks from the frame's blocks.
func (g *gateway) decode(body []byte, r *runState, out *gatewayOutput) error {
	f := &g.work.frame
	if err := g.work.unpack.Parse(f, body); err != nil {
		return err
	}
	clk, ok := r.Clks[f.Clk]
	if !ok {
		return fmt.Errorf("frame: unknown clk %d of run %s", f.Clk, f.Run)
	}
	if bound := int64(maxNanos / nanosPerMilli); f.T0 < -bound || f.T0 > bound {
		return fmt.Errorf("frame: t0 of %d ms is beyond any boot", f.T0)
	}
	clk = g.clockOf(clk, r.Boot, f.T0*1000, out.now)
	for i := range f.Blocks {
		if err := g.decodeBlock(&f.Blocks[i], r, clk, out.nextBlock(i), out.now); err != nil {
			return fmt.Errorf("frame: run %s seq %d sid %d: %w", f.Run, f.Seq, f.Blocks[i].SID, err)
		}
	}
	out.applied = len(f.Blocks)
	return nil
}

func (g *gateway) decodeBlock(in *wire.Block, r *runState, clk clockState, b *block, now int64) error {
	f := &g.work.frame
	series, ok := r.SIDs[in.SID]
	if !ok {
		return fmt.Errorf("unknown sid")
	}
	body, err := g.body(series.Schema)
	if err != nil {
		return err
	}
	first := wire.FirstTick(f.T0, in.DT0, body.Tick)
	if err := wire.ParseColumns(in.Data, in.N, wire.ShapeOf(body.Columns), series.Grid, first, &b.rows); err != nil {
		return err
	}
	least, most := b.rows.T[0], b.rows.T[0]
	for _, t := range b.rows.T {
		least, most = min(least, t), max(most, t)
	}
	if bound := int64(maxNanos / body.Tick); least < -bound || most > bound {
		return fmt.Errorf("ticks from %d to %d of %d ns are beyond any boot", least, most, body.Tick)
	}
	bind := g.state.Binds[series.Device]
	b.batch = twin.Batch{
		Profile: body.Profile, Columns: body.Columns, Rows: &b.rows, Tick: body.Tick, Grid: series.Grid,
		Order: twin.Order{Bind: bind, Boot: r.Rank, Run: r.Order, Seq: f.Seq},
		Run:   f.Run, UTC0: clk.UTC0, Uncertainty: clk.Uncertainty, Source: clk.Source,
		Event: r.Class == wire.Events,
	}
	micros := func(t int64) int64 { return clk.UTC0 + t*int64(body.Tick)/1000 }
	b.row = history.Row{
		Device: id.Device{Site: g.id.Site, Name: series.Device}, Schema: series.Schema,
		Run: f.Run, Seq: f.Seq, SID: in.SID, Bind: bind, Boot: r.Rank,
		UTC0: clk.UTC0, Uncertainty: clk.Uncertainty, Source: clk.Source,
		Grid: series.Grid, N: in.N, First: first, From: micros(least), To: micros(most),
		Received: now, Data: in.Data,
	}
	return nil
}
