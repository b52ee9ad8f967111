package site

import (
	"fmt"
	"maps"
	"slices"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
)

// site is one site's turn group: a router that every record enters by, a
// gateway actor per gateway, a twin actor per device. It belongs to the
// shard's goroutine; the actors run one at a time within a turn, and what they
// share (projections, totals) needs no lock.
type site struct {
	id     id.Site
	system *actor.ActorSystem
	group  *actor.Group
	router actor.Ref[message]

	gateways map[string]*gatewayActor
	twins    map[string]*twinActor

	cursor uint64 // the message that the state stands at or beyond
	dirty  bool   // changed since object was stored
	object manifestEntry

	// Of the turn in hand.
	projections *history.Projections
	totals      totals
}

// totals are what the turns since the last look at them did.
type totals struct {
	readings, duplicates, late, suspect, refused, silenced int
	gaps                                                   map[history.Reason]uint64
	dead                                                   int
}

// message is what the members of a group tell each other.
type message struct {
	now int64
	rec record       // to the router and to a gateway
	in  twin.Input   // to a twin
	ans gatewayInput // from a twin to its gateway: the rank
	to  string       // router: unused; twin: the gateway that wants the answer
}

// record is a journal record on its way to an actor.
type record struct {
	pos     journal.Position
	kind    journal.RecordKind
	gateway string // its name; "" for the owner's records
	body    []byte
	skipped bool
	wake    bool // a new owner begins: not a record but a barrier's effect
}

func newSite(name id.Site, system *actor.ActorSystem) (*site, error) {
	group, err := system.NewGroup("site/"+string(name), actor.GroupConfig{})
	if err != nil {
		return nil, fmt.Errorf("site %s: %w", name, err)
	}
	s := &site{
		id: name, system: system, group: group,
		gateways: make(map[string]*gatewayActor),
		twins:    make(map[string]*twinActor),
	}
	s.router, err = actor.SpawnIn(group, actor.PropsOf(func() actor.ReceiverOf[message] { return (*router)(s) }), "site/"+string(name))
	if err != nil {
		return nil, fmt.Errorf("site %s: %w", name, err)
	}
	return s, nil
}

// turn runs one record to quiescence and adds its projections to into. After
// an error the site is of no use; into is as it was.
func (s *site) turn(now int64, rec record, into *history.Projections) error {
	before := *into
	s.projections, s.dirty = into, true
	err := actor.Turn(s.group, s.router, message{now: now, rec: rec})
	s.projections = nil
	if err != nil {
		*into = before
		return fmt.Errorf("site %s: %w", s.id, err)
	}
	return nil
}

// close ends the actors, so that their names are free again.
func (s *site) close() error { return s.group.Stop() }

// due returns when a tick would make a device silent first, 0 for never.
func (s *site) due() int64 {
	first := int64(0)
	for _, t := range s.twins {
		if due := t.state.Due(); due != 0 && (first == 0 || due < first) {
			first = due
		}
	}
	return first
}

// admit reports whether the device has a twin or makes one.
func (s *site) admit(device string) bool {
	if _, ok := s.twins[device]; ok {
		return true
	}
	if len(s.twins) >= MaxDevices {
		return false
	}
	s.addTwin(device, new(twin.State))
	return true
}

// addTwin spawns a twin. In a turn an error can only be a bug of this package
// (the group stopped, the name in use) and becomes the turn's failure.
func (s *site) addTwin(device string, state *twin.State) {
	t := &twinActor{site: s, device: device, state: state}
	var err error
	t.ref, err = actor.SpawnIn(s.group, actor.PropsOf(func() actor.ReceiverOf[message] { return t }), "twin/"+string(s.id)+"/"+device)
	if err != nil {
		panic(fmt.Sprintf("BUG: site %s: twin %s: %v", s.id, device, err))
	}
	s.twins[device] = t
}

func (s *site) addGateway(name string, state *gatewayState) *gatewayActor {
	g := &gatewayActor{site: s, gateway: newGateway(id.Gateway{Site: s.id, Name: name}, state)}
	var err error
	g.ref, err = actor.SpawnIn(s.group, actor.PropsOf(func() actor.ReceiverOf[message] { return g }), "gateway/"+string(s.id)+"/"+name)
	if err != nil {
		panic(fmt.Sprintf("BUG: site %s: gateway %s: %v", s.id, name, err))
	}
	s.gateways[name] = g
	return g
}

