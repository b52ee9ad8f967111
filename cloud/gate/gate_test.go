package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/testutils/simnet"
	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	sharedid "github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeJournal takes records and makes them durable at once, or when told.
type fakeJournal struct {
	mu    sync.Mutex
	hold  bool
	busy  int // so many appends are refused
	fault error
	stuck chan struct{} // frames are not taken before it is closed
	recs  []journal.Record
	dones []func(uint64, error)
}

func (j *fakeJournal) Append(_ int, key string, rec journal.Record, done func(uint64, error)) error {
	if j.stuck != nil && rec.Kind == journal.KindFrame {
		<-j.stuck
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.busy > 0 {
		j.busy--
		return journal.ErrBusy
	}
	if err := rec.Check(); err != nil || key != rec.Origin {
		return fmt.Errorf("key %s: %w", key, err)
	}
	rec.Body = append([]byte(nil), rec.Body...)
	j.recs = append(j.recs, rec)
	if j.hold {
		j.dones = append(j.dones, done)
		return nil
	}
	done(1, j.fault)
	return nil
}

func (j *fakeJournal) LagOf(int, id.Site) int64 { return 0 }

// flush makes what was held durable.
func (j *fakeJournal) flush() {
	j.mu.Lock()
	dones := j.dones
	j.dones, j.hold = nil, false
	j.mu.Unlock()
	for _, done := range dones {
		done(1, nil)
	}
}

func (j *fakeJournal) set(f func()) { j.mu.Lock(); f(); j.mu.Unlock() }

// kinds lists what was journaled.
func (j *fakeJournal) kinds() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []string
	for _, r := range j.recs {
		all = append(all, r.Kind.String())
	}
	return strings.Join(all, " ")
}

type fakeCatalog struct{ err error }

func (c fakeCatalog) Assign(context.Context, id.Site) (int, error) { return 0, c.err }

// world is a gate and a network, in a bubble of fake time.
type world struct {
	t       *testing.T
	ctx     context.Context
	net     *simnet.Simnet
	ca      *identity.CA
	journal *fakeJournal
	gate    *Gate
	log     *logBuffer
	metrics *prometheus.Registry
	quic    *quic.Config // of gateways; nil: quic-go's own
	stop    func()
	hosts   []*simnet.SimConn // for gateways: a Simnet takes none once it runs
}

var gateAddr = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 7447}

