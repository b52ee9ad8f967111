package uplink

import (
	"net"

	"github.com/quic-go/quic-go"
)

// Transport puts QUIC on a socket, for New. The socket stays the caller's to
// close, after Run has returned.
func Transport(socket net.PacketConn) *quic.Transport {
	return &quic.Transport{Conn: socket}
}
