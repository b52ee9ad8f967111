// Package snapshot keeps the state of passivated actors: bytes under an
// actor's ID, which its own code made and alone understands.
//
// When an actor leaves memory the runtime gives its state to Save; when the
// next message brings it back the runtime gives the bytes of Load to the new
// receiver; an actor that ends for good takes its snapshot along with Delete.
// Memory holds snapshots for as long as the process lives. Dir holds each in a
// file of its own and answers only once the disk has it.
//
// It keeps one snapshot an ID, the last one saved: no history, no versions.
// It does not encode state, does not decide when an actor is passivated, and
// does not order calls: the runtime has at most one under way for an actor.
// The stores themselves are safe for concurrent use.
package snapshot

import (
	"context"
	"errors"
	"fmt"
)

const (
	// MaxID bounds an ID in bytes, as the runtime bounds that of an actor.
	MaxID = 255
	// MaxData bounds one snapshot in bytes. It is loaded whole, and a gateway
	// has 512 MB of memory for everything.
	MaxData = 16 << 20
)

// What the runtime branches on. The errors of the stores wrap these and name
// the ID.
var (
	// ErrNone: there is no snapshot of this ID.
	ErrNone = errors.New("no snapshot")
	// ErrFull: the store has no room within its limit. What was saved under
	// the ID before is still there.
	ErrFull = errors.New("the store of snapshots is full")
	// ErrDamaged: there is a snapshot, and it is not what was saved.
	ErrDamaged = errors.New("damaged snapshot")
)

// check refuses a call that no store can serve.
func check(ctx context.Context, id string, data []byte) error {
	switch {
	case id == "" || len(id) > MaxID:
		return fmt.Errorf("want an id of 1 to %d bytes, got %d", MaxID, len(id))
	case len(data) > MaxData:
		return fmt.Errorf("want at most %d bytes of state, got %d", MaxData, len(data))
	}
	return ctx.Err()
}
