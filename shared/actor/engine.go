package actor

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/atrium-iot/atrium/shared/actor/directory"
	"github.com/atrium-iot/atrium/shared/actor/envelope"
	"github.com/atrium-iot/atrium/shared/actor/mailbox"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// Engine spawns actors and knows which IDs live on this node.
type Engine struct {
	system  *ActorSystem
	actors  *directory.Directory[entry]
	live    atomic.Int64 // actors of dispatchers that have not ended
	closing atomic.Bool
	closed  chan struct{} // closed when closing and live is 0
	quiet   sync.Once     // closes closed
	homes   atomic.Uint32 // spreads actors over the pool's run queues

	mu     sync.Mutex
	types  map[string]*species
	sites  *sites // nil without limits
	kinds  map[kindKey]any
	chunks map[reflect.Type]any // *mailbox.Pool of a message type
}

// entry is an actor of any message type, seen from the engine.
type entry interface {
	ID() string
	resident() bool
	shut()
	abandonSuspended()
	member() bool
	arrive(ctx context.Context, mode envelope.Mode, messages []envelope.Message, receipts []envelope.Receipt)
}

// kind is what actors with equal settings and types in the same place share.
type kind[M any] struct {
	system     *ActorSystem
	dispatcher *dispatcher // nil for members of a group
	group      *Group      // nil for actors of a dispatcher
	virtual    *virtual[M] // nil unless the type is registered
	config     TypeConfig  // over what props say
	census     *census     // nil without a limit
	bound      int32       // messages of a mailbox
	grab       int32       // messages that a turn may take at once
	overflow   Overflow
	callerRuns bool
	remote     bool      // of references to another node
	codec      *Codec[M] // nil for actors that are not open to other nodes
	stats      *stats
	chunks     *mailbox.Pool[M]
	contexts   sync.Pool     // *ContextOf[M]
	questions  sync.Pool     // *pending of whatever is asked most
	member     *ContextOf[M] // of the members of a group
}

// kindKey tells kinds apart. A group keeps its own, so that it can be forgotten.
type kindKey struct {
	message, receiver reflect.Type
	settings
}

func newEngine(s *ActorSystem) *Engine {
	return &Engine{
		system: s,
		actors: directory.New[entry](),
		closed: make(chan struct{}),
		types:  make(map[string]*species),
		kinds:  make(map[kindKey]any),
		chunks: make(map[reflect.Type]any),
	}
}

// Spawn makes an untyped actor and returns its reference. The ID is 1 to MaxID
// bytes and must not be in use (ErrIDInUse); it is free again when the actor
// has stopped.
func (e *Engine) Spawn(props *Props, id string) (Ref[any], error) {
	return Spawn(e, props, id)
}

// Spawn makes an actor that takes messages of type M, as Engine.Spawn does.
func Spawn[M any](e *Engine, props *PropsTyped[M], id string) (Ref[M], error) {
	return spawn(e, props, id, siteOf(id), nil)
}

// spawn makes an actor, which is a child where b is not nil.
func spawn[M any](e *Engine, props *PropsTyped[M], id, site string, b *bond) (Ref[M], error) {
	a, err := newActor(props, id)
	if err == nil && props.passivation != nil {
		err = errNeedsType
	}
	if err == nil {
		a.kind, err = kindOf(e, props, a.receiver)
	}
	if err == nil && a.kind.config.Passivation.wanted() {
		err = errNeedsType
	}
	if err == nil && (b != nil || props.supervisor != nil || a.kind.guardianOf(props) != nil) {
		if err = props.checkStrategies(); err == nil {
			a.raise(props, b)
		}
	}
	if err != nil {
		return Ref[M]{}, fmt.Errorf("actor: spawn %q: %w", id, err)
	}
	_, starts := a.receiver.(Starter[M])
	a.started = !starts
	a.home = uint8(e.homes.Add(1))
	if e.system.guard != nil {
		a.gate = guarded
	}
	if err := a.enterLimitsLocked(site); err != nil {
		return Ref[M]{}, fmt.Errorf("actor: spawn %q: %w", id, err)
	}
	if err := e.admit(a, true); err != nil {
		a.leaveLimitsLocked(a.cold)
		return Ref[M]{}, fmt.Errorf("actor: spawn %q: %w", id, err)
	}
	a.kind.stats.actors.Add(1)
	if starts {
		a.mu.Lock()
		a.wakeAndUnlock(nil)
	}
	if e.closing.Load() { // Stop may have looked before the actor was there
		a.shut()
	}
	return Ref[M]{cell: a}, nil
}

// newActor makes an actor that is not yet known to anyone.
func newActor[M any](props *PropsTyped[M], id string) (*cell[M], error) {
	if id == "" || len(id) > MaxID {
		return nil, fmt.Errorf("want an id of 1 to %d bytes, got %d", MaxID, len(id))
	}
	receiver := props.produce()
	if receiver == nil {
		return nil, errNilReceiver
	}
	return &cell[M]{receiver: receiver, id: id}, nil
}