type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inWorld runs f with a gate that serves, and checks that it stops cleanly.
func inWorld(t *testing.T, change func(*Config), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ca, err := identity.OpenCA(filepath.Join(t.TempDir(), "ca"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{t: t, ctx: ctx, ca: ca, journal: &fakeJournal{}, log: &logBuffer{}, metrics: prometheus.NewRegistry(), net: &simnet.Simnet{Router: &simnet.PerfectRouter{}}}
		tlsConfig, err := ca.ServerTLS("n1", nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg := Config{Cluster: ca.Cluster(), Node: "n1", TLS: tlsConfig, Identify: ca.GatewayOf}
		if change != nil {
			change(&cfg)
		}
		w.gate = New(cfg, fakeCatalog{}, w.journal, slog.New(slog.NewTextHandler(w.log, nil)), w.metrics)
		pc := w.net.NewEndpoint(gateAddr, simnet.NodeBiDiLinkSettings{Latency: 5 * time.Millisecond})
		for i := range byte(3) {
			w.hosts = append(w.hosts, w.net.NewEndpoint(&net.UDPAddr{IP: net.IPv4(10, 0, 1, i), Port: 1000}, simnet.NodeBiDiLinkSettings{Latency: 5 * time.Millisecond}))
		}
		w.net.Start()
		defer w.net.Close()
		transport := Transport(pc, Keys{Reset: [32]byte{1}})
		served := make(chan error, 1)
		go func() { served <- w.gate.Serve(ctx, transport) }()
		w.stop = func() {
			cancel()
			if err := <-served; err != nil {
				t.Errorf("Serve: %v", err)
			}
			served <- nil
		}
		defer func() {
			w.stop()
			transport.Close()
			pc.Close()
		}()
		f(w)
	})
}

func (w *world) clientTLS(ca *identity.CA, gw string) *tls.Config {
	w.t.Helper()
	g, err := id.ParseGateway(gw)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := ca.Gateway(g)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := sharedid.Parsed(out.Cert, out.Key, out.CA)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.ClientTLS(nil)
}

// edge is the other end of a connection.
type edge struct {
	t       *testing.T
	conn    *quic.Conn
	control *quic.Stream
	r       *wire.Reader
	lane    *quic.SendStream
}

// dial connects; the client's socket lives until the test's end.
func (w *world) dial(cfg *tls.Config) (*edge, error) {
	w.t.Helper()
	pc := w.hosts[0]
	w.hosts = w.hosts[1:]
	transport := &quic.Transport{Conn: pc}
	w.t.Cleanup(func() { transport.Close(); pc.Close() })
	conn, err := transport.Dial(w.ctx, gateAddr, cfg, w.quic)
	if err != nil {
		return nil, err
	}
	return &edge{t: w.t, conn: conn}, nil
}

// connect dials as a gateway and greets.
func (w *world) connect(gw string) *edge {
	w.t.Helper()
	e, err := w.dial(w.clientTLS(w.ca, gw))
	if err != nil {
		w.t.Fatal(err)
	}
	if e.control, err = e.conn.OpenStream(); err != nil {
		w.t.Fatal(err)
	}
	e.r = wire.NewReader(e.control, wire.MaxControl)
	e.say(testHello(wire.RunInfo{Run: runNamed("a"), Class: 1, First: 1}, wire.RunInfo{Run: runNamed("b"), Class: 1, First: 1}))
	e.say((&wire.Bind{}).Append(nil))
	return e
}

// open is connect, the welcome and a lane with a schema and a clock.
func (w *world) open(gw string) *edge {
	w.t.Helper()
	e := w.connect(gw)
	e.want(wire.KindWelcome)
	e.openLane()
	e.send(testSchema("a", 1, "hq/c1", 10))
	e.send(testClock("a", 1, 100))
	return e
}

func (e *edge) openLane() {
	e.t.Helper()
	lane, err := e.conn.OpenUniStream()
	if err != nil {
		e.t.Fatal(err)
	}
	e.lane = lane
	e.send((&wire.LaneStart{Lane: wire.LaneLive}).Append(nil))
}

func (e *edge) say(msg []byte) { e.control.Write(wire.AppendItem(nil, msg)) }
func (e *edge) send(msg []byte) {
	e.t.Helper()
	if _, err := e.lane.Write(wire.AppendItem(nil, msg)); err != nil {
		e.t.Fatal(err)
	}
}

// want reads messages until one of the kind comes, and fails on another but
// credit.
func (e *edge) want(kind wire.Kind) []byte {
	e.t.Helper()
	for {
		msg, err := e.r.Next()
		if err != nil {
			e.t.Fatalf("waiting for %s: %v", kind, err)
		}
		k, err := wire.Peek(msg)
		switch {
		case err != nil:
			e.t.Fatal(err)
		case k == kind:
			return append([]byte(nil), msg...)
		case k != wire.KindCredit:
			e.t.Fatalf("got %s, want %s", k, kind)
		}
	}
}

// wantAck reads acks of run a until seq.
func (e *edge) wantAck(seq uint64) {
	e.t.Helper()
	for {
		m, err := wire.ParseAck(e.want(wire.KindAck))
		if err != nil {
			e.t.Fatal(err)
		}
		if got := m.Runs[0].Seq; got == seq {
			return
		} else if got > seq {
			e.t.Fatalf("ack of %d, want %d", got, seq)
		}
	}
}

// wantClose waits for the connection to end with a code and a text.
func (e *edge) wantClose(code wire.CloseCode, text string) {
	e.t.Helper()
	<-e.conn.Context().Done()
	var app *quic.ApplicationError
	if err := context.Cause(e.conn.Context()); !errors.As(err, &app) || wire.CloseCode(app.ErrorCode) != code || !strings.Contains(app.ErrorMessage, text) {
		e.t.Fatalf("closed with %v, want %s and %q", err, code, text)
	}
}

func TestAFrameIsAckedOnlyAfterItIsDurable(t *testing.T) { // I2
	inWorld(t, nil, func(w *world) {
		e := w.open("hq/gw")
		synctest.Wait()
		w.journal.set(func() { w.journal.hold = true })
		e.send(testFrame("a", 1, 1, 1))
		e.send(testFrame("a", 2, 1, 1))
		e.control.SetReadDeadline(time.Now().Add(10 * time.Second))
		if msg, err := e.r.Next(); err == nil {
			t.Fatalf("the gate said %x before the journal did", msg)
		}
		if got := w.journal.kinds(); got != "hello bind schema clock frame frame" {
			t.Fatalf("journaled: %s", got)
		}
		e.control.SetReadDeadline(time.Time{})
		e.r = wire.NewReader(e.control, wire.MaxControl)
		w.journal.flush()
		e.wantAck(2)
	})
}

func TestWelcomeComesOnlyAfterHelloAndBindAreDurable(t *testing.T) { // I2
	inWorld(t, nil, func(w *world) {
		w.journal.hold = true
		e := w.connect("hq/gw")
		time.Sleep(time.Second)
		if got := w.journal.kinds(); got != "hello bind" {
			t.Fatalf("journaled: %s", got)
		}
		w.journal.flush()
		m, err := wire.ParseWelcome(e.want(wire.KindWelcome))
		if err != nil || m.Cluster != w.ca.Cluster() || m.Node != "n1" || m.Credit != maxWindow || m.Now != uint64(time.Now().UnixMilli()) && m.Now == 0 {
			t.Fatalf("welcome %+v, %v", m, err)
		}
	})
}

func TestABadFrameIsRejectedAndTheConnectionKept(t *testing.T) { // I6
	inWorld(t, nil, func(w *world) {
		e := w.open("hq/gw")
		wrongCRC := testFrame("a", 1, 1, 1)
		wrongCRC[len(wrongCRC)-1] ^= 1
		hostile := wire.Frame{Run: runNamed("a"), Seq: 1, Clk: 1, Blocks: []wire.Block{{SID: 1, N: wire.MaxRows, Data: []byte{31}}}}
		for _, bad := range []struct {
			msg    []byte
			reason wire.RejectReason
		}{
			{wrongCRC, wire.RejectCRC},
			{testFrame("a", 1, 1, 1)[:30], wire.RejectCRC},
			{testFrame("a", 1, 9, 1), wire.RejectUnknownClock},
			{testFrame("a", 1, 1, 9), wire.RejectUnknownSchema},
			{hostile.Append(nil), wire.RejectMalformed},
		} {
			e.send(bad.msg)
			m, err := wire.ParseReject(e.want(wire.KindReject))
			if err != nil || m.Seq != 1 || m.Reason != bad.reason || m.Text == "" {
				t.Fatalf("%+v, %v; want %s", m, err, bad.reason)
			}
		}
		e.send(testFrame("a", 1, 1, 1))
		e.wantAck(1)
	})
}

func TestAFullJournalSlowsALaneAndLosesNothing(t *testing.T) { // I5
	inWorld(t, nil, func(w *world) {
		e := w.open("hq/gw")
		synctest.Wait()
		w.journal.set(func() { w.journal.busy = 100 })
		for seq := range uint64(5) {
			e.send(testFrame("a", seq+1, 1, 1))
		}
		e.wantAck(5)
		if got := w.journal.kinds(); got != "hello bind schema clock frame frame frame frame frame" {
			t.Fatalf("journaled: %s", got)
		}
	})
}

func TestAFullJournalIsNotTheGatewaysSilence(t *testing.T) { // I6
	inWorld(t, nil, func(w *world) {
		w.journal.busy = int(greetTimeout/busyRetry) * 4 / 3
		begin := time.Now()
		w.connect("hq/gw").want(wire.KindWelcome)
		if took := time.Since(begin); took < greetTimeout {
			t.Fatalf("welcome after %s: the journal was not full for long enough", took)
		}
	})
}

func TestAJournalThatFailsEndsTheConnectionWithoutAnAck(t *testing.T) { // I2
	inWorld(t, nil, func(w *world) {
		e := w.open("hq/gw")
		synctest.Wait()
		w.journal.set(func() { w.journal.fault = journal.ErrClosed })
		e.send(testFrame("a", 1, 1, 1))
		if msg, err := e.r.Next(); err == nil {
			t.Fatalf("the gate said %x", msg)
		}
		e.wantClose(wire.CloseInternal, "journal")
	})
}

func TestAnOlderConnectionOfAGatewayIsSuperseded(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		old := w.open("hq/gw")
		other := w.open("hq/gw-2")
		synctest.Wait()
		e := w.connect("hq/gw")
		e.want(wire.KindWelcome)
		old.wantClose(wire.CloseSuperseded, "connected again")
		other.send(testGap("b", 1, 1))
		other.want(wire.KindAck)
		if n := w.gate.Connections(); n != 2 {
			t.Fatalf("%d connections, want 2", n)
		}
	})
}

