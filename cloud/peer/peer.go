// Package peer is HTTP among the nodes of a cluster. A request about a site that
// another node owns goes there and its answer comes back, so that whoever asks
// may ask any node. It does not decide who owns what: it is told (Config), and a
// node that is wrongly asked says so. It keeps nothing but open connections.
//
//	people --HTTP--> Handler -> this node's API
//	                    | other owner
//	                    '--mTLS, HTTP/2--> the owner's Serve -> its API
//
// A request is forwarded once: a node that another has asked answers or refuses.
package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

const (
	// dialTimeout bounds the way to a node's port: nodes are near each other, and
	// a node that is gone without a word must not hold up a page.
	dialTimeout = 2 * time.Second
	// handshakeTimeout bounds TLS: two round trips and a signature.
	handshakeTimeout = 3 * time.Second
	// answerTimeout bounds the wait for an answer's header: longer than an
	// intent may take to be durable, or a long history to be looked through.
	answerTimeout = 30 * time.Second
	// pingAfter and pingTimeout find a connection whose other end is gone
	// without a word: a stream that is silent for good is looked for elsewhere
	// in about the time in which the cluster takes the node for dead.
	pingAfter   = 2 * time.Second
	pingTimeout = 2 * time.Second
	// idleTimeout is how long a connection is kept between requests.
	idleTimeout = 2 * time.Minute
	// streamBytes bounds what is held of an answer that is taken slowly, as of a
	// live stream: enough for 100 MB/s between nodes a millisecond apart.
	streamBytes = 128 << 10
	// maxHeader bounds a header, in bytes: a browser's cookies come along.
	maxHeader = 64 << 10
)

// Owner is a node that owns a shard.
type Owner struct {
	Node    string
	Address string // HOST:PORT of its Serve
}

// Config is what a node knows of the others.
type Config struct {
	Node string // this one's name
	// TLS is this node's side of the connections among nodes, dialling and
	// accepting: identity.CA.RouteTLS. A node alone has none, and no Serve.
	TLS *tls.Config
	// Shards is how many the cluster has.
	Shards int
	// Shard returns the shard of a site; an error that is api.ErrNotFound: there
	// is no such site.
	Shard func(ctx context.Context, site id.Site) (int, error)
	// Owner says who owns a shard: by what this node has heard, or with fresh by
	// what is stored. An error: nobody owns it, or nobody can be asked.
	Owner func(ctx context.Context, shard int, fresh bool) (Owner, error)
	// Watch begins to watch some sites of a shard that this node owns, or all of
	// its sites if none is named.
	Watch func(ctx context.Context, shard int, sites []id.Site) (api.Events, error)
	// Moved counts the sites that have come to another shard, and returns a
	// channel that closes when there may be more. Nil: none ever does.
	Moved func() (uint64, <-chan struct{})
}

// Peer is a node's connection to the others. Its methods may be called from any
// goroutine.
type Peer struct {
	cfg       Config
	log       *slog.Logger
	metrics   *metrics
	transport *http.Transport
	shown     atomic.Int64 // shards' streams that other nodes follow here
}

// New makes a Peer; it connects when it is first needed. reg may be nil.
func New(cfg Config, log *slog.Logger, reg prometheus.Registerer) *Peer {
	p := &Peer{cfg: cfg, log: log}
	p.metrics = newMetrics(reg, func() float64 { return float64(p.shown.Load()) })
	p.transport = &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        cfg.TLS.Clone(),
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  answerTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // answers pass as they are
		Protocols:              onlyHTTP2(),
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout, MaxReceiveBufferPerStream: streamBytes},
	}
	return p
}

// Close lets go of the connections on which nothing is under way.
func (p *Peer) Close() { p.transport.CloseIdleConnections() }

// Serve answers other nodes on l, which it closes, until ctx ends, and then lets
// requests in flight finish. local is this node's API.
func (p *Peer) Serve(ctx context.Context, l net.Listener, local http.Handler) error {
	mux := http.NewServeMux()
	mux.Handle("/", p.answer(local))
	mux.Handle("GET "+watchPath, p.serveWatch(ctx))
	return ops.ServeWith(ctx, tls.NewListener(l, p.serverTLS()), &http.Server{
		Handler:        mux,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: maxHeader,
		Protocols:      onlyHTTP2(),
		HTTP2:          &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		ErrorLog:       p.complaints(),
	})
}

func (p *Peer) serverTLS() *tls.Config {
	cfg := p.cfg.TLS.Clone()
	cfg.NextProtos = []string{"h2"}
	return cfg
}

func onlyHTTP2() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	return protocols
}

// complaints takes what the HTTP library would say to nobody: of handshakes that
// failed, of answers that broke off. Anybody who reaches the port can cause
// them, so that they are counted, and logged where somebody looks for them.
func (p *Peer) complaints() *log.Logger { return log.New(complaints{p}, "", 0) }

type complaints struct{ *Peer }

func (c complaints) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("TLS handshake error")) {
		c.metrics.handshakes.Inc()
	}
	c.log.Debug("peer: " + string(bytes.TrimSpace(line)))
	return len(line), nil
}
