package carrier

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

// Times of a TCP connection.
const (
	// pingAfter is how long what was sent may go without any answer before a
	// ping asks for one, and the pause between pings that get none.
	pingAfter = 500 * time.Millisecond
	// closeTimeout bounds what an end waits for: that the reason goes out, and
	// that the other side has read it.
	closeTimeout = time.Second
)

var (
	// ErrNoALPN says that the other side speaks TLS, but not the protocol.
	ErrNoALPN = errors.New("the other side does not speak " + wire.ALPNTCP)
	// ErrSilent says that nothing came for longer than a connection may be
	// silent.
	ErrSilent = errors.New("the other side is silent")
)

// TCPConfig is how long a side is patient.
type TCPConfig struct {
	// KeepAlive is after how long without a word a ping is sent; 0 leaves that
	// to the other side.
	KeepAlive time.Duration
	// Idle is after how long without a word the connection is over.
	Idle time.Duration
}

// DialTCP makes a connection over TLS on raw, as a client, and takes raw over:
// it is closed if there is an error. conf's ALPN is set here.
func DialTCP(ctx context.Context, raw net.Conn, conf *tls.Config, cfg TCPConfig) (Conn, error) {
	conf = conf.Clone()
	conf.NextProtos = []string{wire.ALPNTCP}
	return shake(ctx, raw, tls.Client(raw, conf), cfg, true)
}

// AcceptTCP is DialTCP for the server's side.
func AcceptTCP(ctx context.Context, raw net.Conn, conf *tls.Config, cfg TCPConfig) (Conn, error) {
	conf = conf.Clone()
	conf.NextProtos = []string{wire.ALPNTCP}
	return shake(ctx, raw, tls.Server(raw, conf), cfg, false)
}

func shake(ctx context.Context, raw net.Conn, secure *tls.Conn, cfg TCPConfig, client bool) (Conn, error) {
	err := secure.HandshakeContext(ctx)
	if err == nil && secure.ConnectionState().NegotiatedProtocol != wire.ALPNTCP {
		err = ErrNoALPN
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return newTCP(raw, secure, cfg, client), nil
}

// tcpConn carries three streams over one TLS connection. Three goroutines know
// of it: read takes records apart, write makes them, and a timer asks for signs
// of life. A stream's user waits for read or write, never for the socket.
type tcpConn struct {
	raw     net.Conn // under secure
	secure  *tls.Conn
	cfg     TCPConfig
	started time.Time
	ctx     context.Context
	end     context.CancelCauseFunc
	gone    chan struct{}
	ended   chan struct{}   // read has returned
	wake    chan struct{}   // to write: look again
	control chan Stream     // what the gateway opened
	lanes   chan *tcpStream // likewise

	mu      sync.Mutex
	streams [streams]*tcpStream // nil for streamConn
	pings   pings
	due     []notice // pongs; one a ping that came, and the other side waits for each
	closing *CloseError
}

// maxDue bounds the pongs that wait to be written: who pings on without
// reading breaks the protocol.
const maxDue = 16

func newTCP(raw net.Conn, secure *tls.Conn, cfg TCPConfig, client bool) *tcpConn {
	ctx, end := context.WithCancelCause(context.Background())
	c := &tcpConn{
		raw: raw, secure: secure, cfg: cfg, started: time.Now(), ctx: ctx, end: end,
		gone: make(chan struct{}), ended: make(chan struct{}), wake: make(chan struct{}, 1),
		control: make(chan Stream, 1), lanes: make(chan *tcpStream, streams),
	}
	for i := streamControl; i < streams; i++ {
		s := &tcpStream{conn: c, readable: make(chan struct{}, 1), writable: make(chan struct{}, 1)}
		if i == streamControl || !client {
			s.granted = window // nothing comes to a gateway on a lane
		}
		if i == streamControl || client {
			s.allowed = window
		}
		c.streams[i] = s
	}
	c.pings.begin(c, client)
	go c.read()
	go c.write()
	return c
}

func (c *tcpConn) OpenControl(context.Context) (Stream, error) {
	return c.streams[streamControl], c.err()
}

func (c *tcpConn) OpenLane(_ context.Context, lane wire.Lane) (io.Writer, error) {
	return c.streams[laneStream(lane)], c.err()
}

func (c *tcpConn) AcceptControl(ctx context.Context) (Stream, error) {
	return accept(ctx, c, c.control)
}

func (c *tcpConn) AcceptLane(ctx context.Context) (io.Reader, error) {
	return accept(ctx, c, c.lanes)
}

func accept[S any](ctx context.Context, c *tcpConn, from <-chan S) (s S, err error) {
	select {
	case s = <-from:
		return s, nil
	case <-ctx.Done():
		return s, context.Cause(ctx)
	case <-c.ctx.Done():
		return s, c.err()
	}
}

// err is why the connection ended; nil while it has not.
func (c *tcpConn) err() error { return context.Cause(c.ctx) }

// Close has what a stream's user wrote go out no more: only the reason does.
func (c *tcpConn) Close(code wire.CloseCode, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	c.closing = &CloseError{Code: code, Text: text}
	c.end(c.closing)
	_ = c.raw.SetWriteDeadline(time.Now().Add(closeTimeout)) // frees a write that waits
}

// fail ends the connection without a word to the other side.
func (c *tcpConn) fail(err error) {
	c.end(err)
	c.raw.Close()
}

func (c *tcpConn) Context() context.Context { return c.ctx }
func (c *tcpConn) Gone() <-chan struct{}    { return c.gone }
func (c *tcpConn) RemoteAddr() net.Addr     { return c.raw.RemoteAddr() }
func (c *tcpConn) Network() string          { return "tcp" }

func (c *tcpConn) PeerCertificate() *x509.Certificate {
	certs := c.secure.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return nil
	}
	return certs[0]
}

