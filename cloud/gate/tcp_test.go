package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/wire"
)

// pipes is a listener of connections in memory.
type pipes struct {
	come   chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return gateAddr }

// dial returns the client's end of a new connection.
func (p *pipes) dial() net.Conn {
	a, b := net.Pipe()
	p.come <- b
	return a
}

// overTCP runs f with a gate that serves TCP too.
func overTCP(t *testing.T, change func(*Config), f func(w *world, p *pipes)) {
	inWorld(t, change, func(w *world) {
		p := newPipes()
		served := make(chan error, 1)
		go func() { served <- w.gate.ServeTCP(w.ctx, p) }()
		f(w, p)
		w.stop()
		if err := <-served; err != nil {
			t.Errorf("ServeTCP: %v", err)
		}
	})
}

func (w *world) dialTCP(p *pipes, conf *tls.Config) carrier.Conn {
	w.t.Helper()
	c, err := carrier.DialTCP(w.ctx, p.dial(), conf, carrier.TCPConfig{KeepAlive: 20 * time.Second, Idle: time.Minute})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// says writes messages to a stream.
func says(t *testing.T, s io.Writer, msgs ...[]byte) {
	t.Helper()
	for _, m := range msgs {
		if _, err := s.Write(wire.AppendItem(nil, m)); err != nil {
			t.Fatal(err)
		}
	}
}

// I2 holds over TCP as over QUIC: it is the same session.
func TestAGatewayIsServedOverTCP(t *testing.T) {
	overTCP(t, nil, func(w *world, p *pipes) {
		c := w.dialTCP(p, w.clientTLS(w.ca, "hq/gw"))
		control, err := c.OpenControl(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		e := &edge{t: t, r: wire.NewReader(control, wire.MaxControl)}
		says(t, control, testHello(wire.RunInfo{Run: runNamed("a"), Class: 1, First: 1}), (&wire.Bind{}).Append(nil))
		e.want(wire.KindWelcome)
		lane, err := c.OpenLane(w.ctx, wire.LaneLive)
		if err != nil {
			t.Fatal(err)
		}
		says(t, lane, (&wire.LaneStart{Lane: wire.LaneLive}).Append(nil), testSchema("a", 1, "hq/c1", 10), testClock("a", 1, 100), testFrame("a", 1, 1, 1))
		e.wantAck(1)
		// QUIC is back: the gateway's new connection ends this one.
		w.connect("hq/gw").want(wire.KindWelcome)
		<-c.Gone()
		var closed *carrier.CloseError
		if err := context.Cause(c.Context()); !errors.As(err, &closed) || closed.Code != wire.CloseSuperseded || !closed.Remote {
			t.Errorf("ended with %v", err)
		}
		if got := w.journal.kinds(); got != "hello bind schema clock frame hello bind" {
			t.Errorf("journaled: %s", got)
		}
	})
}

func TestAHandshakeOverTCPThatFailsIsCountedAndExplained(t *testing.T) {
	overTCP(t, nil, func(w *world, p *pipes) {
		other, err := identity.OpenCA(filepath.Join(t.TempDir(), "other"))
		if err != nil {
			t.Fatal(err)
		}
		cfg := w.clientTLS(w.ca, "hq/gw")
		cfg.GetClientCertificate = w.clientTLS(other, "hq/gw").GetClientCertificate
		c := w.dialTCP(p, cfg) // a TLS 1.3 client learns of it afterwards
		<-c.Gone()
		if err := context.Cause(c.Context()); !strings.Contains(err.Error(), "unknown certificate authority") {
			t.Errorf("the gateway sees %v", err)
		}
		time.Sleep(time.Second)
		if !strings.Contains(w.log.String(), "unknown authority") || w.counted("atrium_gate_handshake_failures_total") != 1 {
			t.Errorf("it was not counted, or not logged:\n%s", w.log)
		}
		if n := w.gate.handshakes(); n != 0 {
			t.Errorf("%d handshakes are left", n)
		}
	})
}

// I5: a TCP connection takes a place among the handshakes, and those beyond the
// rate are closed at once.
func TestTCPConnectionsAreAdmittedLikeQUICs(t *testing.T) {
	overTCP(t, func(c *Config) { c.MaxHandshakes = 1 }, func(w *world, p *pipes) {
		silent := p.dial()
		time.Sleep(10 * time.Millisecond)
		if n := w.gate.handshakes(); n != 1 {
			t.Errorf("%d handshakes, want 1", n)
		}
		if _, err := p.dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the second sees %v, want its end", err)
		}
		if n := w.counted("atrium_gate_handshakes_turned_away_total"); n != 1 {
			t.Errorf("%v were counted as refused", n)
		}
		time.Sleep(handshakeTimeout + time.Second)
		if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || w.gate.handshakes() != 0 {
			t.Errorf("after its time the silent one sees %v, %d handshakes are left", err, w.gate.handshakes())
		}
	})
}
