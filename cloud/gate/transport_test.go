package gate

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/atrium-iot/atrium/cloud/identity"
)

// restarted connects a gateway, ends the node's transport without a word, as a
// kill does, begins another with key, and returns how the connection ended.
func restarted(t *testing.T, key [32]byte) error {
	ca, err := identity.OpenCA(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, ctx: t.Context(), ca: ca, net: &simnet.Simnet{Router: &simnet.PerfectRouter{}}}
	link := simnet.NodeBiDiLinkSettings{Latency: 5 * time.Millisecond}
	server := w.net.NewEndpoint(gateAddr, link)
	client := w.net.NewEndpoint(&net.UDPAddr{IP: net.IPv4(10, 0, 1, 1), Port: 1000}, link)
	w.net.Start()
	defer w.net.Close()
	conf, err := ca.ServerTLS("n1", nil)
	if err != nil {
		t.Fatal(err)
	}
	first := Transport(server, Keys{Reset: [32]byte{1}})
	ln, err := first.Listen(conf, quicConfig())
	if err != nil {
		t.Fatal(err)
	}
	gateway := &quic.Transport{Conn: client}
	defer func() { gateway.Close(); client.Close(); server.Close() }()
	conn, err := gateway.Dial(w.ctx, gateAddr, w.clientTLS(ca, "hq/gw"), &quic.Config{MaxIdleTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ln.Accept(w.ctx); err != nil {
		t.Fatal(err)
	}
	first.Close()

	second := Transport(server, Keys{Reset: key})
	defer second.Close()
	if ln, err = second.Listen(conf, quicConfig()); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s, err := conn.OpenStream()
	if err != nil {
		return err
	}
	s.Write(make([]byte, 500))
	<-conn.Context().Done()
	return context.Cause(conn.Context())
}

func TestARestartedNodeTellsItsFormerConnectionsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var reset *quic.StatelessResetError
		if err := restarted(t, [32]byte{1}); !errors.As(err, &reset) {
			t.Errorf("the connection ended with %v, want a stateless reset", err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAResetWithAnotherKeyIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var idle *quic.IdleTimeoutError
		if err := restarted(t, [32]byte{2}); !errors.As(err, &idle) {
			t.Errorf("the connection ended with %v, want silence", err)
		}
	})
}