// I1: a hello may call a run unclean, so that everything older must be ahead of
// it. The second connection is closed while it waits for the first; the third
// must wait for both.
func TestOfThreeConnectionsTheLastWaitsUntilTheFirstAppendsNoMore(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.journal.stuck = make(chan struct{})
		first := w.open("hq/gw")
		first.send(testFrame("a", 1, 1, 1))
		synctest.Wait() // the frame is being appended
		second := w.connect("hq/gw")
		first.wantClose(wire.CloseSuperseded, "connected again")
		third := w.connect("hq/gw")
		second.wantClose(wire.CloseSuperseded, "connected again")
		time.Sleep(time.Second)
		if got := w.journal.kinds(); got != "hello bind schema clock" {
			t.Errorf("journaled while the first connection appends: %s", got)
		}
		close(w.journal.stuck)
		third.want(wire.KindWelcome)
		if got := w.journal.kinds(); got != "hello bind schema clock frame hello bind" {
			t.Errorf("journaled: %s", got)
		}
	})
}

func TestAnotherSitesSchemaClosesTheConnection(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		e := w.open("hq/gw")
		e.send(testSchema("a", 2, "other/c1", 10))
		e.wantClose(wire.CloseForeignSite, "other/c1")
		if got := w.journal.kinds(); got != "hello bind schema clock" {
			t.Fatalf("journaled: %s", got)
		}
	})
}