// admit enters an actor under its ID. The system stops those that it counts:
// members belong to their group.
func (e *Engine) admit(a entry, counted bool) error {
	found, err := e.place(a, counted)
	if err == nil && found != a {
		return ErrIDInUse
	}
	return err
}

// place is admit, and returns the actor that has the ID.
func (e *Engine) place(a entry, counted bool) (entry, error) {
	if counted {
		e.live.Add(1)
	}
	if e.closing.Load() {
		e.leave(counted)
		return nil, ErrSystemStopped
	}
	found, _ := e.actors.Insert(a)
	if found != a {
		e.leave(counted)
	}
	return found, nil
}

// find returns the actor of an ID: one that is in memory, or one of a type that
// is registered here.
func (e *Engine) find(id string) (entry, bool) {
	if a, ok := e.actors.Get(id); ok {
		return a, true
	}
	typ, name, ok := strings.Cut(id, "/")
	if !ok || name == "" {
		return nil, false
	}
	e.mu.Lock()
	sp := e.types[typ]
	e.mu.Unlock()
	if sp == nil || sp.made == nil {
		return nil, false
	}
	return sp.made.passive(id), true
}

// forget frees an ID.
func (e *Engine) forget(a entry) { e.actors.Remove(a) }

// leave counts an actor of a dispatcher as ended.
func (e *Engine) leave(counted bool) {
	if counted && e.live.Add(-1) == 0 && e.closing.Load() {
		e.quiet.Do(func() { close(e.closed) })
	}
}

// close stops all actors and returns a channel that is closed when they have
// ended.
func (e *Engine) close() <-chan struct{} {
	if e.closing.Swap(true) {
		return e.closed
	}
	for a := range e.actors.All() {
		if !a.member() {
			a.shut()
		}
	}
	if e.live.Load() == 0 {
		e.quiet.Do(func() { close(e.closed) })
	}
	return e.closed
}

// abandonSuspended abandons the actors that stand in no queue, since they wait
// for others that will not end.
func (e *Engine) abandonSuspended() {
	for a := range e.actors.All() {
		a.abandonSuspended()
	}
}

// kindOf returns what actors of these props share.
func kindOf[M any](e *Engine, props *PropsTyped[M], receiver ReceiverOf[M]) (*kind[M], error) {
	key := kindKey{reflect.TypeFor[M](), reflect.TypeOf(receiver), props.settings}
	e.mu.Lock()
	k, ok := e.kinds[key].(*kind[M])
	e.mu.Unlock()
	if ok {
		return k, nil
	}
	k, err := newKind[M](e, key)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if other, ok := e.kinds[key].(*kind[M]); ok {
		return other, nil
	}
	e.kinds[key] = k
	return k, nil
}

func newKind[M any](e *Engine, key kindKey) (*kind[M], error) {
	sp := e.see(key.typeName())
	key.settings = sp.config.over(key.settings)
	d, err := e.system.dispatcher(key.dispatcher)
	if err != nil {
		return nil, err
	}
	if err := key.mailbox.Check(); err != nil {
		return nil, err
	}
	codec, open := key.codec.(*Codec[M])
	if open {
		if err := codec.Check(); err != nil {
			return nil, err
		}
	}
	k := &kind[M]{
		system:     e.system,
		dispatcher: d,
		bound:      d.mailboxSize,
		grab:       maxSetting,
		overflow:   key.mailbox.Overflow,
		callerRuns: key.callerRuns,
		codec:      codec,
		config:     sp.config,
		census:     sp.census,
		stats:      e.system.metrics.of(d.name, key.typeName()),
		chunks:     chunksOf[M](e),
	}
	if n := key.mailbox.Size; n > 0 {
		k.bound = int32(n)
	}
	if k.overflow == DropOldest {
		k.grab = 1 // what was taken can't be dropped any more
	}
	return k, nil
}

// guardianOf is the strategy for an actor without a parent.
func (k *kind[M]) guardianOf(props *PropsTyped[M]) *supervise.Strategy {
	if k.config.Supervision != nil {
		return k.config.Supervision
	}
	return props.guardian
}

// chunksOf returns the pool of all mailboxes for messages of type M.
func chunksOf[M any](e *Engine) *mailbox.Pool[M] {
	key := reflect.TypeFor[M]()
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.chunks[key].(*mailbox.Pool[M])
	if !ok {
		p = new(mailbox.Pool[M])
		e.chunks[key] = p
	}
	return p
}

// typeName is the label of a kind: what its props say, or its receiver's type:
// "device.Actor".
func (k kindKey) typeName() string {
	if k.typ != "" {
		return k.typ
	}
	t := k.receiver
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.String()
}
