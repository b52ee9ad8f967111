package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Config says where the gates are and who the gateway is.
type Config struct {
	// Cloud holds the gates' addresses, HOST:PORT, dialled in turn. At least
	// one.
	Cloud []string
	// Nodes holds the addresses that OnNodes was told before the program was
	// started again; they are dialled after Cloud's.
	Nodes []string
	// OnNodes is told the addresses of the cluster's gates, at most
	// wire.MaxNodes. Nil ignores them. It must not block.
	OnNodes func(addresses []string)
	// DialTCP makes a TCP connection where UDP gets no answer; nil means the
	// system's.
	DialTCP func(ctx context.Context, at netip.AddrPort) (net.Conn, error)
	// TLS holds the gateway's certificate and how a gate's is verified. The
	// ALPN is set here, and the server name if it is empty.
	TLS *tls.Config
	// Agent names the program and its version, for people.
	Agent string
	// OnTime is told the time that a gate told: UTC at the moment of the call,
	// and how far off it may be. Nil ignores it. It must not block; any goroutine
	// may call it.
	OnTime func(utc time.Time, uncertainty time.Duration)
	// Commands takes what the cloud wants done, and has what became of it. Nil
	// ignores commands and has no results.
	Commands Commands
	// OnStarved is told when live frames keep waiting for the gate's credit, and
	// when they do no longer or the connection has ended: what is sampled comes
	// faster than the cloud makes it durable. Nil ignores it. It must not block.
	OnStarved func(starved bool)
	// MinBackoff and MaxBackoff bound the wait between dials; zero means
	// DefaultMinBackoff and DefaultMaxBackoff.
	MinBackoff, MaxBackoff time.Duration
	// Random draws the jitter, in [0, 1); nil means math/rand/v2.
	Random func() float64
}

// Uplink keeps a gateway connected.
type Uplink struct {
	cfg       Config
	versions  wire.Versions
	source    Source
	transport *quic.Transport
	log       *slog.Logger
	metrics   *metrics

	sent atomic.Uint64 // bytes of messages written to lanes

	mu      sync.Mutex
	devices devices
	gate    string // of the connection, from welcome to its end or silence
	starved bool
	drain   float64
}

// New returns an uplink that sends what source holds over transport, which
// stays the caller's: one socket for the process's life, so that a path that
// comes back finds the same port.
func New(cfg Config, source Source, transport *quic.Transport, log *slog.Logger, reg prometheus.Registerer) *Uplink {
	if cfg.MinBackoff == 0 {
		cfg.MinBackoff = DefaultMinBackoff
	}
	if cfg.MaxBackoff == 0 {
		cfg.MaxBackoff = DefaultMaxBackoff
	}
	if cfg.Random == nil {
		cfg.Random = rand.Float64
	}
	if cfg.DialTCP == nil {
		cfg.DialTCP = dialSystem
	}
	return &Uplink{
		cfg: cfg, versions: wire.Spoken(), source: source, transport: transport, log: log, metrics: newMetrics(reg),
		devices: devices{changed: make(chan struct{})},
	}
}

// SetDevices says which devices hang on the gateway, at most wire.MaxDevices:
// what bind tells the gate, at once and on every later connection.
func (u *Uplink) SetDevices(list []id.Device) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.devices.list = slices.Clone(list)
	u.devices.version++
	close(u.devices.changed)
	u.devices.changed = make(chan struct{})
}

// Stats is what an uplink has done and how it is.
type Stats struct {
	Gate string // the address of the gate that it is connected to; empty without
	Sent uint64 // bytes of messages written to lanes since the start
	// Starved says that live frames keep waiting for the gate's credit.
	Starved bool
	// Drain is how fast the backlog is acked, in bytes a second over the last
	// seconds; 0 while there is none.
	Drain float64
}

// Stats returns a snapshot.
func (u *Uplink) Stats() Stats {
	u.mu.Lock()
	defer u.mu.Unlock()
	return Stats{Gate: u.gate, Sent: u.sent.Load(), Starved: u.starved, Drain: u.drain}
}

// connectedTo says which connection was welcomed and is not silent; nil for
// none.
func (u *Uplink) connectedTo(c *connection) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gate = ""
	connected, overTCP := 0.0, 0.0
	if c != nil {
		u.gate, connected = c.addr, 1
		if c.conn.Network() == tcp.String() {
			overTCP = 1
		}
	}
	u.metrics.connected.Set(connected)
	u.metrics.overTCP.Set(overTCP)
}

// flows says how the flow of a connection is, and tells a change of starved.
// Only one connection calls it at a time.
func (u *Uplink) flows(starved bool, drain float64) {
	u.mu.Lock()
	changed := starved != u.starved
	u.starved, u.drain = starved, drain
	u.mu.Unlock()
	u.metrics.drain.Set(drain)
	if !changed {
		return
	}
	gauge := 0.0
	if starved {
		gauge = 1
	}
	u.metrics.starved.Set(gauge)
	if u.cfg.OnStarved != nil {
		u.cfg.OnStarved(starved)
	}
}

func (u *Uplink) bind() (b wire.Bind, version uint64, changed <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return wire.Bind{Devices: u.devices.list}, u.devices.version, u.devices.changed
}

// Run connects, and connects again, until ctx ends; then it says bye to the
// gate and returns nil. It returns an error only for a configuration that can
// never work.
func (u *Uplink) Run(ctx context.Context) error {
	for _, addr := range u.cfg.Cloud {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("uplink: cloud address: %w", err)
		}
	}
	if len(u.cfg.Cloud) == 0 {
		return errors.New("uplink: no cloud address")
	}
	r := &runner{
		u: u, news: make(chan news),
		plan: newPlan(u.cfg.Cloud, u.cfg.Nodes, retry{least: u.cfg.MinBackoff, most: u.cfg.MaxBackoff}, u.cfg.Random),
	}
	r.run(ctx)
	u.metrics.disconnects.WithLabelValues("bye").Inc()
	return nil
}
