package gate

import (
	"net"

	"github.com/quic-go/quic-go"
)

// Keys are what the gates of a cluster share, over restarts too, so that each
// answers for the others: a balancer, or a gateway's NAT, may lead packets to
// another gate than before.
type Keys struct {
	// Reset proves that a connection is not known here (RFC 9000, 10.3): its
	// gateway dials at once instead of waiting for silence.
	Reset [32]byte
	// Token seals the addresses that gateways have proven (RFC 9000, 8.1.2).
	Token [32]byte
}

// Transport puts QUIC on a socket, for Serve. The socket stays the caller's to
// close, after Serve has returned.
func Transport(socket net.PacketConn, keys Keys) *quic.Transport {
	reset, token := quic.StatelessResetKey(keys.Reset), quic.TokenGeneratorKey(keys.Token)
	return &quic.Transport{Conn: socket, StatelessResetKey: &reset, TokenGeneratorKey: &token}
}

// Connections returns how many gateways are connected.
func (g *Gate) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}
