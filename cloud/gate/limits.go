package gate

import (
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

// Limits of one gate. What exceeds one is refused, rejected or slowed down,
// and counted (I5).
const (
	// DefaultMaxConnections bounds the connections of a node: 10,000 idle ones
	// take about 1 GB, most of it QUIC's own state and what the collector keeps
	// free.
	DefaultMaxConnections = 10_000

	// DefaultMaxHandshakes bounds the handshakes that begin in a second: until
	// the welcome they take two thirds of a core, and a node must go on with the
	// gateways that it has. 10,000 gateways are back in 20 s.
	DefaultMaxHandshakes = 500

	// maxHandshakes bounds the connections beyond those that are served:
	// handshakes, and refusals that are still being said. A stranger's costs as
	// much as an idle connection until handshakeTimeout; more get one packet.
	maxHandshakes = 1024
	// maxUnproven is how many of them there may be before a new one must prove
	// its address (RFC 9000, 8.1.2), so that a flood from invented addresses
	// takes no memory and no gateway's place. That costs a round trip.
	maxUnproven = 64

	// handshakeTimeout bounds TLS: a gateway on a slow radio link needs a few
	// round trips of 1 s, a stranger that says nothing gets no more.
	handshakeTimeout = 10 * time.Second
	// greetTimeout bounds the wait for hello, and then for bind.
	greetTimeout = 15 * time.Second
	// idleTimeout is how long a connection without a packet lives; gateways
	// send a keep-alive every 20 to 25 s.
	idleTimeout = 60 * time.Second
	// writeTimeout bounds the writing of acks to a gateway that does not read.
	writeTimeout = 30 * time.Second

	// putOffPause is how long a gateway is told to stay away from a node that is
	// full: as long again is added by its jitter. putOffTimeout bounds the
	// telling.
	putOffPause   = 10 * time.Second
	putOffTimeout = 5 * time.Second

	// acceptRetry is the pause after a TCP connection could not be accepted.
	acceptRetry = 100 * time.Millisecond

	// laneStreams is how many lanes a connection may open in its life.
	laneStreams = 2

	// maxWindow is the credit of a connection while the journal keeps up: what
	// a link of 50 Mbit/s delivers in 160 ms, a slow fsync.
	maxWindow = 1 << 20
	// minWindow is the credit that is left when the journal is behind: one
	// message of any size, so that nothing stands still for ever.
	minWindow = wire.MaxFrame
	// lagLow and lagHigh are the bytes queued before the journal at which the
	// credit begins to shrink, and at which it is least.
	lagLow, lagHigh = 8 << 20, 64 << 20

	// receiveWindow is QUIC's own window of a stream and maxReceiveWindow its
	// most: a lane has one message of any size in it. Credit bounds the rest.
	receiveWindow, maxReceiveWindow = 64 << 10, 2 * wire.MaxFrame

	// maxSeq bounds sequences, so that the one after a last never wraps: a frame
	// a millisecond takes 300 million years to it.
	maxSeq = 1<<63 - 1

	// maxRuns bounds the runs of a connection: those of a hello, and as many
	// that it opens later.
	maxRuns = 2 * wire.MaxRuns
	// maxEntries bounds the schemas and clocks that a connection holds at a
	// time, of all its runs that are not yet drained: MaxDevices in 64 runs.
	maxEntries = 64 << 10

	// maxOrders bounds the commands that wait to be written to a gateway: as
	// many as it may hold results of.
	maxOrders = wire.MaxSettled

	// claimed bounds the runs whose gateway is remembered after its connection:
	// some days of a cluster of thousands of gateways, 9 MB.
	claimed = 64 << 10

	// ackDelay is how long durable frames are gathered into one ack: small
	// beside an fsync, long beside the callbacks of one flush.
	ackDelay = 2 * time.Millisecond
	// busyRetry is how long a lane rests when the journal's queue is full.
	busyRetry = 5 * time.Millisecond
)

// window is the credit that a connection may have outstanding, in bytes, when
// lag bytes are queued before the journal.
func window(lag int64) uint64 {
	switch {
	case lag <= lagLow:
		return maxWindow
	case lag >= lagHigh:
		return minWindow
	}
	over := uint64(lag - lagLow)
	return maxWindow - (maxWindow-minWindow)*over/(lagHigh-lagLow)
}
