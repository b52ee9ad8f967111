package gate

import (
	"net"

	"github.com/quic-go/quic-go"
)

// Transport puts QUIC on a socket, for Serve. The socket stays the caller's to
// close, after Serve has returned. A node that starts again with the same
// resetKey tells the gateways of its former connections so (RFC 9000, 10.3).
func Transport(socket net.PacketConn, resetKey [32]byte) *quic.Transport {
	key := quic.StatelessResetKey(resetKey)
	return &quic.Transport{Conn: socket, StatelessResetKey: &key}
}

// Connections returns how many gateways are connected.
func (g *Gate) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}
