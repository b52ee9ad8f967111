package gate

import (
	"net"

	"github.com/quic-go/quic-go"
)

// Transport puts QUIC on a socket, for Serve. The socket stays the caller's to
// close, after Serve has returned.
func Transport(socket net.PacketConn) *quic.Transport {
	return &quic.Transport{Conn: socket}
}

// Connections returns how many gateways are connected.
func (g *Gate) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}
