// Package carrier is one connection between a gateway and a gate, whatever
// carries it: its control stream, its lanes, the code that ends it, and how
// its path is. Gateways dial and gates accept; what travels is theirs to know
// (shared/wire/PROTOCOL.md), and this package never looks into it.
//
// A message is written to a stream, goes out by the stream's urgency, and is
// read from the stream of the same name on the other side.
package carrier

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/atrium-iot/atrium/shared/wire"
)

// Conn is one connection. Its methods may be called from any goroutine.
type Conn interface {
	// OpenControl opens the control stream, and OpenLane a lane: the gateway's
	// side. The other side learns of it with the first byte.
	OpenControl(ctx context.Context) (Stream, error)
	OpenLane(ctx context.Context, lane wire.Lane) (io.Writer, error)
	// AcceptControl and AcceptLane wait for what the gateway opens.
	AcceptControl(ctx context.Context) (Stream, error)
	AcceptLane(ctx context.Context) (io.Reader, error)

	// Close ends the connection and tells the other side why. Only the first
	// call counts.
	Close(code wire.CloseCode, text string)
	// Context ends with the connection; its cause is a *CloseError if a side
	// closed it.
	Context() context.Context

	// Gone is closed when nothing is left of a connection that has ended:
	// neither a goroutine nor its socket. Over TCP that is up to a second after
	// Close.
	Gone() <-chan struct{}

	// Path is how the connection's path is.
	Path() Path
	RemoteAddr() net.Addr
	// PeerCertificate is the other side's, verified; nil if it showed none.
	PeerCertificate() *x509.Certificate
	// Network is "udp" or "tcp", for people and metrics.
	Network() string
}

// Stream is a stream of bytes each way. Reads and writes may go on side by
// side, but only one of each at a time.
type Stream interface {
	io.ReadWriter
	// A deadline holds for the reads or writes that begin later; the zero time
	// is none. One that has passed makes them fail with os.ErrDeadlineExceeded.
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Path is what is known of a connection's path.
type Path struct {
	RTT    time.Duration // smoothed round trip; 0 before the first
	MinRTT time.Duration // the shortest seen
	Latest time.Duration // of the last packet that was answered; 0 if the carrier does not know
	// Quiet is for how long the other side has owed an answer: packets went
	// out that a living one answers, and nothing at all came since.
	Quiet time.Duration
}

// ErrReset says that the other side gave a stream up before its end.
var ErrReset = errors.New("the stream was reset")

// CloseError is the end of a connection that a side closed.
type CloseError struct {
	Code   wire.CloseCode
	Text   string
	Remote bool // the other side closed it
}

func (e *CloseError) Error() string {
	by := "closed here"
	if e.Remote {
		by = "closed by the other side"
	}
	if e.Text == "" {
		return fmt.Sprintf("%s: %s", by, e.Code)
	}
	return fmt.Sprintf("%s: %s: %s", by, e.Code, e.Text)
}
