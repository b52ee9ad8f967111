package actor

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/actor/lru"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
	"github.com/atrium-iot/atrium/shared/actor/wheel"
)

// Type makes the actors of one registered type by their names. They are
// virtual: each exists for as long as its name is used, and is in memory only
// while it has something to do. The first message activates it: a receiver is
// made, given the snapshot that the store has, and started. Its passivation
// takes it out of memory again.
//
// A Ref of a virtual actor stays valid over all that, whoever holds it. Two Refs
// of one actor need not be equal: compare their PIDs.
//
// Stop and Poison end a virtual actor for good: it handles what it accepted, its
// Stopped hook runs, its snapshot is deleted, and the next message begins a new
// one; that it fails on the way changes nothing of this. One that fails and is
// stopped by its supervision keeps its last snapshot, and the next message
// activates that. Who watches it, or waits for Stopped, is told of
// either, and not of a passivation. Of its own watches nothing is left after a
// passivation: Started asks again. When the system stops, what was accepted is
// handled and the state is saved; no Stopped hook runs then, nor at any other
// passivation.
//
// A question waits for its answer in memory: an actor that owes one stays.
type Type[M any] struct{ virtual *virtual[M] }

// virtual is what the actors of a registered type share beside their kind.
type virtual[M any] struct {
	name   string
	kind   *kind[M]
	props  *PropsTyped[M]
	rules  Passivation
	counts *stayStats

	mu        sync.Mutex
	residents lru.Queue[*stay[M]] // in memory, and not about to leave
	leaving   int                 // about to leave
	spent     []*stay[M]          // handled their number, and could not leave then; some have meanwhile
	failures  supervise.Record    // of saves
	paused    int64               // nobody begins to leave before
	alarm     *wheel.Alarm        // of the next sweep; nil is none
	alarmAt   int64
	complains [failures]bool // the failure was logged, and the step has not gone well since
}

// maxTypeName bounds the name of a type in bytes, so that a PID has room for
// what follows it.
const maxTypeName = 64

// Register makes a type of virtual actors. Its name is a label of metrics and
// the first part of their IDs: the actor "hq/t1" of the type "twin" is
// "twin/hq/t1". The props' producer is called once here, to see what it makes,
// and at each activation, in the actor's turn; the receiver learns its name from
// its context. WithCallerRuns has no effect: only a message in the mailbox keeps
// an actor in memory.
func Register[M any](e *Engine, name string, props *PropsTyped[M]) (Type[M], error) {
	v, err := newVirtual(e, name, props)
	if err != nil {
		return Type[M]{}, fmt.Errorf("actor: register %q: %w", name, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	sp := e.speciesLocked(name)
	if sp.made != nil {
		return Type[M]{}, fmt.Errorf("actor: register %q: the name is in use", name)
	}
	sp.made = v
	return Type[M]{v}, nil
}

func newVirtual[M any](e *Engine, name string, props *PropsTyped[M]) (*virtual[M], error) {
	if name == "" || len(name) > maxTypeName || strings.Contains(name, "/") {
		return nil, fmt.Errorf("want a name of 1 to %d bytes without a slash", maxTypeName)
	}
	receiver := props.produce()
	if receiver == nil {
		return nil, errNilReceiver
	}
	set := props.settings
	set.typ, set.callerRuns, set.passivation = name, false, nil
	k, err := newKind[M](e, kindKey{reflect.TypeFor[M](), reflect.TypeOf(receiver), set})
	if err != nil {
		return nil, err
	}
	v := &virtual[M]{name: name, props: props, kind: k}
	if props.passivation != nil {
		v.rules = *props.passivation
	}
	v.rules = k.config.Passivation.over(v.rules)
	if err := v.rules.check(); err != nil {
		return nil, err
	}
	if err := props.checkStrategies(); err != nil {
		return nil, err
	}
	if _, ok := receiver.(Snapshotter); !ok && v.rules.Store != nil {
		return nil, fmt.Errorf("Passivation.Store: %T is no Snapshotter", receiver)
	}
	k.stats.stays.CompareAndSwap(nil, new(stayStats))
	v.counts = k.stats.stays.Load()
	k.virtual = v
	return v, nil
}

func (v *virtual[M]) supervised() bool {
	return v.props.supervisor != nil || v.kind.guardianOf(v.props) != nil
}

// Ref returns a reference to the actor of a name, whether it is in memory or
// not, and whichever node has it: with a transport, a message to an actor that is
// not in memory here goes where Locate says, if the type has a codec. The sender
// waits for Locate, up to 5 s where it brings no context. Ref fails when the name
// is empty or too long, and when an actor that was spawned has the ID.
func (t Type[M]) Ref(name string) (Ref[M], error) {
	v := t.virtual
	if v == nil {
		return Ref[M]{}, errors.New("actor: the zero Type has no actors")
	}
	id := v.name + "/" + name
	if name == "" || len(id) > MaxID {
		return Ref[M]{}, fmt.Errorf("actor: %s: want a name of 1 to %d bytes, got %d", v.name, MaxID-len(v.name)-1, len(name))
	}
	e := v.kind.system.engine
	if found, ok := e.actors.Get(id); ok {
		a, ok := found.(*cell[M])
		if !ok || a.kind != v.kind {
			return Ref[M]{}, fmt.Errorf("actor: %s: %w", id, ErrIDInUse)
		}
		return Ref[M]{cell: a}, nil
	}
	return Ref[M]{cell: v.cell(id)}, nil
}

// nameOf is what follows the type in an actor's ID.
func (v *virtual[M]) nameOf(id string) string { return id[len(v.name)+1:] }

// registered is a type of any message type, seen from the engine.
type registered interface {
	passive(id string) entry
}

// passive implements registered.
func (v *virtual[M]) passive(id string) entry { return v.cell(id) }

// cell makes a cell that is not in memory.
func (v *virtual[M]) cell(id string) *cell[M] {
	system := v.kind.system
	a := &cell[M]{kind: v.kind, id: id, gate: passive, home: uint8(system.engine.homes.Add(1))}
	if system.guard != nil {
		a.gate |= guarded
	}
	return a
}

// storeRetry is how long to wait for a store that has failed. A disk that is
// full or gone comes back after seconds at best.
var storeRetry = supervise.Strategy{
	OnFailure: supervise.Restart,
	Backoff:   supervise.Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second, Jitter: 0.2},
}
