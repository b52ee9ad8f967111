package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/carrier"
)

// ServeTCP is Serve for gateways that UDP does not reach: it accepts TLS on a
// listener, which it closes, until ctx ends.
func (g *Gate) ServeTCP(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		raw, err := ln.Accept()
		switch {
		case err == nil && g.admitHandshake():
			g.alive.Add(1)
			conns.Go(func() {
				defer g.alive.Add(-1)
				g.shake(ctx, raw)
			})
		case err == nil:
			raw.Close()
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("gate: accept: %w", err)
		default: // no file descriptors, for one: others end, and QUIC needs none
			if g.turned.allow(time.Now()) {
				g.log.Warn("a TCP connection was not accepted", "reason", err)
			}
			select {
			case <-time.After(acceptRetry):
			case <-ctx.Done():
			}
		}
	}
}

// shake is the life of a TCP connection.
func (g *Gate) shake(ctx context.Context, raw net.Conn) {
	shaking, cancel := context.WithTimeout(ctx, handshakeTimeout)
	over, err := carrier.AcceptTCP(shaking, raw, g.cfg.TLS, carrier.TCPConfig{Idle: idleTimeout})
	cancel()
	var netErr *net.OpError
	switch {
	case err == nil:
		g.serve(ctx, over)
		<-over.Gone()
	case isTLS(err) || errors.As(err, &netErr) && netErr.Op == "remote error":
		g.handshakeFailed(raw.RemoteAddr().String(), err)
	}
}

// isTLS says whether a handshake failed by what the gateway showed: not by a
// connection that was lost, and not by what is not TLS at all.
func isTLS(err error) bool {
	var unverified *tls.CertificateVerificationError
	var alert tls.AlertError
	return errors.As(err, &unverified) || errors.As(err, &alert)
}