func (c *tcpConn) Path() Path {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pings.path(time.Now())
}

// read takes records until the connection ends.
func (c *tcpConn) read() {
	defer close(c.ended)
	var payload []byte
	for {
		stream, b, err := readRecord(c.secure, payload)
		payload = b
		if err == nil {
			err = c.take(stream, b)
		}
		switch {
		case c.closingNow():
			// What comes is thrown away: unread, it would have the kernel reset
			// the connection before the reason arrives.
			_, _ = io.Copy(io.Discard, c.secure)
			return
		case errors.Is(err, errRecord):
			c.Close(wire.CloseProtocol, err.Error())
		case err != nil:
			c.fail(err)
			return
		}
	}
}

func (c *tcpConn) closingNow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing != nil
}

// readRecord reads one record; its payload is in buf if that is large enough.
func readRecord(r io.Reader, buf []byte) (stream int, payload []byte, err error) {
	var head [recordHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, buf, fmt.Errorf("carrier: read: %w", err)
	}
	stream, size, err := parseHead(head)
	if err != nil {
		return 0, buf, err
	}
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	if _, err := io.ReadFull(r, buf[:size]); err != nil {
		return 0, buf, fmt.Errorf("carrier: read: %w", err)
	}
	return stream, buf[:size], nil
}

// take puts a record where it belongs.
func (c *tcpConn) take(stream int, b []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pings.heard(time.Now())
	if stream == streamConn {
		n, err := parseNotice(b)
		if err != nil {
			return err
		}
		return c.notice(n)
	}
	s := c.streams[stream]
	first := s.received == 0
	if err := s.takeLocked(b); err != nil {
		return err
	}
	switch {
	case first && stream == streamControl:
		c.control <- s
	case first:
		c.lanes <- s
	}
	return nil
}

func (c *tcpConn) notice(n notice) error {
	switch n.op {
	case opClose:
		return &CloseError{Code: n.code, Text: n.text, Remote: true}
	case opPing:
		if len(c.due) == maxDue {
			return fmt.Errorf("%w: %d pings at a time", errRecord, maxDue+1)
		}
		c.due = append(c.due, notice{op: opPong, number: n.number})
		c.look()
	case opPong:
		c.pings.answered(time.Since(c.started) - time.Duration(n.number))
	case opWindow:
		s := c.streams[n.stream]
		s.allowed = max(s.allowed, n.number)
		c.look()
	}
	return nil
}

// look has write look for something to send.
func (c *tcpConn) look() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write sends records until the connection ends, and then the reason.
func (c *tcpConn) write() {
	defer close(c.gone)
	defer func() { <-c.ended }()
	defer c.raw.Close()
	var buf []byte
	for c.ctx.Err() == nil {
		buf = c.records(buf[:0])
		if len(buf) == 0 {
			select {
			case <-c.wake:
			case <-c.ctx.Done():
			}
			continue
		}
		if _, err := c.secure.Write(buf); err != nil && c.ctx.Err() == nil {
			// What the other side said last says more than that it is gone.
			_ = c.raw.SetReadDeadline(time.Now().Add(closeTimeout))
			<-c.ended
			c.fail(fmt.Errorf("carrier: write: %w", err))
		}
	}
	c.pings.stop()
	if !c.closingNow() {
		return
	}
	bye := notice{op: opClose, code: c.closing.Code, text: c.closing.Text}
	if _, err := c.secure.Write(bye.append(nil)); err != nil || c.secure.CloseWrite() != nil {
		return
	}
	_ = c.raw.SetReadDeadline(time.Now().Add(closeTimeout)) // else the close below frees read
	<-c.ended
}

// records appends what is to be sent next: what the connection has to say, and
// a record of the most urgent stream that has one.
func (c *tcpConn) records(dst []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.due {
		dst = n.append(dst)
	}
	c.due = c.due[:0]
	if c.pings.take() {
		dst = notice{op: opPing, number: uint64(time.Since(c.started))}.append(dst)
	}
	for i, s := range c.streams {
		if s != nil && s.windowDue() {
			s.granted = s.consumed + window
			dst = notice{op: opWindow, stream: i, number: s.granted}.append(dst)
		}
	}
	for i, s := range c.streams {
		if s == nil {
			continue
		}
		if b := s.nextLocked(maxRecord); len(b) > 0 {
			c.pings.spoke()
			return append(appendHead(dst, i, len(b)), b...)
		}
	}
	return dst
}
