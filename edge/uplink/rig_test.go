package uplink_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a Store that loses nothing.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

func newMemory() *memory { return &memory{values: map[string][]byte{}} }

func (m *memory) Commit(b *buffer.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range b.Ops {
		if op.Value == nil {
			delete(m.values, string(op.Key))
		} else {
			m.values[string(op.Key)] = bytes.Clone(op.Value)
		}
	}
	return nil
}

func (m *memory) Get(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[string(key)]
	if !ok {
		return nil, buffer.ErrNotFound
	}
	return bytes.Clone(v), nil
}

func (m *memory) Scan(prefix []byte, each func([]byte, int64) error) error {
	m.mu.Lock()
	keys := slices.Sorted(maps.Keys(m.values))
	m.mu.Unlock()
	for _, k := range keys {
		if v, err := m.Get([]byte(k)); err == nil && strings.HasPrefix(k, string(prefix)) {
			if err := each([]byte(k), int64(len(v))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) Size() (int64, error) { return 0, nil }
func (m *memory) Free() (int64, error) { return 1 << 40, nil }
func (m *memory) Reclaim(int64) error  { return nil }
func (m *memory) Close() error         { return nil }

// rig is a gateway with a real buffer on a simulated network, and a gate.
type rig struct {
	t       *testing.T
	net     *network
	gate    *gate // gates[0]
	gates   []*gate
	buffer  *buffer.Buffer
	series  *buffer.Series
	uplink  *uplink.Uplink
	log     *logbook
	reg     *prometheus.Registry
	started time.Time
	next    int64 // the value of the next row
	noise   *mathrand.PCG
	stop    context.CancelFunc
	done    chan error
	timesMu sync.Mutex
	times   []told     // from OnTime
	starved []bool     // from OnStarved
	nodes   [][]string // from OnNodes
}

// told is a time that OnTime was told: when, how far behind it was, and how far
// off it claimed to be.
type told struct {
	at          time.Time
	off, within time.Duration
}

type settings struct {
	rate      int // of the link in bytes a second; 0 has no bound
	authority *authority
	alpn      string // of the gate
	columns   int
	commands  uplink.Commands
	gate      func(*gate)
	other     func(*gate) // the second gate, that only a redirect or nodes leads to
	tcp       bool        // whether TCP passes
}

func newRig(t *testing.T, s settings) *rig {
	ours := newAuthority(t)
	if s.authority == nil {
		s.authority = ours
	}
	if s.alpn == "" {
		s.alpn = wire.ALPN
	}
	r := &rig{t: t, net: newNetwork(t, s.rate), log: &logbook{}, reg: prometheus.NewRegistry(), noise: mathrand.NewPCG(1, 2), started: time.Now(), done: make(chan error, 1)}
	for i, script := range []func(*gate){s.gate, s.other} {
		g := newGate(t, r.net.gates[i], s.authority.server(t, s.alpn))
		if script != nil {
			script(g)
		}
		r.gates = append(r.gates, g)
	}
	r.gate = r.gates[0]
	log := slog.New(slog.NewTextHandler(r.log, nil))
	var err error
	r.buffer, err = buffer.Open(t.Context(), buffer.Config{Now: func() time.Duration { return time.Since(r.started) }, Boot: id.Boot{1}}, newMemory(), log, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := wire.Body{Profile: "test", Version: 1, Tick: 1_000_000}
	for i := range max(s.columns, 1) {
		body.Columns = append(body.Columns, wire.Column{Point: id.Point(fmt.Sprintf("p%d", i)), Unit: "1", Mantissa: 1})
	}
	if r.series, err = r.buffer.Series(id.Device{Site: "hq", Name: "t1"}, body, [32]byte{1}, 0); err != nil {
		t.Fatal(err)
	}
	transport := &quic.Transport{Conn: r.net.gateway}
	r.uplink = uplink.New(uplink.Config{
		Cloud: []string{gateAddr.String()}, TLS: ours.client(t), Agent: "test",
		OnTime: func(utc time.Time, within time.Duration) {
			r.timesMu.Lock()
			defer r.timesMu.Unlock()
			r.times = append(r.times, told{at: time.Now(), off: time.Since(utc), within: within})
		},
		OnStarved: func(starved bool) { r.starved = append(r.starved, starved) },
		Commands:  s.commands,
		DialTCP: func(_ context.Context, at netip.AddrPort) (net.Conn, error) {
			if !s.tcp {
				return nil, errors.New("no TCP on this network")
			}
			i := slices.IndexFunc(gateAddrs, func(a *net.UDPAddr) bool { return a.AddrPort() == at })
			return r.gates[i].dialTCP()
		},
		OnNodes:    func(nodes []string) { r.nodes = append(r.nodes, nodes) },
		MaxBackoff: time.Second, Random: func() float64 { return 0.5 },
	}, uplink.FromBuffer(r.buffer), transport, log, r.reg)
	t.Cleanup(func() {
		r.halt()
		transport.Close()
		if err := r.buffer.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// start runs the uplink; halt ends it.
func (r *rig) start() {
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.done <- r.uplink.Run(ctx) }()
}

func (r *rig) halt() {
	if r.stop == nil {
		return
	}
	r.stop()
	r.stop = nil
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
}

// row appends a row of distinct values; columns beyond the first are noise.
func (r *rig) row(columns int) {
	v := make([]int64, max(columns, 1))
	for i := range v {
		v[i] = int64(r.noise.Uint64())
	}
	v[0] = r.next
	r.next++
	if err := r.series.Append(time.Since(r.started).Milliseconds(), 0, v, 0); err != nil {
		r.t.Fatal(err)
	}
}

// rows appends one row at a time, each far enough from the last to be a frame
// of its own.
func (r *rig) rows(n int) {
	for range n {
		r.row(1)
		time.Sleep(100 * time.Millisecond)
	}
}

// metric returns the value of a counter or gauge, by the value of its label.
func (r *rig) metric(name, label string) float64 {
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// logbook keeps what was logged.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// authority is a cluster's CA.
type authority struct {
	cert *x509.Certificate
	key  ed25519.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) issue(t *testing.T) tls.Certificate {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), IPAddresses: []net.IP{gateAddrs[0].IP, gateAddrs[1].IP},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, pub, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *authority) server(t *testing.T, alpn string) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{a.issue(t)}, ClientCAs: a.pool(),
		ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13,
	}
}

func (a *authority) client(t *testing.T) *tls.Config {
	cert := a.issue(t)
	return &tls.Config{
		RootCAs: a.pool(), MinVersion: tls.VersionTLS13,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
	}
}
