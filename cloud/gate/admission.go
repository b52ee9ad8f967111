package gate

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/wire"
)

// admission decides which handshakes begin: so many a second, and so many at a
// time. What it refuses costs one packet, and the gateway comes back after its
// own backoff, which is jittered.
type admission struct {
	mu     sync.Mutex
	bucket bucket
}

// bucket is a token bucket: rate tokens a second, at most a second's worth of
// them.
type bucket struct {
	rate, tokens float64
	last         time.Time // zero: it is full
}

// take takes a token if there is one.
func (b *bucket) take(now time.Time) bool {
	if b.last.IsZero() {
		b.tokens = b.rate
	} else {
		b.tokens = min(b.tokens+b.rate*now.Sub(b.last).Seconds(), b.rate)
	}
	b.last = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

var errHandshakes = errors.New("too many handshakes")

// admitHandshake says whether a handshake may begin now.
func (g *Gate) admitHandshake() bool {
	if g.handshakes() >= maxHandshakes {
		g.metrics.turnedAway.atATime.Inc()
		return false
	}
	g.admission.mu.Lock()
	defer g.admission.mu.Unlock()
	if !g.admission.bucket.take(time.Now()) {
		g.metrics.turnedAway.aSecond.Inc()
		return false
	}
	return true
}

// handshakes is how many connections are not served: not yet, or not any more.
func (g *Gate) handshakes() int64 { return g.alive.Load() - int64(g.Connections()) }

// watchHandshake admits a QUIC handshake, and logs why one failed, which Accept
// never says: another cluster's certificate, an expired one, a wrong ALPN. It
// is called for each connection before QUIC makes anything for it.
func (g *Gate) watchHandshake(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	if !g.admitHandshake() {
		return nil, errHandshakes
	}
	g.alive.Add(1)
	context.AfterFunc(ctx, func() {
		g.alive.Add(-1)
		err := context.Cause(ctx)
		var transport *quic.TransportError
		if errors.As(err, &transport) && transport.ErrorCode.IsCryptoError() {
			g.handshakeFailed(info.RemoteAddr.String(), err)
		}
	})
	return ctx, nil
}

func (g *Gate) handshakeFailed(remote string, err error) {
	g.metrics.handshakes.Inc()
	if g.quiet.allow(time.Now()) {
		g.log.Warn("handshake failed", "remote", remote, "reason", err)
	}
}

// putOff tells a gateway to come later, and why. It counts as a handshake meanwhile, so
// that refusals are bounded as these are.
func (g *Gate) putOff(ctx context.Context, over carrier.Conn, why string) {
	g.metrics.putOff.Inc()
	ctx, cancel := context.WithTimeout(ctx, putOffTimeout)
	defer cancel()
	defer g.refuse(over, wire.CloseBusy, why+": try another or later") // no effect if the gateway has closed it
	control, err := over.AcceptControl(ctx)
	if err != nil {
		return
	}
	later := wire.Later{Pause: uint64(putOffPause.Milliseconds())}
	if _, err := control.Write(wire.AppendItem(nil, later.Append(nil))); err != nil {
		return
	}
	select { // QUIC throws away what is not yet sent when a connection is closed
	case <-over.Context().Done():
	case <-ctx.Done():
	}
}