// router hands the site's records to their actors.
type router site

// Receive takes a record.
func (r *router) Receive(ctx *actor.ContextOf[message]) {
	m := ctx.Message()
	s := (*site)(r)
	switch {
	case m.rec.wake:
		s.tellTwins(ctx, m.now, twin.Activated)
	case m.rec.kind == journal.KindTick && !m.rec.skipped:
		s.tellTwins(ctx, m.now, twin.Tick)
	case m.rec.gateway == "":
		s.bury(m, "the record is no gateway's")
	default:
		g, ok := s.gateways[m.rec.gateway]
		if !ok {
			if len(s.gateways) >= MaxGateways {
				s.bury(m, fmt.Sprintf("limit: it would be more than %d gateways of the site", MaxGateways))
				return
			}
			g = s.addGateway(m.rec.gateway, newGatewayState())
		}
		send(ctx, g.ref, m)
	}
}

// tellTwins tells every twin, in the order of their names.
func (s *site) tellTwins(ctx *actor.ContextOf[message], now int64, kind twin.InputKind) {
	for _, name := range slices.Sorted(maps.Keys(s.twins)) {
		if t := s.twins[name]; kind != twin.Tick || t.state.Due() != 0 {
			send(ctx, t.ref, message{now: now, in: twin.Input{Kind: kind}})
		}
	}
}

func (s *site) bury(m message, reason string) {
	s.totals.dead++
	s.projections.Dead = append(s.projections.Dead, deadLetter(s.id, m, reason))
}

func deadLetter(site id.Site, m message, reason string) history.DeadLetter {
	origin := string(site)
	if m.rec.gateway != "" {
		origin += "/" + m.rec.gateway
	}
	return history.DeadLetter{
		At:   history.At{Seq: m.rec.pos.Seq, Index: uint32(m.rec.pos.Index)},
		Site: site, Origin: origin, Kind: uint8(m.rec.kind), Reason: reason, Body: m.rec.body, Time: m.now,
	}
}

// send fails the turn when a message can't be delivered: beyond the turn's
// limit, which ends the turn by itself, only a bug can cause it.
func send(ctx *actor.ContextOf[message], to actor.Ref[message], m message) {
	if err := actor.Send(ctx, to, m); err != nil {
		panic(fmt.Errorf("BUG: site: send to %s: %w", to.PID(), err))
	}
}

// gatewayActor calls gateway.Step and passes on what it decided.
type gatewayActor struct {
	site    *site
	ref     actor.Ref[message]
	gateway *gateway
	out     gatewayOutput
}

// Receive takes a record of the gateway, or a twin's answer to its bind.
func (a *gatewayActor) Receive(ctx *actor.ContextOf[message]) {
	m := ctx.Message()
	in := m.ans
	if in.rank == 0 {
		in = gatewayInput{pos: m.rec.pos, kind: m.rec.kind, body: m.rec.body, skipped: m.rec.skipped, admit: a.site.admit}
	}
	out := &a.out
	a.gateway.Step(m.now, in, out)
	p := a.site.projections
	p.Series = append(p.Series, out.series...)
	p.Ledger = append(p.Ledger, out.ledger...)
	p.Dead = append(p.Dead, out.dead...)
	for _, b := range out.blocks[:out.applied] {
		p.Rows = append(p.Rows, b.row)
		send(ctx, a.site.twins[b.row.Device.Name].ref, message{now: m.now, in: twin.Input{Kind: twin.Readings, Batch: &b.batch}})
	}
	for _, device := range out.binds {
		send(ctx, a.site.twins[device].ref, message{now: m.now, to: a.gateway.id.Name, in: twin.Input{Kind: twin.Bound, Gateway: a.gateway.id.Name}})
	}
	a.site.totals.add(out)
	out.release()
	clear(a.gateway.frame.Blocks[:cap(a.gateway.frame.Blocks)])
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
}

// Receive takes a block, a binding, a tick or an activation.
func (a *twinActor) Receive(ctx *actor.ContextOf[message]) {
	m := ctx.Message()
	out := a.state.Step(m.now, m.in)
	t := &a.site.totals
	t.readings += out.Readings
	t.suspect += out.Suspect
	t.refused += out.Refused
	if out.Silenced {
		t.silenced++
	}
	if out.Bind > 0 {
		send(ctx, a.site.gateways[m.to].ref, message{now: m.now, ans: gatewayInput{device: a.device, rank: out.Bind}})
	}
}
