package actor

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
)

// DefaultTurnLimit is how many messages one turn of a group may take when
// GroupConfig says nothing: more than any record causes, few enough that a
// loop between members ends in milliseconds and holds a few megabytes.
const DefaultTurnLimit = 65_536

// keptQueue is how many entries of the order queue stay allocated between
// turns.
const keptQueue = 1024

// GroupConfig sets a group's bounds.
type GroupConfig struct {
	// TurnLimit is how many messages one turn may take, the first included.
	// Zero is DefaultTurnLimit.
	TurnLimit int
}

// Group is a set of actors that run one at a time, in the goroutine that calls
// Turn. A turn brings one message in and ends when no member has a message
// left. Members take messages in the order in which those were sent, across
// all members, so that the same turns give the same states.
//
// Members send with Send, to members only. Nobody tells or asks a member from
// outside. They have PIDs like all actors, and no MailboxSize: a turn as a
// whole is bounded by its limit.
//
// A turn that fails leaves the group as it was in the middle of it. The group
// then refuses further turns; its caller stops it and makes a new one.
//
// One goroutine at a time uses a group; a second one gets ErrTurnRunning from
// Turn and Stop.
type Group struct {
	name   string
	system *ActorSystem
	limit  int

	running atomic.Bool // a turn, or Stop
	inTurn  bool        // members may send
	failed  bool
	stopped bool
	taken   int // messages accepted in this turn
	overrun bool
	queue   []member // one entry a message, oldest first
	oldest  int

	mu      sync.Mutex
	members []member // in the order of SpawnIn
	ended   int      // members that stopped and are still listed
	kinds   map[kindKey]any
}

// member is an actor of a group, of any message type.
type member interface {
	handleOne() error   // takes its oldest message; its failure ends the turn
	panicked(any) error // makes the turn's error of a panic
	drop(drop)          // drops its messages
	endMember(run bool) // ends it, with its hook or without
	hasEnded() bool
}

// NewGroup makes an empty group. The name is for messages about it. A group
// starts no goroutine and is not stopped by the system's Stop.
func (s *ActorSystem) NewGroup(name string, cfg GroupConfig) (*Group, error) {
	if cfg.TurnLimit == 0 {
		cfg.TurnLimit = DefaultTurnLimit
	}
	if cfg.TurnLimit < 1 || cfg.TurnLimit > maxSetting {
		return nil, fmt.Errorf("actor: group %q: TurnLimit: want 0 to %d, got %d", name, maxSetting, cfg.TurnLimit)
	}
	return &Group{name: name, system: s, limit: cfg.TurnLimit, kinds: make(map[kindKey]any)}, nil
}

// SpawnIn makes a member. It may be called between turns, and by a member
// within one. IDs are as for Engine.Spawn: unique on the node. A Started hook
// runs in the turn that brings the member its first message.
func SpawnIn[M any](g *Group, props *PropsTyped[M], id string) (Ref[M], error) {
	a, err := newActor(props, id)
	if err != nil {
		return Ref[M]{}, fmt.Errorf("actor: group %q: spawn %q: %w", g.name, id, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return Ref[M]{}, fmt.Errorf("actor: group %q: spawn %q: %w", g.name, id, ErrStopped)
	}
	a.kind, a.gate = memberKind[M](g, a.receiver, props.typ), inGroup
	if err := g.system.engine.admit(a, false); err != nil {
		return Ref[M]{}, fmt.Errorf("actor: group %q: spawn %q: %w", g.name, id, err)
	}
	a.kind.stats.actors.Add(1)
	g.sweepLocked()
	g.members = append(g.members, a)
	return Ref[M]{cell: a}, nil
}

// sweepLocked forgets ended members once they are the greater part.
func (g *Group) sweepLocked() {
	if g.ended <= len(g.members)/2 {
		return
	}
	live := g.members[:0]
	for _, m := range g.members {
		if !m.hasEnded() {
			live = append(live, m)
		}
	}
	clear(g.members[len(live):])
	g.members, g.ended = live, 0
}

func memberKind[M any](g *Group, receiver ReceiverOf[M], typ string) *kind[M] {
	key := kindKey{message: reflect.TypeFor[M](), receiver: reflect.TypeOf(receiver), settings: settings{typ: typ}}
	if k, ok := g.kinds[key].(*kind[M]); ok {
		return k
	}
	k := &kind[M]{
		system: g.system,
		group:  g,
		stats:  g.system.metrics.of("group", key.typeName()),
		chunks: chunksOf[M](g.system.engine),
		member: new(ContextOf[M]),
	}
	g.kinds[key] = k
	return k
}

// Turn gives msg to a member and runs the group until no message is left, in
// the caller's goroutine. It returns *PanicError when a member panicked, what
// Fail was called with when one failed so, and ErrTurnLimit when the turn needed
// too many messages: the rest of the turn is then discarded and counted, and the
// group takes no more turns (ErrGroupFailed). A member that has stopped gives
// ErrStopped, and nothing happens.
func Turn[M any](g *Group, to Ref[M], msg M) error {
	a := to.cell
	if a == nil {
		return ErrStopped
	}
	if a.kind.group != g {
		return a.refuse(ErrOutsideGroup, 1)
	}
	if !g.running.CompareAndSwap(false, true) {
		return ErrTurnRunning
	}
	defer g.running.Store(false)
	switch {
	case g.stopped:
		return ErrStopped
	case g.failed:
		return ErrGroupFailed
	}
	if g.system.guard != nil {
		defer g.system.guard.begin()()
	}
	g.taken, g.overrun, g.inTurn = 0, false, true
	defer func() { g.inTurn = false }()
	if err := a.tellInTurn(msg); err != nil {
		return err
	}
	return g.run()
}

// run takes messages in order until there are none.
func (g *Group) run() (err error) {
	var at member
	returned := false
	defer func() {
		if !returned {
			err = at.panicked(recover())
		}
		if err != nil {
			g.fail()
		}
		if cap(g.queue) > keptQueue {
			g.queue = nil
		}
		g.queue, g.oldest = g.queue[:0], 0
	}()
	for err == nil && g.oldest < len(g.queue) && !g.overrun {
		at = g.queue[g.oldest]
		g.queue[g.oldest] = nil
		g.oldest++
		err = at.handleOne()
	}
	if err == nil && g.overrun {
		err = fmt.Errorf("actor: group %q: %w: %d messages", g.name, ErrTurnLimit, g.limit)
	}
	returned = true
	return err
}

// fail discards what the turn left.
func (g *Group) fail() {
	g.failed = true
	for _, m := range g.queue[g.oldest:] { // all but the first of a member find nothing
		m.drop(dropTurn)
	}
	clear(g.queue)
}

// Stop ends all members, the last spawned first, and runs their Stopped hooks;
// nothing can be sent any more. After a failed turn the hooks do not run,
// since the members' state is unknown. It returns ErrTurnRunning during a turn.
func (g *Group) Stop() error {
	if !g.running.CompareAndSwap(false, true) {
		return ErrTurnRunning
	}
	defer g.running.Store(false)
	g.mu.Lock()
	g.stopped = true
	members := g.members
	g.members = nil
	g.mu.Unlock()
	for i := len(members) - 1; i >= 0; i-- {
		if !members[i].hasEnded() {
			members[i].endMember(!g.failed)
		}
	}
	return nil
}
