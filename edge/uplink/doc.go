// Package uplink keeps one connection to a gate of the cloud and sends the
// buffer's runs over it (shared/wire/PROTOCOL.md). It decides when and what to
// dial, in which order frames leave and when a connection is left; what a frame
// holds and how long it is kept is the buffer's concern.
//
// Commands come on the control stream and go to Config.Commands, which has
// their results: what they do and how often is not decided here.
//
// The way of a frame: a lane takes it from a cursor of the buffer, waits for
// credit, writes it to its stream; an ack on the control stream lets the
// buffer drop it. Run has the plan, which is pure, decide what is dialled and
// which connection is kept, and carries that out; dials and connections tell it
// what happens:
//
//	Run ─ plan
//	 │    dial      UDP, and TCP beside it where UDP gets no answer
//	 └─ connection  greets, is welcomed, then serves:
//	   control   reads acks, rejects, credit, commands, settled
//	   bind      writes bind again when the devices change
//	   results   writes what became of commands, until it is settled
//	   live      one per open run, onto the live stream
//	   backlog   the closed runs one after another, onto the backlog stream
//	   watch     notices a path that is silent, and an ack that does not come
//
// A silent connection, and one over TCP, is kept while another is tried; so is
// one whose gate names a better gate. The older connection's goroutines have
// ended before the next one sends frames.
package uplink
