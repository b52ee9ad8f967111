package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	// streamWindow is what may be on its way each way, in bytes.
	streamWindow = 64 << 10
	// streamRetry is how often a stream looks whether its path works again, as
	// retransmissions do.
	streamRetry = 50 * time.Millisecond
	// backlogTCP is how many connections wait to be accepted.
	backlogTCP = 16
)

// errRefused is a host that answers, and nobody listens there.
var errRefused = errors.New("connection refused")

// half is one direction of a TCP connection. What it carries comes late and in
// order, and waits while the network does not let it pass.
type half struct {
	net      *network
	from, to *net.TCPAddr

	mu      sync.Mutex
	chunks  []chunk
	size    int
	closed  bool // by the writer
	left    bool // by the reader: what comes is for nobody
	dead    bool // the writer's process ended: what it still writes goes nowhere
	changed chan struct{}
}

type chunk struct {
	due  time.Time
	data []byte
}

// change tells who waits. h.mu is held.
func (h *half) change() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// close is the writer's; that of a dead process says nothing to the reader.
func (h *half) close() {
	ended := h.net.hasEnded(h.from)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = h.dead || ended
	h.closed = h.closed || !h.dead
	h.change()
}

// leave is the reader's.
func (h *half) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = true
	h.change()
}

// take reads what has come, or says how long to wait for a look again; 0 for
// until something changes.
func (h *half) take(b []byte) (n int, wait time.Duration, changed <-chan struct{}, err error) {
	passes := h.net.passesTCP(h.from, h.to)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.left:
		return 0, 0, nil, net.ErrClosed
	case !passes && (len(h.chunks) > 0 || h.closed):
		return 0, streamRetry, h.changed, nil
	case len(h.chunks) == 0 && h.closed:
		return 0, 0, nil, io.EOF
	case len(h.chunks) == 0:
		return 0, 0, h.changed, nil
	}
	c := &h.chunks[0]
	if d := time.Until(c.due); d > 0 {
		return 0, d, h.changed, nil
	}
	n = copy(b, c.data)
	if c.data = c.data[n:]; len(c.data) == 0 {
		h.chunks = h.chunks[1:]
	}
	h.size -= n
	h.change()
	return n, 0, nil, nil
}

// put writes what the window has room for, or says what to wait for.
func (h *half) put(b []byte) (n int, changed <-chan struct{}, err error) {
	ended, due := h.net.hasEnded(h.from), time.Now().Add(h.net.latency())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = h.dead || ended
	switch {
	case h.dead || h.left && !h.closed:
		return len(b), nil, nil
	case h.closed:
		return 0, nil, net.ErrClosed
	case h.size >= streamWindow:
		return 0, h.changed, nil
	}
	n = min(len(b), streamWindow-h.size)
	if last := len(h.chunks) - 1; last >= 0 && h.chunks[last].due.After(due) {
		due = h.chunks[last].due
	}
	h.chunks = append(h.chunks, chunk{due, append([]byte(nil), b[:n]...)})
	h.size += n
	h.change()
	return n, nil, nil
}

// stream is one side of a TCP connection: a net.Conn.
type stream struct {
	in, out     *half
	read, write deadline
}

var _ net.Conn = (*stream)(nil)

// deadline ends reads or writes.
type deadline struct {
	mu      sync.Mutex
	at      time.Time
	changed chan struct{}
}

func newDeadline() deadline { return deadline{changed: make(chan struct{})} }

func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
	close(d.changed)
	d.changed = make(chan struct{})
}

// wait waits for one of what a half waits for; wait 0 is none. It returns an
// error once the deadline has passed.
func (d *deadline) wait(changed <-chan struct{}, wait time.Duration) error {
	d.mu.Lock()
	at, moved := d.at, d.changed
	d.mu.Unlock()
	var over, again <-chan time.Time
	if !at.IsZero() {
		left := time.Until(at)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		over = time.After(left)
	}
	if wait > 0 {
		again = time.After(wait)
	}
	select {
	case <-changed:
	case <-moved:
	case <-again:
	case <-over:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Read implements net.Conn.
func (s *stream) Read(b []byte) (int, error) {
	for {
		n, wait, changed, err := s.in.take(b)
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
		if err := s.read.wait(changed, wait); err != nil {
			return 0, err
		}
	}
}

// Write implements net.Conn.
func (s *stream) Write(b []byte) (written int, err error) {
	for written < len(b) {
		n, changed, err := s.out.put(b[written:])
		written += n
		if err == nil && n == 0 {
			err = s.write.wait(changed, 0)
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.in.leave()
	s.out.close()
	return nil
}

// The other methods implement net.Conn.

func (s *stream) LocalAddr() net.Addr                { return s.out.from }
func (s *stream) RemoteAddr() net.Addr               { return s.out.to }
func (s *stream) SetReadDeadline(t time.Time) error  { s.read.set(t); return nil }
func (s *stream) SetWriteDeadline(t time.Time) error { s.write.set(t); return nil }
func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// listener takes TCP connections at an address of the network.
type listener struct {
	net     *network
	addr    *net.TCPAddr
	waiting chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func (n *network) listen(addr *net.UDPAddr) *listener {
	l := &listener{net: n, addr: &net.TCPAddr{IP: addr.IP, Port: addr.Port}, waiting: make(chan net.Conn, backlogTCP), closed: make(chan struct{})}
	n.mu.Lock()
	n.listeners[l.addr.String()] = l
	n.mu.Unlock()
	return l
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.waiting:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		if l.net.listeners[l.addr.String()] == l {
			delete(l.net.listeners, l.addr.String())
		}
		l.net.mu.Unlock()
		close(l.closed)
		for { // who was not accepted is sent away
			select {
			case c := <-l.waiting:
				_ = c.Close()
			default:
				return
			}
		}
	})
	return nil
}

// dialTCP connects a process's host, as the owner of its UDP socket, with a
// listener: a round trip after which both sides have a connection.
func (n *network) dialTCP(ctx context.Context, socket net.Addr, at netip.AddrPort) (net.Conn, error) {
	udp := socket.(*net.UDPAddr)
	from, to := &net.TCPAddr{IP: udp.IP, Port: udp.Port}, net.TCPAddrFromAddrPort(at)
	n.mu.Lock()
	if other, ok := n.met(from, to).(*net.UDPAddr); ok {
		to = &net.TCPAddr{IP: other.IP, Port: other.Port}
	}
	n.mu.Unlock()
	for wait := 2 * n.latency(); ; wait = streamRetry {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if n.passesTCP(from, to) && n.passesTCP(to, from) {
			break
		}
	}
	n.mu.Lock()
	l := n.listeners[to.String()]
	n.mu.Unlock()
	if l == nil {
		return nil, errRefused
	}
	up := &half{net: n, from: from, to: to, changed: make(chan struct{})}
	down := &half{net: n, from: to, to: from, changed: make(chan struct{})}
	select {
	case l.waiting <- &stream{in: up, out: down, read: newDeadline(), write: newDeadline()}:
	default:
		return nil, errRefused
	}
	n.mu.Lock()
	n.tcps++
	n.mu.Unlock()
	return &stream{in: down, out: up, read: newDeadline(), write: newDeadline()}, nil
}

// passesTCP reports whether segments go from one host to the other, and their
// acks back.
func (n *network) passesTCP(from, to *net.TCPAddr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range []*net.TCPAddr{from, to} {
		host := a.IP.String()
		if n.ended[a.String()] || n.dark[host] || n.deaf[host] {
			return false
		}
	}
	return true
}

func (n *network) hasEnded(a *net.TCPAddr) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ended[a.String()]
}
