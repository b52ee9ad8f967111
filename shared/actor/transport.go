package actor

import (
	"context"
	"errors"
)

// What a sender to another node may branch on, beside what local senders get.
var (
	// ErrStale: the actor is not at the address where it was looked for. From a
	// Transport: nothing was delivered there.
	ErrStale = errors.New("actor: not at that address")
	// ErrUnconfirmed: the other node did not say what became of the message. It
	// may have been handled.
	ErrUnconfirmed = errors.New("actor: delivery unconfirmed")
	// ErrNotOpen: the actor takes no messages from other nodes: its props have
	// no codec, or it is a member of a group.
	ErrNotOpen = errors.New("actor: not open to other nodes")
	// ErrElsewhere: what was asked for can only be done on the actor's node.
	ErrElsewhere = errors.New("actor: lives on another node")
)

// Transport carries requests between the nodes of a cluster and knows which
// node has which actor. It is used by many goroutines.
//
// It may lose, delay and repeat requests: their receiver refuses repeated ones
// and those that come too late. It authenticates nodes, since a request may
// name any actor whose props have a codec.
type Transport interface {
	// Locate returns the address of the node that has the actor, whether the
	// actor is active or not. Unless fresh is set it answers from memory where it
	// can, since senders wait for it; with fresh, an answer from before was wrong.
	// A node that asks for an actor of its own must get its own address, and no
	// longer once another node may have the actor.
	Locate(ctx context.Context, id string, fresh bool) (address string, err error)
	// Exchange brings a request to the node at the address, gives it to
	// Engine.Receive there and returns the answer, which is the caller's. It
	// returns soon after ctx ended. ErrStale says that the request has certainly
	// not arrived, since no such node is there: it may be sent elsewhere.
	Exchange(ctx context.Context, address string, request []byte) (answer []byte, err error)
}

// WithTransport lets the system's actors reach those of other nodes, and be
// reached. Transport and system need each other, so the transport takes its
// first request when the system is made.
func WithTransport(t Transport) Option {
	return func(s *ActorSystem) { s.transport = t }
}
