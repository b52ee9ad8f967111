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
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Config says where the gates are and who the gateway is.
type Config struct {
	// Cloud holds the gates' addresses, HOST:PORT, dialled in turn. At least
	// one.
	Cloud []string
	// TLS holds the gateway's certificate and how a gate's is verified. The
	// ALPN is set here, and the server name if it is empty.
	TLS *tls.Config
	// Agent names the program and its version, for people.
	Agent string
	// OnTime is told the time that a welcome brought: UTC at the moment of the
	// call, and how far off it may be. Nil ignores it. It must not block.
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
	source    Source
	transport *quic.Transport
	log       *slog.Logger
	metrics   *metrics

	sent atomic.Uint64 // bytes of messages written to lanes

	mu      sync.Mutex
	devices devices
	gate    string // of the connection, from welcome to its end
	starved bool
	drain   float64

	// What Run alone uses.
	told     string // the reason that was logged last
	toldAt   time.Time
	welcomed time.Time // of the current or last connection; zero if it never was
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
	return &Uplink{
		cfg: cfg, source: source, transport: transport, log: log, metrics: newMetrics(reg),
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

// connectedTo says which gate has welcomed this gateway, or that none has.
func (u *Uplink) connectedTo(gate string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.gate = gate
	connected := 0.0
	if gate != "" {
		connected = 1
	}
	u.metrics.connected.Set(connected)
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
	retry := retry{least: u.cfg.MinBackoff, most: u.cfg.MaxBackoff}
	for i := 0; ; i++ {
		addr := u.cfg.Cloud[i%len(u.cfg.Cloud)]
		u.welcomed = time.Time{}
		err := u.connect(ctx, addr, i/len(u.cfg.Cloud))
		if ctx.Err() != nil {
			u.metrics.disconnects.WithLabelValues("bye").Inc()
			return nil
		}
		v := judge(err)
		u.metrics.disconnects.WithLabelValues(v.reason).Inc()
		lasted := time.Duration(0)
		if !u.welcomed.IsZero() {
			lasted = time.Since(u.welcomed)
		}
		wait := retry.next(v.pace, lasted, u.cfg.Random())
		u.report(addr, v, err, wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// report logs the end of a connection; the same reason again only now and
// then.
func (u *Uplink) report(addr string, v verdict, err error, wait time.Duration) {
	level := slog.LevelWarn
	if v.reason == u.told && time.Since(u.toldAt) < logEvery {
		level = slog.LevelDebug
	} else {
		u.told, u.toldAt = v.reason, time.Now()
	}
	args := []any{"gate", addr, "reason", v.reason, "error", err, "retry", wait.Round(time.Millisecond)}
	if v.hint != "" {
		args = append(args, "hint", v.hint)
	}
	u.log.Log(context.Background(), level, "not connected to the cloud", args...)
}

// connect dials once and serves the connection to its end. round is how often
// the address was dialled before.
func (u *Uplink) connect(ctx context.Context, addr string, round int) error {
	conn, err := u.dial(ctx, addr, round)
	var idle *quic.IdleTimeoutError // QUIC's word for a handshake without any answer, too
	if errors.As(err, &idle) {
		err = errUnreachable
	}
	if err != nil {
		return fmt.Errorf("dial %s: %w", addr, err)
	}
	c := &connection{u: u, conn: carrier.OverQUIC(conn), results: results{sent: map[id.Command]struct{}{}}}
	err = u.serve(ctx, c, addr)
	c.close(err) // no effect if it is closed already
	u.connectedTo("")
	return err
}

func (u *Uplink) serve(ctx context.Context, c *connection, addr string) error {
	session, err := u.source.Connect()
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	defer u.source.Disconnect()
	stop := context.AfterFunc(ctx, func() { c.close(ctx.Err()) })
	w, err := c.greet(ctx, session.Hello)
	if !stop() && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	if u.cfg.OnTime != nil {
		half := c.conn.Path().RTT / 2
		u.cfg.OnTime(time.UnixMilli(int64(w.Now)).Add(half), half+time.Millisecond)
	}
	u.source.Welcomed()
	u.welcomed, u.told = time.Now(), ""
	u.metrics.connects.Inc()
	u.connectedTo(addr)
	u.log.Info("connected to the cloud", "gate", addr, "cluster", w.Cluster, "node", w.Node,
		"live", len(session.Live), "backlog", len(session.Backlog))
	return c.serve(ctx, session, w.Credit)
}

func (u *Uplink) dial(ctx context.Context, addr string, round int) (*quic.Conn, error) {
	u.metrics.dials.Inc()
	ctx, cancel := context.WithTimeout(ctx, 2*handshakeTimeout)
	defer cancel()
	host, udp, err := resolve(ctx, addr, round)
	if err != nil {
		return nil, err
	}
	conf := u.cfg.TLS.Clone()
	conf.NextProtos = []string{wire.ALPN}
	if conf.ServerName == "" {
		conf.ServerName = host
	}
	return u.transport.Dial(ctx, udp, conf, &quic.Config{
		HandshakeIdleTimeout:  handshakeTimeout,
		MaxIdleTimeout:        idleTimeout,
		KeepAlivePeriod:       keepAlive,
		MaxIncomingStreams:    -1, // a gate opens none
		MaxIncomingUniStreams: -1,
		// Acks and commands come this way, and little else.
		InitialStreamReceiveWindow:     wire.MaxControl,
		MaxStreamReceiveWindow:         wire.MaxControl,
		InitialConnectionReceiveWindow: wire.MaxControl,
		MaxConnectionReceiveWindow:     wire.MaxControl,
	})
}

// resolve turns HOST:PORT into an address; round selects among a host's.
func resolve(ctx context.Context, addr string, round int) (host string, udp *net.UDPAddr, err error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", nil, fmt.Errorf("port %q: want 0 to 65535", service)
	}
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = append(ips, ip)
	} else if ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
		return "", nil, err
	}
	return host, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ips[round%len(ips)].Unmap(), uint16(port))), nil
}
