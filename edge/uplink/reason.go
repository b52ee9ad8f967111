package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"net"

	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Ends of a connection that this side decides.
var (
	// errUnreachable: nobody answers a dial.
	errUnreachable = errors.New("no answer")
	// errDead: the path is silent with data outstanding.
	errDead = errors.New("no packet came while frames were unacked")
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
}

// TLS alerts (RFC 8446, 6), which QUIC carries as 0x100 + alert (RFC 9001, 4.8).
const (
	cryptoError           = 0x100
	alertCertExpired      = 45
	alertNoApplicationALP = 120
)

// judge names the end of a connection.
func judge(err error) verdict {
	var closed *carrier.CloseError
	if errors.As(err, &closed) && closed.Remote {
		return judgeClose(closed.Code)
	}
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		return verdict{"certificate", slow, "the gate's certificate is not one of this gateway's cluster; check ca.crt, the address and the clock"}
	}
	var transport *quic.TransportError
	if errors.As(err, &transport) && transport.ErrorCode.IsCryptoError() {
		switch transport.ErrorCode - cryptoError {
		case alertNoApplicationALP:
			return verdict{"alpn", slow, "the other side does not speak " + wire.ALPN + "; check the address and port"}
		case alertCertExpired:
			return verdict{"certificate", slow, "a certificate has expired; issue a new one, or check the clock"}
		}
		return verdict{"certificate", slow, "the gate refuses this gateway's certificate; was it issued by the gate's cluster?"}
	}
	var idle *quic.IdleTimeoutError
	var handshake *quic.HandshakeTimeoutError
	var reset *quic.StatelessResetError
	var resolve *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
		return verdict{reason: "bye"}
	case errors.Is(err, errStalled), errors.Is(err, errNoWelcome):
		return verdict{reason: "stalled"}
	case errors.Is(err, errRefused), errors.Is(err, errProtocol):
		return verdict{"protocol", slow, "gateway and gate disagree; are they of matching releases?"}
	case errors.Is(err, errUnreachable), errors.As(err, &handshake), errors.Is(err, context.DeadlineExceeded):
		return verdict{reason: "unreachable"}
	case errors.Is(err, errDead), errors.As(err, &idle):
		return verdict{reason: "silent"}
	case errors.As(err, &resolve):
		return verdict{reason: "address"}
	case errors.As(err, &reset):
		return verdict{reason: "reset"}
	}
	return verdict{reason: "error"}
}

// judgeClose names a close code of the gate (PROTOCOL.md, Reasons).
func judgeClose(code wire.CloseCode) verdict {
	v := verdict{reason: code.String()}
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
		v.pace, v.hint = slow, "another gateway uses the same certificate"
	case wire.CloseBye, wire.CloseBusy, wire.CloseShutdown, wire.CloseInternal:
	default:
		v.reason = "unknown"
	}
	return v
}
