package link

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// maxClients bounds the table and so sockets and goroutines. A link stands
	// before a few gateways, each of which keeps one port for life.
	maxClients = 256
	// idle is after how long without a packet a client is forgotten: well above
	// the 30 s after which QUIC gives up a silent connection.
	idle = 2 * time.Minute
	// socketBuffer is asked of the kernel, which may give less.
	socketBuffer = 1 << 20
)

// client is a sender and its socket towards the target.
type client struct {
	addr netip.AddrPort
	up   atomic.Pointer[net.UDPConn]
	seen time.Time // of the last packet either way; guarded by Relay.mu
}

// answers takes the target's packets at one of a client's sockets until the
// client has been idle or has another socket.
func (r *Relay) answers(c *client, up *net.UDPConn) {
	var buf [maxPacket + 1]byte
	for {
		if err := up.SetReadDeadline(time.Now().Add(idle)); err != nil {
			return // closed
		}
		n, err := up.Read(buf[:])
		switch {
		case err == nil:
			r.admit(Down, c, buf[:n])
		case errors.Is(err, syscall.ECONNREFUSED):
			// ICMP: the packet that went up found its port closed.
			r.count.drop(Up, DropUnreachable)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.forget(c) {
				return
			}
		case errors.Is(err, net.ErrClosed):
			return
		default:
			r.log.Warn("client's socket failed", "client", c.addr, "err", err)
			r.remove(c)
			return
		}
	}
}

// clientOf finds or makes the client of an address.
func (r *Relay) clientOf(addr netip.AddrPort) (*client, Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.clients[addr]
	switch {
	case ok:
		return c, Passed
	case r.closed || len(r.clients) >= maxClients:
		return nil, DropClients
	}
	up, err := net.DialUDP("udp", nil, r.to)
	if err != nil {
		r.log.Warn("no socket for a client", "client", addr, "err", err)
		return nil, DropUnreachable
	}
	c = &client{addr: addr, seen: time.Now()}
	r.clients[addr] = c
	r.plug(c, up)
	return c, Passed
}

// plug gives a client its socket.
func (r *Relay) plug(c *client, up *net.UDPConn) {
	r.enlarge(up)
	c.up.Store(up)
	r.wg.Go(func() { r.answers(c, up) })
}

// rebindLocked does what a NAT does that was restarted: each client is seen from
// another port, answers to the old one reach nobody, and TCP connections end.
func (r *Relay) rebindLocked() {
	if r.closed {
		return
	}
	for _, c := range r.clients {
		up, err := net.DialUDP("udp", nil, r.to)
		if err != nil {
			r.log.Warn("no socket for a client", "client", c.addr, "err", err)
			continue // it keeps its port
		}
		old := c.up.Load()
		r.plug(c, up)
		old.Close() // nothing is buffered in a datagram socket that could be lost
	}
	for s := range r.streams {
		s.close()
	}
}

// enlarge asks for a larger buffer; a kernel that refuses costs only drops.
func (r *Relay) enlarge(c *net.UDPConn) {
	if err := errors.Join(c.SetReadBuffer(socketBuffer), c.SetWriteBuffer(socketBuffer)); err != nil {
		r.log.Debug("socket buffer", "err", err)
	}
}

// forget removes c if it has been idle.
func (r *Relay) forget(c *client) bool {
	r.mu.Lock()
	idled := time.Since(c.seen) >= idle
	r.mu.Unlock()
	if idled {
		r.remove(c)
	}
	return idled
}

func (r *Relay) remove(c *client) {
	r.mu.Lock()
	if r.clients[c.addr] == c {
		delete(r.clients, c.addr)
	}
	r.mu.Unlock()
	c.up.Load().Close() // nothing is buffered in a datagram socket that could be lost
}

func (r *Relay) closeAll() {
	r.mu.Lock()
	r.closed = true
	all, streams := slices.Collect(maps.Values(r.clients)), slices.Collect(maps.Keys(r.streams))
	r.mu.Unlock()
	for _, c := range all {
		r.remove(c)
	}
	for _, s := range streams {
		s.close()
	}
}