func TestWhatIsNotTheProtocolClosesTheConnection(t *testing.T) { // I6
	tooLong := append([]byte{0x5a, 0xff, 0xff, 0xff, 0xff}, make([]byte, 10)...)
	for name, c := range map[string]struct {
		do   func(e *edge)
		code wire.CloseCode
		text string
	}{
		"frame before welcome": {func(e *edge) { e.openLane() }, wire.CloseProtocol, "before welcome"},
		"not CBOR":             {func(e *edge) { e.control.Write([]byte{0xff}) }, wire.CloseProtocol, "byte string"},
		"hostile length":       {func(e *edge) { e.control.Write(tooLong) }, wire.CloseProtocol, "4294967295"},
		"another version":      {func(e *edge) { e.say([]byte{0x83, 2, 16, 0}) }, wire.CloseVersion, "version 2"},
		"control ends":         {func(e *edge) { e.control.Close() }, wire.CloseProtocol, "EOF"},
		"message cut":          {func(e *edge) { e.control.Write([]byte{0x45, 1}); e.control.Close() }, wire.CloseProtocol, "EOF"},
		"second hello":         {func(e *edge) { e.say(testHello()) }, wire.CloseProtocol, "hello"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.journal.hold = true
				e := w.connect("hq/gw")
				time.Sleep(time.Second)
				c.do(e)
				e.wantClose(c.code, c.text)
				if !strings.Contains(w.log.String(), "code="+c.code.String()) {
					t.Fatalf("the log does not say why:\n%s", w.log)
				}
			})
		})
	}
}

