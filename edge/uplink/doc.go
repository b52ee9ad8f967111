// Package uplink keeps one connection to a gate of the cloud and sends the
// buffer's runs over it (shared/wire/PROTOCOL.md). It decides when to dial, in
// which order frames leave and when a connection is given up; what a frame
// holds and how long it is kept is the buffer's concern.
//
// Commands come on the control stream and go to Config.Commands, which has
// their results: what they do and how often is not decided here.
//
// The way of a frame: a lane takes it from a cursor of the buffer, waits for
// credit, writes it to its stream; an ack on the control stream lets the
// buffer drop it. A connection's goroutines, all ended before the next dial:
//
//	Run ─ dial, greet, then one connection:
//	   control   reads acks, rejects, credit, commands, settled
//	   bind      writes bind again when the devices change
//	   results   writes what became of commands, until it is settled
//	   live      one per open run, onto the live stream
//	   backlog   the closed runs one after another, onto the backlog stream
//	   watch     notices a dead path, and the end of Run's context
//
// A dead path is given up and dialled anew; dialling while the old connection
// may still recover (a race) is not done.
package uplink
