// Package actor runs actors: objects that own their state, are reached only by
// messages and handle one message at a time. Both tiers use it, the edge for
// device actors, the cloud for everything that belongs to a site.
//
// A message passes through it like this: Ref.Tell puts the value into a lane of
// the actor's mailbox under a short lock, or does what the props say of a full
// one; an idle actor becomes scheduled and enters its dispatcher's run queue; a
// worker takes it and calls Receive for up to Throughput messages; then the
// actor is idle again, or at the tail of the queue. An idle actor has no
// goroutine, no timer and no buffer.
//
// The files follow that way: ref.go, cell.go and overflow.go accept a message,
// dispatcher.go, pool.go and crew.go choose who runs next, turn.go and
// context.go run the actor; ask.go and callerruns.go bring answers back.
// Decisions that need no actor have packages of their own: mailbox (order
// within an actor), fair (order between dispatchers), supervise (what follows
// from a failure), lru (who is passivated), wheel (time), directory (which IDs
// live here). The packages router, settings and actortest stand on top.
//
// A Group is the other way to run actors: its members take turns in the
// goroutine that calls Turn, in one deterministic order, and reach nothing
// outside the group. A site is one.
//
// Actors may have children. Who fails is suspended, and its parent's strategy
// says what follows: it goes on, begins anew, ends, or its parent fails too.
// Without a parent or a guardian it ends; its watchers learn why.
//
// With a Transport, a Ref may refer to an actor of another node: RefAt says what
// sending then means. What is sent goes as bytes, by the actor's Codec.
//
// What it does not do: it does not persist or move actors, it does not decide
// which node has which, and it opens no connection.
//
// DESIGN.md has the state machine and the rules of groups. Every refusal is an
// error for the sender and a counter; a message that was accepted and never
// handled is a dead letter, counted by reason (I5).
package actor
