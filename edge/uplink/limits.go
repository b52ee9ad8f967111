package uplink

import "time"

// Limits of the connection.
const (
	// DefaultMinBackoff and DefaultMaxBackoff bound the window of the wait
	// before a dial. The wait is drawn from the whole window (full jitter), so
	// that 10,000 gateways that lost their gate at once come back over 30 s:
	// a gate takes a thousand handshakes a second and core.
	DefaultMinBackoff = 500 * time.Millisecond
	DefaultMaxBackoff = 30 * time.Second

	// slowRetry is the wait after a refusal that only people end: another
	// cluster's certificate, another protocol version, a foreign site.
	slowRetry = time.Minute

	// stableAfter is how long a connection must have lasted for the next dial
	// to begin with the smallest window again.
	stableAfter = 5 * time.Second

	// handshakeTimeout bounds a handshake without an answer: a satellite link
	// and two lost packets fit.
	handshakeTimeout = 5 * time.Second
	// welcomeTimeout bounds the wait for welcome: the gate journals hello
	// first, which waits for a majority to fsync.
	welcomeTimeout = 15 * time.Second

	// tcpDelay is how long UDP may go without an answer before TCP is dialled
	// too: a second or two of a lossy radio link is no firewall.
	tcpDelay = 2 * time.Second
	// probeLeast and probeMost bound the pause between tries of UDP while the
	// connection goes over TCP. They double: a firewall stays for months, a
	// handshake costs 8 KB.
	probeLeast = 30 * time.Second
	probeMost  = 30 * time.Minute

	// maxRedirects is how many redirects are followed within redirectWindow:
	// owners may move once or twice while a cluster settles, and two gates that
	// name each other end there.
	maxRedirects   = 3
	redirectWindow = time.Minute

	// keepAlive is under the 30 s after which common NATs forget a UDP flow;
	// idleTimeout allows for two that are lost.
	keepAlive   = 20 * time.Second
	idleTimeout = 60 * time.Second

	// A path is silent if a frame is unacked and an answer has been due for
	// silenceRTTs round trips and silenceMin. Another connection is tried then:
	// QUIC's own probes are by now seconds apart, and after an outage it would
	// be late by as much again.
	silenceRTTs = 3
	silenceMin  = time.Second
	// stallLimit is how long a frame may stay without an ack on a live path
	// before another gate is tried: a journal without majority recovers faster.
	stallLimit = time.Minute
	// watchInterval is how often both are checked.
	watchInterval = 250 * time.Millisecond

	// minInFlight and maxInFlight bound what the estimate allows of the backlog
	// to be on its way: one segment, and 100 Mbit/s at 300 ms, beyond what a
	// gate's credit covers. A frame of any size may go when none is on its way.
	minInFlight = 64 << 10
	maxInFlight = 4 << 20
	// packetSize is about a packet's payload, the least of a frame that leaves
	// at once. paceBurst is how much later than due a piece may be and be made
	// up for: a timer that is late must not slow a fast path down.
	packetSize = 1200
	paceBurst  = 4 * time.Millisecond
	// startPackets are sent a round trip before anything is known of the path.
	startPackets = 10
	// pauseMax bounds how long the backlog rests for an empty queue to be seen.
	pauseMax = 200 * time.Millisecond
	// liveReserve is credit that the backlog leaves to live frames: one cut.
	liveReserve = 64 << 10

	// starvedAfter is how long live frames may wait for credit, one after
	// another, before that is said: a slow fsync is none.
	starvedAfter = time.Second
	// drainMemory is how fast the drain's speed forgets: a segment on a narrow
	// radio link takes seconds.
	drainMemory = 10 * time.Second

	// maxAttempts is how often one sequence may be rejected on a connection.
	// Then the gate and this program disagree, and sending on helps nobody.
	maxAttempts = 4

	// logEvery is how often the same reason for a lost connection is repeated
	// in the log.
	logEvery = 5 * time.Minute
)
