package site

import (
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/wire"
)

// gatewayActor calls gateway.Step and passes on what it decided.
type gatewayActor struct {
	site    *site
	ref     actor.Ref[message]
	gateway *gateway
}

// Receive takes a record of the gateway, or a twin's answer to its bind.
func (a *gatewayActor) Receive(ctx *actor.ContextOf[message]) {
	m := ctx.Message()
	in := gatewayInput{device: m.device, rank: m.rank}
	if in.rank == 0 {
		in = gatewayInput{pos: m.rec.pos, kind: m.rec.kind, body: m.rec.body, skipped: m.rec.skipped, admit: a.site.admit}
	}
	out := &a.site.work.out
	a.gateway.Step(m.now, in, out)
	p := a.site.projections
	p.Series = append(p.Series, out.series...)
	p.Ledger = append(p.Ledger, out.ledger...)
	p.Dead = append(p.Dead, out.dead...)
	for _, b := range out.blocks[:out.applied] {
		p.Rows = append(p.Rows, b.row)
		device := b.row.Device.Name
		send(ctx, a.site.twins[device].ref, message{now: m.now, in: twin.Input{Kind: twin.Readings, Batch: &b.batch}})
		a.site.pipelines.offer(portion{device, &b.batch})
	}
	a.site.tellPipelines(ctx, pipelineMessage{now: m.now, pos: m.rec.pos})
	for _, device := range out.binds {
		send(ctx, a.site.twins[device].ref, message{now: m.now, to: a.gateway.id.Name, in: twin.Input{Kind: twin.Bound, Gateway: a.gateway.id.Name}})
	}
	a.site.totals.add(out)
	a.site.marks.add(entity{site: a.site.id, kind: aGateway, name: a.gateway.id.Name})
	out.release()
	frame := &a.site.work.frame
	clear(frame.Blocks[:cap(frame.Blocks)])
}

func (t *totals) add(out *gatewayOutput) {
	t.duplicates += out.duplicates
	t.late += out.late
	t.dead += len(out.dead)
	for i := range out.ledger {
		if t.gaps == nil {
			t.gaps = make(map[history.Reason]uint64)
		}
		t.gaps[out.ledger[i].Reason]++
	}
}

// twinActor calls twin.State.Step.
type twinActor struct {
	site   *site
	device string
	ref    actor.Ref[message]
	state  *twin.State
	told   bool // the rooms will look at it in this turn
}

// Receive takes a block, a binding, a tick or an activation.
func (a *twinActor) Receive(ctx *actor.ContextOf[message]) {
	m, s := ctx.Message(), a.site
	before := a.state.Liveness
	out := a.state.Step(m.now, m.in)
	t := &s.totals
	t.readings += out.Readings
	t.suspect += out.Suspect
	t.refused += out.Refused
	if out.Silenced {
		t.silenced++
	}
	if out.Changed {
		s.marks.add(entity{site: s.id, kind: aDevice, name: a.device})
		if before != a.state.Liveness {
			s.marks.add(entity{site: s.id, kind: aSite})
		}
		s.rooms.note(ctx, a)
	}
	if out.Bind > 0 {
		send(ctx, s.gateways[m.to].ref, message{now: m.now, device: a.device, rank: out.Bind})
	}
}

// says is what a room hears of the device.
func (a *twinActor) says() room.Input {
	in := room.Input{Kind: room.Member, Device: a.device, Live: a.state.Liveness == twin.Live}
	for i := range a.state.Len() {
		p := a.state.Point(i)
		if p.Column.Kind == wire.KindText {
			continue // a room adds numbers up
		}
		in.Points = append(in.Points, room.Point{
			Point: p.Column.Point, Unit: p.Column.Unit, Kind: p.Column.Kind,
			Value: p.Float(), Good: p.Held && p.Now != wire.Bad, Sampled: p.At.Sampled,
		})
	}
	return in
}
