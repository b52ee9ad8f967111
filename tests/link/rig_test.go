package link

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/id"
	sharedid "github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// log is the journal that all gates append to: durable at once. It has the
// first occurrence of each frame, as the owner of the shard would.
type log struct {
	t *testing.T

	mu     sync.Mutex
	next   map[id.Run]uint64
	frames map[id.Run]map[uint64][]byte
	came   time.Time // when the last new frame came
	again  int       // frames that were there already
}

func newLog(t *testing.T) *log {
	return &log{t: t, next: map[id.Run]uint64{}, frames: map[id.Run]map[uint64][]byte{}}
}

func (l *log) Append(_ int, _ string, rec journal.Record, done func(uint64, error)) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rec.Kind == journal.KindFrame {
		l.take(rec.Body)
	}
	go done(1, nil)
	return nil
}

// take checks I1 where the frame arrives: no other bytes under the same name,
// and first occurrences without a hole.
func (l *log) take(msg []byte) {
	run, seq, _, err := wire.PeekSeq(msg)
	if err != nil {
		l.t.Error(err)
		return
	}
	if l.frames[run] == nil {
		l.frames[run], l.next[run] = map[uint64][]byte{}, 1
	}
	switch known := l.frames[run][seq]; {
	case known != nil && !bytes.Equal(known, msg):
		l.t.Errorf("frame %d of run %s came as other bytes", seq, run)
	case known != nil:
		l.again++
	case seq != l.next[run]:
		l.t.Errorf("frame %d of run %s came, %d was next", seq, run, l.next[run])
	default:
		l.frames[run][seq], l.next[run], l.came = bytes.Clone(msg), seq+1, time.Now()
	}
}

func (l *log) LagOf(int, id.Site) int64 { return 0 }

func (l *log) lastNew() time.Time { l.mu.Lock(); defer l.mu.Unlock(); return l.came }

type oneShard struct{}

func (oneShard) Assign(context.Context, id.Site) (int, error) { return 0, nil }

// node is a gate that can be killed and started again on its socket.
type node struct {
	t       *testing.T
	gate    *gate.Gate
	metrics *prometheus.Registry
	kill    func()
}

func newCA(t *testing.T) *identity.CA {
	t.Helper()
	ca, err := identity.OpenCA(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// startNode serves on a socket until it is killed, without a word to anyone.
func startNode(t *testing.T, ca *identity.CA, name string, socket net.PacketConn, appender gate.Appender, handshakes float64) *node {
	t.Helper()
	tls, err := ca.ServerTLS(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	var keys gate.Keys
	if keys.Reset, err = ca.ResetKey(); err != nil {
		t.Fatal(err)
	}
	if keys.Token, err = ca.TokenKey(); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, metrics: prometheus.NewRegistry()}
	n.gate = gate.New(gate.Config{
		Cluster: ca.Cluster(), Node: name, TLS: tls, Identify: ca.GatewayOf, MaxHandshakes: handshakes,
	}, oneShard{}, appender, slog.New(slog.DiscardHandler), n.metrics)
	transport := gate.Transport(socket, keys)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = n.gate.Serve(ctx, transport) // the error of its end: it is killed
	}()
	n.kill = sync.OnceFunc(func() {
		transport.Close()
		cancel()
		<-served
	})
	t.Cleanup(n.kill)
	return n
}

// counted is the sum of a counter's children.
func (n *node) counted(name string) (sum float64) {
	families, err := n.metrics.Gather()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// connect runs an uplink on a socket until the test ends.
func connect(t *testing.T, ca *identity.CA, name id.Gateway, to *net.UDPAddr, socket net.PacketConn, source uplink.Source) *uplink.Uplink {
	t.Helper()
	issued, err := ca.Gateway(name)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := sharedid.Parsed(issued.Cert, issued.Key, issued.CA)
	if err != nil {
		t.Fatal(err)
	}
	transport := &quic.Transport{Conn: socket}
	up := uplink.New(uplink.Config{
		Cloud: []string{to.String()}, TLS: creds.ClientTLS(nil), Agent: "test", MaxBackoff: 10 * time.Second,
		DialTCP: func(context.Context, netip.AddrPort) (net.Conn, error) {
			return nil, errors.New("no TCP on this network")
		},
	}, source, transport, slog.New(slog.DiscardHandler), nil)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- up.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		transport.Close()
	})
	return up
}
