// Package gate is where gateways' connections arrive: it knows who a gateway
// is by its certificate, checks every message to its last bit, hands it to the
// journal, and acks it once it is durable (I2). It does not know what a frame
// means for a twin, does not look for duplicates, and keeps nothing when a
// connection ends: a gateway sends again what was not acked.
//
// The way of a frame: a carrier's stream -> wire.Reader -> session (pure: may it be
// journaled?) -> Appender -> done -> session (is everything before it durable
// too?) -> outbox -> ack on the control stream. Results of commands go the same
// way; a command comes from Gate.Command and leaves through the outbox.
//
// Goroutines: Serve and ServeTCP accept; each connection has one that reads
// control, one a lane, and one that writes while there is something to say.
package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Config is what a gate is told.
type Config struct {
	Cluster string // the cluster's id, for welcome
	Node    string // this node's name, for welcome
	// TLS is the server's side: identity.CA.ServerTLS.
	TLS *tls.Config
	// Identify names the gateway of a certificate that TLS has verified, or says
	// why it names none: identity.CA.GatewayOf.
	Identify func(*x509.Certificate) (id.Gateway, error)
	// MaxConnections is the most that are served at once; 0 means
	// DefaultMaxConnections.
	MaxConnections int
	// MaxHandshakes is how many handshakes a second may begin; 0 means
	// DefaultMaxHandshakes.
	MaxHandshakes float64
	// Nodes are the addresses of the cluster's gates, HOST:PORT, that gateways
	// are told of: at most wire.MaxNodes.
	Nodes func() []string
	// Owner says whether a site is better served by another gate, and by which.
	// Nil: none is.
	Owner func(id.Site) (address string, here bool)
	// Route says where the records of a site are appended, and Passed whether the
	// owner of a shard has forwarded, or applied, all of a site up to a message
	// of its log. Nil: sites stay in the shard that Catalog.Assign names.
	Route  func(id.Site) (Route, bool)
	Passed func(ctx context.Context, shard int, site id.Site, seq uint64) (bool, error)
}

// Appender is the way into the journal: journal.Coalescer.
type Appender interface {
	// Append queues a copy of a record for a shard. Records of one key reach the
	// log in the order of the calls. done is called once, from any goroutine,
	// after the record is durable, or with the error because of which that is
	// not known; it does not block. journal.ErrBusy means that nothing was
	// queued: try again later.
	Append(shard int, key string, rec journal.Record, done func(seq uint64, err error)) error
	// LagOf is how far the queue of a shard is behind for a site, in bytes: next
	// to nothing for one that sends less than others do.
	LagOf(shard int, site id.Site) int64
}

// Catalog says which shard holds a site.
type Catalog interface {
	// Assign returns a site's shard, and chooses one for a site that has none.
	Assign(ctx context.Context, site id.Site) (shard int, err error)
}

// Gate serves gateways.
type Gate struct {
	cfg      Config
	versions wire.Versions
	catalog  Catalog
	appender Appender
	claims   *claims
	log      *slog.Logger
	metrics  *metrics
	quiet    limiter // of the log of failed handshakes
	turned   limiter // of the log of connections beyond the limit

	scratches scratches
	spare     wire.Spare // of the readers
	admission admission
	restraint restraint
	alive     atomic.Int64 // connections, handshakes included

	mu      sync.Mutex // guards the fields below
	open    int
	current map[id.Gateway]*conn // the latest connection of each gateway
}

// New makes a gate.
func New(cfg Config, catalog Catalog, appender Appender, log *slog.Logger, reg prometheus.Registerer) *Gate {
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = DefaultMaxConnections
	}
	if cfg.MaxHandshakes == 0 {
		cfg.MaxHandshakes = DefaultMaxHandshakes
	}
	return &Gate{
		cfg: cfg, catalog: catalog, appender: appender, log: log,
		versions:  wire.Spoken(),
		admission: admission{bucket: bucket{rate: cfg.MaxHandshakes}},
		claims:    newClaims(claimed),
		metrics:   newMetrics(reg),
		current:   make(map[id.Gateway]*conn),
	}
}

// Serve accepts connections on a transport until ctx ends. It then closes all
// of them with the code shutdown, waits for their goroutines and returns nil.
// The transport stays the caller's, but for the two hooks with which the gate
// watches and bounds handshakes.
func (g *Gate) Serve(ctx context.Context, transport *quic.Transport) error {
	transport.ConnContext = g.watchHandshake
	transport.VerifySourceAddress = func(net.Addr) bool { return g.handshakes() >= maxUnproven }
	ln, err := transport.Listen(g.cfg.TLS, quicConfig())
	if err != nil {
		return fmt.Errorf("gate: listen: %w", err)
	}
	defer ln.Close()
	var conns sync.WaitGroup
	defer conns.Wait()
	// QUIC's queue of accepted connections is short: nothing else is done here.
	for {
		qc, err := ln.Accept(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("gate: accept: %w", err)
		}
		conns.Go(func() { g.serve(ctx, carrier.OverQUIC(qc)) })
	}
}