func TestSilenceAfterTheHandshakeTimesOut(t *testing.T) { // I5
	inWorld(t, nil, func(w *world) {
		e, err := w.dial(w.clientTLS(w.ca, "hq/gw"))
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		e.wantClose(wire.CloseProtocol, "no hello")
		if took := time.Since(started); took < greetTimeout || took > greetTimeout+time.Second {
			t.Fatalf("closed after %s, want %s", took, greetTimeout)
		}
	})
}

func TestConnectionsOverTheLimitAreToldToComeLater(t *testing.T) { // I5
	inWorld(t, func(c *Config) { c.MaxConnections = 1 }, func(w *world) {
		first := w.open("hq/gw")
		second := w.connect("hq/gw-2")
		if m, err := wire.ParseLater(second.want(wire.KindLater)); err != nil || m.Pause != uint64(putOffPause.Milliseconds()) {
			t.Errorf("later %+v, %v", m, err)
		}
		second.wantClose(wire.CloseBusy, "limit")
		if n := w.counted("atrium_gate_put_off_total"); n != 1 {
			t.Errorf("%v gateways were counted as put off", n)
		}
		first.send(testFrame("a", 1, 1, 1))
		first.wantAck(1)
		first.conn.CloseWithError(quic.ApplicationErrorCode(wire.CloseBye), "")
		time.Sleep(time.Second)
		w.open("hq/gw-2").send(testFrame("a", 1, 1, 1))
	})
}

// A gate that is restrained puts new gateways off and serves those that are there
// a message at a time, until it is let go.
func TestARestrainedGateServesThoseThatAreThere(t *testing.T) { // I5
	inWorld(t, nil, func(w *world) {
		first := w.open("hq/gw")
		w.gate.Restrain(Restraint{Slow: true, Later: "the disk is full"})
		if lag := (&conn{gate: w.gate}).lagOf(); window(lag) != minWindow {
			t.Errorf("a connection gets a window of %d, want the least, %d", window(lag), minWindow)
		}
		second := w.connect("hq/gw-2")
		second.want(wire.KindLater)
		second.wantClose(wire.CloseBusy, "the disk is full: try another or later")
		first.send(testFrame("a", 1, 1, 1))
		first.wantAck(1)
		w.gate.Restrain(Restraint{})
		if lag := (&conn{gate: w.gate}).lagOf(); window(lag) != maxWindow {
			t.Errorf("after it, a connection gets a window of %d, want %d", window(lag), maxWindow)
		}
		time.Sleep(time.Second)
		w.open("hq/gw-2").send(testFrame("a", 1, 1, 1))
	})
}

// deaf is a socket of a stranger that begins handshakes and never answers, as
// one with an invented address cannot.
type deaf struct{ *simnet.SimConn }

func (d deaf) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		if n, addr, err := d.SimConn.ReadFrom(p); err != nil {
			return n, addr, err
		}
	}
}

// I5: a flood from addresses that do not answer takes a bounded number of
// handshakes, and a gateway gets in meanwhile.
func TestAFloodOfHandshakesIsBoundedAndAGatewayGetsIn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		flood := &quic.Transport{Conn: deaf{w.hosts[0]}}
		w.hosts = w.hosts[1:]
		ctx, cancel := context.WithCancel(w.ctx)
		var all sync.WaitGroup
		w.t.Cleanup(func() { cancel(); all.Wait(); flood.Close() })
		cfg := w.clientTLS(w.ca, "hq/stranger")
		for range 2 * maxUnproven {
			all.Go(func() { flood.Dial(ctx, gateAddr, cfg, nil) })
		}
		time.Sleep(time.Second)
		if n := w.gate.handshakes(); n != maxUnproven {
			t.Errorf("%d handshakes with strangers, want %d", n, maxUnproven)
		}
		e := w.open("hq/gw")
		e.send(testFrame("a", 1, 1, 1))
		e.wantAck(1)
		cancel()
		time.Sleep(2 * handshakeTimeout)
		if n := w.gate.handshakes(); n != 0 {
			t.Errorf("%d handshakes after all timed out", n)
		}
	})
}

