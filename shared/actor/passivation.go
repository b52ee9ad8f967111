package actor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Passivation says when an actor of a registered type leaves memory until its
// next message, and where its state is kept meanwhile. Whatever comes first
// counts; a zero field never does.
//
// Only an actor at rest leaves: one that has messages, that put some aside, that
// owes an answer, that changed its behaviour, or that has children or timers,
// stays and is looked at again later.
type Passivation struct {
	// Idle is how long an actor stays without a message.
	Idle time.Duration
	// Messages is how many it handles after an activation; it leaves when it has
	// nothing more to do.
	Messages int
	// Limit is how many actors of the type stay in memory: beyond it the one
	// least recently used leaves. More are there for as long as actors come
	// faster than others can leave, and while the store fails.
	Limit int
	// Store keeps their state; the receivers are Snapshotters then. Without one
	// an actor leaves its state behind, and begins anew.
	Store SnapshotStore
}

// SnapshotStore keeps the state of actors that are not in memory. The runtime
// has at most one call under way for an actor, on goroutines of its own; a call
// that its context ends has failed. shared/actor/snapshot has two.
type SnapshotStore interface {
	Save(ctx context.Context, id string, data []byte) error
	// Load returns snapshot.ErrNone when there is none, and snapshot.ErrDamaged
	// when there is one that nobody can use.
	Load(ctx context.Context, id string) ([]byte, error)
	Delete(ctx context.Context, id string) error
}

// Snapshotter is a receiver whose state outlives its time in memory. Both run
// as Receive does. Snapshot changes nothing: the actor may stay after all, as
// when a message comes meanwhile. Restore is called on a new receiver, before
// Started, and owns the bytes.
type Snapshotter interface {
	Snapshot() ([]byte, error)
	Restore(state []byte) error
}

// Activated says that a virtual actor has come into memory.
type Activated struct{ PID PID }

// Passivated says that a virtual actor has left memory and that its state is
// kept. Its next message brings it back, which may happen before this arrives.
type Passivated struct{ PID PID }

func (Activated) event()  {}
func (Passivated) event() {}

// check names the first field that cannot be used.
func (p Passivation) check() error {
	switch {
	case p.Idle < 0:
		return fmt.Errorf("Passivation.Idle: want 0 (never) or more, got %v", p.Idle)
	case p.Messages < 0 || p.Messages > maxSetting:
		return fmt.Errorf("Passivation.Messages: want 0 (never) to %d, got %d", maxSetting, p.Messages)
	case p.Limit < 0 || p.Limit > maxSetting:
		return fmt.Errorf("Passivation.Limit: want 0 (none) to %d, got %d", maxSetting, p.Limit)
	}
	return nil
}

// WithPassivation returns a copy whose actors leave memory by these rules. It is
// for Register: Spawn refuses such props, since only a type can make an actor
// again.
func (p *PropsTyped[M]) WithPassivation(rules Passivation) *PropsTyped[M] {
	q := *p
	q.passivation = &rules
	return &q
}

var errNeedsType = errors.New("passivation is for the actors of a type: use Register")
