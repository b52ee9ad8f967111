package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Ends of a connection that this side decides.
var (
	// errUnreachable: nobody answers a dial.
	errUnreachable = errors.New("no answer")
	// errSilent: nothing comes; another connection is tried beside this one.
	errSilent = errors.New("no packet came while frames were unacked")
	// errStalled: the path is alive, but no ack comes.
	errStalled = errors.New("no ack came for a frame")
	// errRefused: the gate rejects what it asked for, again and again.
	errRefused = errors.New("the gate keeps refusing a sequence")
	// errNoWelcome: the gate did not answer hello.
	errNoWelcome = errors.New("no welcome came")
	// errProtocol: the gate sent what it may not.
	errProtocol = errors.New("the gate broke the protocol")
)

// pace is how soon to dial after a connection ended.
type pace uint8

const (
	backoff pace = iota // the next window of the exponential backoff
	slow                // slowRetry: nothing changes without people
)

// verdict is the end of a connection as metrics, log and retry see it.
type verdict struct {
	reason string // a label: one of a fixed set
	pace   pace
	hint   string // for people, what to look at; may be empty

	final      bool // of a dial: another network would not do better
	moved      bool // the address is right, and the gate there knows no such connection
	superseded bool // by a connection with the same certificate
}

// laterError is a gate's later.
type laterError struct{ pause time.Duration }

func (e *laterError) Error() string { return fmt.Sprintf("the gate is busy for %v", e.pause) }

// parseLater reads a later as the end of its connection.
func parseLater(msg []byte) error {
	m, err := wire.ParseLater(msg)
	if err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	return &laterError{time.Duration(m.Pause) * time.Millisecond}
}

// TLS alerts (RFC 8446, 6), which QUIC carries as 0x100 + alert (RFC 9001, 4.8).
const (
	cryptoError           = 0x100
	alertCertExpired      = 45
	alertNoApplicationALP = 120
)

// Words for people about certificates.
const (
	hintUnverified = "the gate's certificate is not one of this gateway's cluster; check ca.crt, the address and the clock"
	hintRefused    = "the gate refuses this gateway's certificate; was it issued by the gate's cluster?"
	hintExpired    = "a certificate has expired; issue a new one, or check the clock"
)

// judge names the end of a connection or of a dial.
func judge(err error) verdict {
	var closed *carrier.CloseError
	if errors.As(err, &closed) && closed.Remote {
		return judgeClose(closed.Code)
	}
	if v, ok := judgeTLS(err); ok {
		return v
	}
	var transport *quic.TransportError
	var silence *quic.IdleTimeoutError
	var handshake *quic.HandshakeTimeoutError
	var reset *quic.StatelessResetError
	var resolve *net.DNSError
	var later *laterError
	switch {
	case errors.Is(err, context.Canceled):
		return verdict{reason: "bye"}
	case errors.As(err, &later):
		return verdict{reason: "later", final: true}
	case errors.As(err, &transport) && transport.ErrorCode == quic.ConnectionRefused:
		return verdict{reason: "turned-away", final: true}
	case errors.Is(err, errStalled), errors.Is(err, errNoWelcome):
		return verdict{reason: "stalled"}
	case errors.Is(err, errRefused), errors.Is(err, errProtocol):
		return verdict{reason: "protocol", pace: slow, hint: "gateway and gate disagree; are they of matching releases?"}
	case errors.As(err, &resolve):
		return verdict{reason: "address", final: true}
	case errors.Is(err, errUnreachable), errors.As(err, &handshake), errors.Is(err, context.DeadlineExceeded):
		return verdict{reason: "unreachable"}
	case errors.Is(err, carrier.ErrSilent), errors.As(err, &silence):
		return verdict{reason: "silent"}
	case errors.As(err, &reset):
		return verdict{reason: "reset", moved: true}
	}
	return verdict{reason: "error"}
}

// judgeTLS names what a handshake failed by, over QUIC or TCP.
func judgeTLS(err error) (v verdict, ok bool) {
	alpn := verdict{reason: "alpn", pace: slow, final: true, hint: "the other side does not speak " + wire.ALPN + "; check the address and port"}
	certificate := func(hint string) verdict {
		return verdict{reason: "certificate", pace: slow, final: true, hint: hint}
	}
	var unverified *tls.CertificateVerificationError
	var transport *quic.TransportError
	var alert *net.OpError
	switch {
	case errors.As(err, &unverified):
		return certificate(hintUnverified), true
	case errors.Is(err, carrier.ErrNoALPN):
		return alpn, true
	case errors.As(err, &transport) && transport.ErrorCode.IsCryptoError():
		switch transport.ErrorCode - cryptoError {
		case alertNoApplicationALP:
			return alpn, true
		case alertCertExpired:
			return certificate(hintExpired), true
		}
		return certificate(hintRefused), true
	case errors.As(err, &alert) && alert.Op == "remote error": // crypto/tls names no type for it
		switch alert.Err.Error() {
		case tls.AlertError(alertNoApplicationALP).Error():
			return alpn, true
		case tls.AlertError(alertCertExpired).Error():
			return certificate(hintExpired), true
		}
		return certificate(hintRefused), true
	}
	return verdict{}, false
}

// judgeClose names a close code of the gate (PROTOCOL.md, Reasons).
func judgeClose(code wire.CloseCode) verdict {
	v := verdict{reason: code.String(), final: true}
	switch code {
	case wire.CloseProtocol:
		v.pace, v.hint = slow, "gateway and gate disagree; are they of matching releases?"
	case wire.CloseVersion:
		v.pace, v.hint = slow, "update the gateway or the cloud"
	case wire.CloseIdentity:
		v.pace, v.hint = slow, "this gateway's certificate names no gateway of the gate's cluster; issue a new one"
	case wire.CloseForeignSite:
		v.pace, v.hint = slow, "edge.yaml names devices of another site than the certificate"
	case wire.CloseSuperseded:
		v.pace, v.superseded, v.hint = slow, true, "another gateway uses the same certificate"
	case wire.CloseBye, wire.CloseBusy, wire.CloseShutdown, wire.CloseInternal:
	default:
		v.reason = "unknown"
	}
	return v
}