// limiter allows one log line a second: neither strangers nor gateways that
// try again and again must fill the log. The metrics count them all.
type limiter struct{ last atomic.Int64 }

func (l *limiter) allow(now time.Time) bool {
	last := l.last.Load()
	return now.Unix() > last && l.last.CompareAndSwap(last, now.Unix())
}

func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout:           handshakeTimeout,
		MaxIdleTimeout:                 idleTimeout,
		InitialStreamReceiveWindow:     receiveWindow,
		MaxStreamReceiveWindow:         maxReceiveWindow,
		InitialConnectionReceiveWindow: receiveWindow,
		MaxConnectionReceiveWindow:     (laneStreams + 1) * maxReceiveWindow,
		MaxIncomingStreams:             1,
		MaxIncomingUniStreams:          laneStreams,
		RequireStreamCreditRelease:     true, // so many in a connection's life
	}
}

// serve is a connection's life.
func (g *Gate) serve(ctx context.Context, over carrier.Conn) {
	gw, err := g.identify(over)
	if err != nil {
		g.log.Warn("connection refused", "remote", over.RemoteAddr().String(), "reason", err)
		g.refuse(over, wire.CloseIdentity, err.Error())
		return
	}
	if why := g.enter(); why != "" {
		if g.turned.allow(time.Now()) {
			g.log.Warn("a gateway is told to come later", "gateway", gw.String(), "reason", why)
		}
		g.putOff(ctx, over, why)
		return
	}
	defer g.leave()
	c := newConn(g, gw, over)
	err = c.run(ctx)
	g.forget(c)
	close(c.ended)
	g.logEnd(c, err)
}

func (g *Gate) identify(over carrier.Conn) (id.Gateway, error) {
	cert := over.PeerCertificate()
	if cert == nil {
		return id.Gateway{}, errors.New("no certificate")
	}
	return g.cfg.Identify(cert)
}

func (g *Gate) refuse(over carrier.Conn, code wire.CloseCode, text string) {
	g.metrics.closes[code].Inc()
	over.Close(code, text)
}

// enter counts a connection in, or says why it is put off.
func (g *Gate) enter() (why string) {
	if why := g.restraint.get().Later; why != "" {
		return why
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == g.cfg.MaxConnections {
		return fmt.Sprintf("this node serves %d connections, its limit", g.cfg.MaxConnections)
	}
	g.open++
	g.metrics.connections.Inc()
	g.metrics.accepted.Inc()
	return ""
}

func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open--
	g.metrics.connections.Dec()
}

// supersede makes c its gateway's connection and ends the one before. It
// returns when the older one appends no more: what that appended is ahead of
// c's hello, as a gateway's records keep their order. It waits even if c is
// superseded meanwhile: a third connection waits for c alone, and must not
// overtake the first.
func (g *Gate) supersede(c *conn) {
	g.mu.Lock()
	older := g.current[c.gateway]
	g.current[c.gateway] = c
	g.mu.Unlock()
	if older == nil {
		return
	}
	older.end(closef(wire.CloseSuperseded, "the gateway has connected again, from %s", c.over.RemoteAddr()))
	<-older.ended // soon: it is closed, and whatever it waits for ends with it
}

func (g *Gate) forget(c *conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current[c.gateway] == c {
		delete(g.current, c.gateway)
	}
}

// logEnd counts and logs why a connection ended.
func (g *Gate) logEnd(c *conn, err error) {
	log := g.log.With("gateway", c.gateway.String(), "remote", c.over.RemoteAddr().String())
	var ours *closing
	var theirs *carrier.CloseError
	switch {
	case errors.As(err, &ours):
		g.metrics.closes[ours.code].Inc()
		log.Info("connection closed", "code", ours.code.String(), "reason", ours.text)
	case errors.As(err, &theirs):
		if counter, ok := g.metrics.closes[theirs.Code]; ok {
			counter.Inc()
		}
		log.Info("gateway closed the connection", "code", theirs.Code.String(), "reason", theirs.Text)
	default:
		g.metrics.lost.Inc()
		log.Info("connection lost", "reason", err)
	}
}
