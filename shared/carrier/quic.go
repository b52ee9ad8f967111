package carrier

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/shared/wire"
)

// Urgencies of RFC 9218, lower first: the control stream goes before live
// frames, and these before the backlog, when there is a choice.
const (
	urgencyControl = 0
	urgencyLive    = 1
	urgencyBacklog = 5
)

// askingPackets without an answer are a question: one may be no more than
// QUIC's answer to the last packet heard, and a question is repeated.
const askingPackets = 2

// OverQUIC returns a QUIC connection (RFC 9000) as a Conn.
func OverQUIC(conn *quic.Conn) Conn {
	ctx, end := context.WithCancelCause(context.Background())
	context.AfterFunc(conn.Context(), func() { end(closeError(context.Cause(conn.Context()))) })
	return &quicConn{conn: conn, ctx: ctx}
}

type quicConn struct {
	conn *quic.Conn
	ctx  context.Context // of conn, with our own word for its end

	mu      sync.Mutex
	silence silence
}

func (c *quicConn) OpenControl(ctx context.Context) (Stream, error) {
	s, err := c.conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, closeError(err)
	}
	s.SetPriority(urgencyControl, false)
	return quicStream{s}, nil
}

func (c *quicConn) OpenLane(ctx context.Context, lane wire.Lane) (io.Writer, error) {
	s, err := c.conn.OpenUniStreamSync(ctx)
	if err != nil {
		return nil, closeError(err)
	}
	urgency := int8(urgencyLive)
	if lane == wire.LaneBacklog {
		urgency = urgencyBacklog
	}
	s.SetPriority(urgency, false)
	return quicWriter{s}, nil
}

func (c *quicConn) AcceptControl(ctx context.Context) (Stream, error) {
	s, err := c.conn.AcceptStream(ctx)
	if err != nil {
		return nil, closeError(err)
	}
	return quicStream{s}, nil
}

func (c *quicConn) AcceptLane(ctx context.Context) (io.Reader, error) {
	s, err := c.conn.AcceptUniStream(ctx)
	if err != nil {
		return nil, closeError(err)
	}
	return quicReader{s}, nil
}

func (c *quicConn) Close(code wire.CloseCode, text string) {
	// The error says that the connection is closed already.
	_ = c.conn.CloseWithError(quic.ApplicationErrorCode(code), text)
}

func (c *quicConn) Context() context.Context { return c.ctx }
func (c *quicConn) Gone() <-chan struct{}    { return c.ctx.Done() }
func (c *quicConn) RemoteAddr() net.Addr     { return c.conn.RemoteAddr() }
func (c *quicConn) Network() string          { return "udp" }

func (c *quicConn) PeerCertificate() *x509.Certificate {
	certs := c.conn.ConnectionState().TLS.PeerCertificates
	if len(certs) == 0 {
		return nil
	}
	return certs[0]
}

// Path looks at QUIC's counters: Quiet is as exact as the calls are frequent.
func (c *quicConn) Path() Path {
	s := c.conn.ConnectionStats()
	c.mu.Lock()
	defer c.mu.Unlock()
	return Path{RTT: s.SmoothedRTT, MinRTT: s.MinRTT, Latest: s.LatestRTT, Quiet: c.silence.lasts(time.Now(), s.PacketsSent, s.PacketsReceived)}
}

// silence notices packets that get no answer. Silence alone says nothing:
// between the packet that carried a frame and the gate's ack none need travel.
type silence struct {
	received, sent uint64    // packets, when one was last heard
	asked          time.Time // when an answer was due since then; zero if none is
}

// lasts returns for how long an answer has been due, given the packets counted
// so far.
func (s *silence) lasts(now time.Time, sent, received uint64) time.Duration {
	switch {
	case received != s.received:
		*s = silence{received: received, sent: sent}
	case s.asked.IsZero() && sent >= s.sent+askingPackets:
		s.asked = now
	}
	if s.asked.IsZero() {
		return 0
	}
	return now.Sub(s.asked)
}

// closeError is err in this package's words where it has some.
func closeError(err error) error {
	var app *quic.ApplicationError
	var stream *quic.StreamError
	switch {
	case errors.As(err, &app):
		return &CloseError{Code: wire.CloseCode(app.ErrorCode), Text: app.ErrorMessage, Remote: app.Remote}
	case errors.As(err, &stream) && stream.Remote:
		return fmt.Errorf("%w: %w", ErrReset, err)
	}
	return err
}

type quicStream struct{ *quic.Stream }

func (s quicStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	return n, closeError(err)
}

func (s quicStream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, closeError(err)
}

type quicWriter struct{ s *quic.SendStream }

func (w quicWriter) Write(p []byte) (int, error) {
	n, err := w.s.Write(p)
	return n, closeError(err)
}

type quicReader struct{ s *quic.ReceiveStream }

func (r quicReader) Read(p []byte) (int, error) {
	n, err := r.s.Read(p)
	return n, closeError(err)
}
