package site

import (
	"fmt"
	"maps"
	"slices"

	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

// site is one site's turn group: a router that every record enters by, a
// gateway actor per gateway, a twin actor per device, an actor per room and
// per pipeline, and one for the commands. It belongs to the shard's goroutine;
// the actors run one at a time within a turn, and what they share (projections,
// totals, indexes) needs no lock.
type site struct {
	id     id.Site
	system *actor.ActorSystem
	group  *actor.Group
	router actor.Ref[message]
	marks  *marks   // of the shard: what its watchers are told
	work   *scratch // likewise

	gateways  map[string]*gatewayActor
	twins     map[string]*twinActor
	documents map[docKey]*document // in force
	rooms     rooms
	pipelines pipelines
	commands  *commandActor

	cursor uint64 // the message that the state stands at or beyond
	dirty  bool   // changed since object was stored
	object manifestEntry

	since   uint64   // the revision with which it came from another shard; 0: never
	origins []origin // where it was before, oldest first

	// Of the turn in hand.
	projections *history.Projections
	entries     uint32 // alarm entries among the projections
	totals      totals
	effects     effects
}

// totals are what the turns since the last look at them did.
type totals struct {
	readings, duplicates, late, suspect, refused, silenced int
	gaps                                                   map[history.Reason]uint64
	dead                                                   int

	documents int // taken or removed
	ended     int // commands
	unread    int // rows beyond MaxPipelineDevices
	rows      pipeline.Counts
}

// effects are what a turn asks of the shard's owner. A replay drops them: the
// commands' state has them too.
type effects struct {
	outbox []id.Command // publish their outbox records
	send   []id.Command
}

func (e *effects) reset() { *e = effects{e.outbox[:0], e.send[:0]} }

// message is what the router, the gateways and the twins tell each other.
type message struct {
	now    int64
	rec    record     // to the router and to a gateway
	in     twin.Input // to a twin
	to     string     // to a twin: the gateway that wants the rank
	device string     // from a twin to its gateway, with rank
	rank   uint64
	settle bool // to the router: the twins of this turn have changed
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

func newSite(name id.Site, system *actor.ActorSystem, marks *marks, work *scratch) (*site, error) {
	group, err := system.NewGroup("site/"+marks.scope(name), actor.GroupConfig{})
	if err != nil {
		return nil, fmt.Errorf("site %s: %w", name, err)
	}
	s := &site{
		id: name, system: system, group: group, marks: marks, work: work,
		gateways:  make(map[string]*gatewayActor),
		twins:     make(map[string]*twinActor),
		documents: make(map[docKey]*document),
	}
	s.router, err = actor.SpawnIn(group, actor.PropsOf(func() actor.ReceiverOf[message] { return (*router)(s) }), "site/"+marks.scope(name))
	if err != nil {
		return nil, fmt.Errorf("site %s: %w", name, err)
	}
	s.commands = &commandActor{site: s, state: new(command.State)}
	s.commands.ref = spawn[message](s, s.commands, "commands", "")
	s.marks.add(entity{site: name, kind: aSite})
	return s, nil
}

// spawn adds an actor of the site. In a turn an error can only be a bug of
// this package (the group stopped, the name in use) and becomes the turn's
// failure.
func spawn[M any](s *site, a actor.ReceiverOf[M], kind, name string) actor.Ref[M] {
	path := kind + "/" + s.marks.scope(s.id)
	if name != "" {
		path += "/" + name
	}
	ref, err := actor.SpawnIn(s.group, actor.PropsOf(func() actor.ReceiverOf[M] { return a }), path)
	if err != nil {
		panic(fmt.Sprintf("BUG: site %s: %s: %v", s.id, path, err))
	}
	return ref
}

// turn runs one record to quiescence and adds its projections to into. After
// an error the site is of no use; into is as it was.
func (s *site) turn(now int64, rec record, into *history.Projections) error {
	before := *into
	s.projections, s.dirty, s.entries = into, true, 0
	s.effects.reset()
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

// due returns when a tick would change something first, 0 for never.
func (s *site) due() int64 {
	first := earlier(s.commands.state.Due(), s.pipelines.due())
	for _, t := range s.twins {
		first = earlier(first, t.state.Due())
	}
	return first
}

// earlier returns the lower of two times, of which 0 is never.
func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
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

func (s *site) addTwin(device string, state *twin.State) {
	t := &twinActor{site: s, device: device, state: state}
	t.ref = spawn[message](s, t, "twin", device)
	s.twins[device] = t
	s.marks.add(entity{site: s.id, kind: aSite})
	s.marks.add(entity{site: s.id, kind: aDevice, name: device})
}

func (s *site) addGateway(name string, state *gatewayState) *gatewayActor {
	g := &gatewayActor{site: s, gateway: newGateway(id.Gateway{Site: s.id, Name: name}, state, s.work)}
	g.ref = spawn[message](s, g, "gateway", name)
	s.gateways[name] = g
	s.marks.add(entity{site: s.id, kind: aSite})
	return g
}

// router hands the site's records to their actors.
type router site

// Receive takes a record, or hears that twins have changed.
func (r *router) Receive(ctx *actor.ContextOf[message]) {
	m := ctx.Message()
	s := (*site)(r)
	switch {
	case m.settle:
		s.tellRooms(ctx)
	case m.rec.wake:
		s.tellTwins(ctx, m.now, twin.Activated)
	case m.rec.kind.FromGateway() && m.rec.kind != journal.KindResult:
		r.toGateway(ctx, m)
	case m.rec.skipped:
		s.bury(m, "skipped: the site failed on this record")
	case m.rec.kind == journal.KindTick:
		s.tellTwins(ctx, m.now, twin.Tick)
		s.tickPipelines(ctx, m)
		send(ctx, s.commands.ref, m)
	case m.rec.kind == journal.KindDocument:
		s.takeDocument(ctx, m)
	default:
		send(ctx, s.commands.ref, m)
	}
}

func (r *router) toGateway(ctx *actor.ContextOf[message], m message) {
	s := (*site)(r)
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
func send[From, To any](ctx *actor.ContextOf[From], to actor.Ref[To], m To) {
	if err := actor.Send(ctx, to, m); err != nil {
		panic(fmt.Errorf("BUG: site: send to %s: %w", to.PID(), err))
	}
}