func TestHandshakesBeyondTheLimitAreTurnedAway(t *testing.T) { // I5
	g := New(Config{MaxHandshakes: 1e6}, fakeCatalog{}, &fakeJournal{}, slog.New(slog.DiscardHandler), nil)
	ctx, cancel := context.WithCancel(t.Context())
	for i := range maxHandshakes {
		if _, err := g.watchHandshake(ctx, &quic.ClientInfo{}); err != nil {
			t.Fatalf("handshake %d: %v", i, err)
		}
	}
	if _, err := g.watchHandshake(ctx, &quic.ClientInfo{}); err == nil {
		t.Fatal("one more was taken")
	}
	g.enter() // one of them is served now
	if _, err := g.watchHandshake(ctx, &quic.ClientInfo{}); err != nil {
		t.Fatalf("after one was served: %v", err)
	}
	cancel()
	for g.alive.Load() != 0 {
		runtime.Gosched()
	}
}

func TestShutdownTellsEveryGateway(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		a, b := w.open("hq/gw"), w.connect("hq/gw-2")
		b.want(wire.KindWelcome)
		w.stop()
		a.wantClose(wire.CloseShutdown, "stopping")
		b.wantClose(wire.CloseShutdown, "stopping")
	})
}

func TestACertificateWithoutAGatewaysNameIsToldWhy(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		cfg := w.clientTLS(w.ca, "hq/gw")
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return w.gate.cfg.TLS.GetCertificate(nil) // a node's
		}
		e, err := w.dial(cfg)
		if err != nil {
			t.Fatal(err)
		}
		e.wantClose(wire.CloseIdentity, "want a gateway's")
	})
}

func TestRefusedHandshakesAreExplainedOnBothSides(t *testing.T) {
	for name, c := range map[string]struct {
		change       func(w *world, cfg *tls.Config)
		client, node string
	}{
		"foreign CA": {func(w *world, cfg *tls.Config) {
			other, err := identity.OpenCA(filepath.Join(w.t.TempDir(), "other"))
			if err != nil {
				w.t.Fatal(err)
			}
			cfg.GetClientCertificate = w.clientTLS(other, "hq/gw").GetClientCertificate
		}, "unknown certificate authority", "unknown authority"},
		"expired": {func(*world, *tls.Config) {
			time.Sleep(11 * 365 * 24 * time.Hour)
		}, "expired certificate", "expired"},
		"wrong ALPN": {func(_ *world, cfg *tls.Config) {
			cfg.NextProtos = []string{"h3"}
		}, "no application protocol", "unsupported application protocols"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				cfg := w.clientTLS(w.ca, "hq/gw")
				c.change(w, cfg)
				e, err := w.dial(cfg)
				if err == nil { // a TLS 1.3 client learns of it afterwards
					<-e.conn.Context().Done()
					err = context.Cause(e.conn.Context())
				}
				if !strings.Contains(err.Error(), c.client) {
					t.Errorf("the gateway sees %v, want %q", err, c.client)
				}
				time.Sleep(time.Second)
				if !strings.Contains(w.log.String(), c.node) {
					t.Errorf("the node's log does not say %q:\n%s", c.node, w.log)
				}
			})
		})
	}
}

func TestALaneMayEndAndTheConnectionGoesOn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		e := w.open("hq/gw")
		time.Sleep(time.Second) // the lanes are read side by side
		e.lane.Close()
		e.openLane()
		e.send(testFrame("a", 1, 1, 1))
		e.wantAck(1)
		if _, err := e.conn.OpenUniStream(); err == nil {
			t.Fatal("a third lane was opened")
		}
	})
}
