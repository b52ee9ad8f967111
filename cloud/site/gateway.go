package site

import (
	"fmt"
	"maps"
	"slices"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// gateway is a gateway's state and what is derived from it. Step is pure: the
// state after it and the output depend on the state before and the input only.
type gateway struct {
	id     id.Gateway
	state  *gatewayState
	bodies map[id.Schema]*wire.Body // parsed from state.Schemas when first used
	work   *scratch
	ended  bool // a run ended in this step
}

// scratch is room to work in. It is the shard's, whose sites take turns: in one
// of them one gateway takes a record, and what it made of it is used up when the
// next one does.
type scratch struct {
	unpack wire.Unpacker
	frame  wire.Frame
	out    gatewayOutput
}

func newGateway(name id.Gateway, s *gatewayState, work *scratch) *gateway {
	return &gateway{id: name, state: s, bodies: make(map[id.Schema]*wire.Body), work: work}
}

// gatewayInput is one record, or what a twin answered to a bind.
type gatewayInput struct {
	pos     journal.Position
	kind    journal.RecordKind
	body    []byte
	skipped bool   // the record is taken out: account for it, do not look into it
	device  string // with rank: the twin's answer
	rank    uint64
	// admit reports whether the site has or can have a twin of that name.
	admit func(device string) bool
}

// gatewayOutput is what a step did. It is reused: the step before's is
// overwritten, blocks included.
type gatewayOutput struct {
	pos     journal.Position
	now     int64
	series  []history.Series
	ledger  []history.Entry
	dead    []history.DeadLetter
	binds   []string // devices whose twins must hear that they are bound here
	blocks  []*block
	applied int // of blocks

	duplicates, late int
}

// block is one decoded block, on its way to history and to its twin.
type block struct {
	rows  wire.Rows
	batch twin.Batch
	row   history.Row
}

// keptValues bounds the integers that a shard's blocks keep allocated from
// frame to frame, 1 MiB: many times a usual frame's. Without it frames whose
// great block is another one each time would hold 17 MB a block.
const keptValues = 1 << 17

func (o *gatewayOutput) reset(pos journal.Position, now int64) {
	values := 0
	for _, b := range o.blocks {
		values += cap(b.rows.T) + cap(b.rows.Q)
		for _, v := range b.rows.V[:cap(b.rows.V)] {
			values += cap(v)
		}
	}
	if values > keptValues {
		o.blocks = nil
	}
	*o = gatewayOutput{
		pos: pos, now: now,
		series: o.series[:0], ledger: o.ledger[:0], dead: o.dead[:0], binds: o.binds[:0],
		blocks: o.blocks,
	}
}

// release lets go of the journal message, of which an idle shard would
// otherwise hold up to journal.MaxMessage until its next frame. The rows stay:
// twins take them later in the turn.
func (o *gatewayOutput) release() {
	clear(o.series)
	clear(o.dead)
	for _, b := range o.blocks {
		b.row = history.Row{}
	}
}

// nextBlock returns a block to fill; keep counts it.
func (o *gatewayOutput) nextBlock(i int) *block {
	if i == len(o.blocks) {
		o.blocks = append(o.blocks, new(block))
	}
	return o.blocks[i]
}

// Step applies one input at the site's time now.
func (g *gateway) Step(now int64, in gatewayInput, out *gatewayOutput) {
	out.reset(in.pos, now)
	if in.rank > 0 {
		g.state.Binds[in.device] = in.rank
		return
	}
	g.state.SeenAt = now
	if in.skipped {
		g.skip(in, out)
		g.forgetSchemas()
		return
	}
	var err error
	switch in.kind {
	case journal.KindHello:
		err = g.hello(in, out)
	case journal.KindBind:
		err = g.bind(in, out)
	case journal.KindSchema:
		err = g.schema(in, out)
	case journal.KindClock:
		err = g.clock(in)
	case journal.KindFrame:
		err = g.takeFrame(in, out)
	case journal.KindGap:
		err = g.takeGap(in, out)
	default:
		err = fmt.Errorf("%v is not a gateway's record", in.kind)
	}
	if err != nil {
		g.bury(in, out, err.Error())
	}
	g.forgetSchemas()
}

// bury puts the record among the dead letters.
func (g *gateway) bury(in gatewayInput, out *gatewayOutput, reason string) {
	g.state.Count.Dead++
	out.dead = append(out.dead, history.DeadLetter{
		At:     history.At{Seq: in.pos.Seq, Index: uint32(in.pos.Index), N: uint32(len(out.dead))},
		Site:   g.id.Site,
		Origin: g.id.String(),
		Kind:   uint8(in.kind),
		Reason: reason,
		Body:   in.body,
		Time:   out.now,
	})
}

// enter writes a ledger entry.
func (g *gateway) enter(out *gatewayOutput, e history.Entry) {
	e.At = history.At{Seq: out.pos.Seq, Index: uint32(out.pos.Index), N: uint32(len(out.ledger))}
	e.Site, e.Gateway, e.Time = g.id.Site, g.id.Name, out.now
	out.ledger = append(out.ledger, e)
}

// bind tells the devices' twins; their answers bring the ranks.
func (g *gateway) bind(in gatewayInput, out *gatewayOutput) error {
	m, err := wire.ParseBind(in.body)
	if err != nil {
		return err
	}
	for _, d := range m.Devices {
		if d.Site != g.id.Site {
			return fmt.Errorf("bind: device %s is of another site", d)
		}
	}
	var refused []id.Device
	for _, d := range m.Devices {
		if !in.admit(d.Name) {
			refused = append(refused, d)
			continue
		}
		out.binds = append(out.binds, d.Name)
	}
	if len(refused) > 0 {
		return fmt.Errorf("limit: device %s and %d more would be more than %d of the site", refused[0], len(refused)-1, MaxDevices)
	}
	return nil
}

// schema remembers a sid of a run. A sid that is known says the same again on
// each connection; to redefine it is refused.
func (g *gateway) schema(in gatewayInput, out *gatewayOutput) error {
	m, err := wire.ParseSchema(in.body)
	if err != nil {
		return err
	}
	r, known := g.state.Runs[m.Run]
	switch {
	case !known && g.tomb(m.Run) != nil:
		return nil // on its way when the run was retired
	case !known:
		return fmt.Errorf("schema: unknown run %s", m.Run)
	case m.Device.Site != g.id.Site:
		return fmt.Errorf("schema: device %s is of another site", m.Device)
	}
	s := seriesState{Device: m.Device.Name, Schema: m.Hash, Grid: m.Grid}
	if had, ok := r.SIDs[m.SID]; ok {
		if had != s {
			return fmt.Errorf("schema: sid %d of run %s redefined", m.SID, m.Run)
		}
		return nil
	}
	if len(r.SIDs) >= MaxSIDs {
		return fmt.Errorf("limit: run %s has %d sids", m.Run, MaxSIDs)
	}
	if _, ok := g.state.Schemas[m.Hash]; !ok && len(g.state.Schemas) >= MaxSchemas {
		return fmt.Errorf("limit: gateway %s has %d schemas", g.id, MaxSchemas)
	}
	if _, err := wire.ParseBody(m.Body); err != nil {
		return err
	}
	if !in.admit(m.Device.Name) {
		return fmt.Errorf("limit: device %s would be more than %d of the site", m.Device, MaxDevices)
	}
	r.SIDs[m.SID] = s
	if _, ok := g.state.Schemas[m.Hash]; !ok {
		g.state.Schemas[m.Hash] = append([]byte(nil), m.Body...)
	}
	out.series = append(out.series, history.Series{Device: m.Device, Schema: m.Hash, Body: m.Body})
	return nil
}

// body returns a schema's columns, which schema has checked.
func (g *gateway) body(schema id.Schema) (*wire.Body, error) {
	if b, ok := g.bodies[schema]; ok {
		return b, nil
	}
	b, err := wire.ParseBody(g.state.Schemas[schema])
	if err != nil {
		return nil, err
	}
	g.bodies[schema] = &b
	return &b, nil
}

// clock remembers a mapping of a run. Beyond MaxClocks the lowest number is let
// go: the gateway counts up.
func (g *gateway) clock(in gatewayInput) error {
	m, err := wire.ParseClock(in.body)
	if err != nil {
		return err
	}
	r, known := g.state.Runs[m.Run]
	switch {
	case !known && g.tomb(m.Run) != nil:
		return nil
	case !known:
		return fmt.Errorf("clock: unknown run %s", m.Run)
	case m.Boot != r.Boot:
		return fmt.Errorf("clock: of boot %s, run %s is of boot %s", m.Boot, m.Run, r.Boot)
	case m.UTC0 > maxUTC || m.UTC0 < minUTC:
		return fmt.Errorf("clock: utc0 of %d us, want %d to %d", m.UTC0, int64(minUTC), int64(maxUTC))
	}
	c := clockState{UTC0: m.UTC0, Uncertainty: m.Uncertainty, Source: m.Source}
	if had, ok := r.Clks[m.Clk]; ok {
		if had != c {
			return fmt.Errorf("clock: clk %d of run %s redefined", m.Clk, m.Run)
		}
		return nil
	}
	if len(r.Clks) >= MaxClocks {
		delete(r.Clks, slices.Min(slices.Collect(maps.Keys(r.Clks))))
	}
	r.Clks[m.Clk] = c
	if b := g.boot(m.Boot); b != nil {
		b.learn(r.Order, m.Clk, c)
	}
	return nil
}
