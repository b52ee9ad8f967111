package actor

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// Engine spawns actors and knows which IDs live on this node.
type Engine struct {
	system *ActorSystem

	mu      sync.Mutex
	actors  map[string]stopper // nil value: a member of a group
	live    int                // actors of dispatchers that have not ended
	closing bool
	closed  chan struct{} // closed when closing and live is 0
	kinds   map[kindKey]any
	pools   map[reflect.Type]*pools
}

// stopper is an actor of any message type, seen from the engine.
type stopper interface{ stop() }

// kindKey tells kinds apart. A group keeps its own, so that it can be forgotten.
type kindKey struct {
	message, receiver reflect.Type
	dispatcher        *dispatcher
}

func newEngine(s *ActorSystem) *Engine {
	return &Engine{
		system: s,
		actors: make(map[string]stopper),
		closed: make(chan struct{}),
		kinds:  make(map[kindKey]any),
		pools:  make(map[reflect.Type]*pools),
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
	d, err := e.system.dispatcher(props.dispatcher)
	if err != nil {
		return Ref[M]{}, fmt.Errorf("actor: spawn %q: %w", id, err)
	}
	a, err := newActor(props, id)
	if err != nil {
		return Ref[M]{}, fmt.Errorf("actor: spawn %q: %w", id, err)
	}
	a.kind = kindOf[M](e, a.receiver, d)
	_, starts := a.receiver.(Starter[M])
	if err := e.admit(id, a); err != nil {
		return Ref[M]{}, fmt.Errorf("actor: spawn %q: %w", id, err)
	}
	a.kind.stats.actors.Inc()
	if starts {
		a.mu.Lock()
		a.wakeAndUnlock()
	}
	return Ref[M]{a}, nil
}

// newActor makes an actor that is not yet known to anyone.
func newActor[M any](props *PropsTyped[M], id string) (*actorOf[M], error) {
	if id == "" || len(id) > MaxID {
		return nil, fmt.Errorf("want an id of 1 to %d bytes, got %d", MaxID, len(id))
	}
	receiver := props.produce()
	if receiver == nil {
		return nil, errors.New("the producer returned a nil receiver")
	}
	return &actorOf[M]{receiver: receiver, id: id}, nil
}

// admit enters an actor under its ID. a is nil for a member of a group, which
// the system does not stop.
func (e *Engine) admit(id string, a stopper) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return ErrSystemStopped
	}
	if _, used := e.actors[id]; used {
		return ErrIDInUse
	}
	e.actors[id] = a
	if a != nil {
		e.live++
	}
	return nil
}

// forget frees an ID.
func (e *Engine) forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.actors, id)
}

// leave counts an actor of a dispatcher as ended.
func (e *Engine) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.live--
	if e.closing && e.live == 0 {
		close(e.closed)
	}
}

func (e *Engine) living() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.live
}

// close stops all actors and returns a channel that is closed when they have
// ended.
func (e *Engine) close() <-chan struct{} {
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		return e.closed
	}
	e.closing = true
	all := make([]stopper, 0, e.live)
	for _, a := range e.actors {
		if a != nil {
			all = append(all, a)
		}
	}
	if e.live == 0 {
		close(e.closed)
	}
	e.mu.Unlock()
	for _, a := range all {
		a.stop()
	}
	return e.closed
}

// kindOf returns what actors of these types on d share.
func kindOf[M any](e *Engine, receiver ReceiverOf[M], d *dispatcher) *kind[M] {
	key := kindKey{reflect.TypeFor[M](), reflect.TypeOf(receiver), d}
	e.mu.Lock()
	defer e.mu.Unlock()
	if k, ok := e.kinds[key].(*kind[M]); ok {
		return k
	}
	k := &kind[M]{
		system:     e.system,
		dispatcher: d,
		bound:      d.mailboxSize,
		stats:      e.system.metrics.of(d.name, typeName(key.receiver)),
		pools:      e.poolsLocked(key.message),
	}
	e.kinds[key] = k
	return k
}

func (e *Engine) poolsLocked(message reflect.Type) *pools {
	p := e.pools[message]
	if p == nil {
		p = new(pools)
		e.pools[message] = p
	}
	return p
}

// typeName is the label of a receiver's type: "device.Actor".
func typeName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.String()
}
