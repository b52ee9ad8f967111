package gate

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/atrium-iot/atrium/cloud/identity"
)

// shuffler leads the first packet for a gate to the first of two, and all later
// ones to the second, as a balancer may whose table changes. Answers come from
// the address that was dialled.
type shuffler struct {
	simnet.PerfectRouter
	second *net.UDPAddr

	mu     sync.Mutex
	change bool // after the first answer
}

func (s *shuffler) SendPacket(p simnet.Packet) error {
	s.mu.Lock()
	switch {
	case p.To.String() != gateAddr.String(): // an answer
		s.change, p.From = true, gateAddr
	case s.change:
		p.To = s.second
	}
	s.mu.Unlock()
	return s.PerfectRouter.SendPacket(p)
}

// proven has a gateway prove its address to one gate, under a flood, and go on
// to another with keys of its own. It returns how the dial ended.
func proven(t *testing.T, keys [2]Keys) error {
	ca, err := identity.OpenCA(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	second := &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 7447}
	w := &world{t: t, ca: ca, net: &simnet.Simnet{Router: &shuffler{second: second}}}
	link := simnet.NodeBiDiLinkSettings{Latency: 5 * time.Millisecond}
	sockets := []*simnet.SimConn{w.net.NewEndpoint(gateAddr, link), w.net.NewEndpoint(second, link)}
	client := w.net.NewEndpoint(&net.UDPAddr{IP: net.IPv4(10, 0, 1, 1), Port: 1000}, link)
	w.net.Start()
	defer w.net.Close()
	conf, err := ca.ServerTLS("n1", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i, socket := range sockets {
		g := New(Config{Cluster: ca.Cluster(), Node: "n1", TLS: conf, Identify: ca.GatewayOf}, fakeCatalog{}, &fakeJournal{}, slog.New(slog.DiscardHandler), nil)
		g.alive.Store(maxUnproven) // there is a flood
		transport := Transport(socket, keys[i])
		all.Go(func() {
			if err := g.Serve(ctx, transport); err != nil {
				t.Error(err)
			}
			transport.Close()
			socket.Close()
		})
	}
	defer all.Wait()
	defer cancel()
	synctest.Wait()
	gateway := &quic.Transport{Conn: client}
	defer func() { gateway.Close(); client.Close() }()
	conn, err := gateway.Dial(ctx, gateAddr, w.clientTLS(ca, "hq/gw"), nil)
	if err == nil {
		conn.CloseWithError(0, "")
	}
	return err
}

func TestAnAddressProvenToOneGateIsProvenToAll(t *testing.T) {
	shared := Keys{Token: [32]byte{1}}
	synctest.Test(t, func(t *testing.T) {
		if err := proven(t, [2]Keys{shared, shared}); err != nil {
			t.Errorf("with the cluster's key the dial ended with %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		if err := proven(t, [2]Keys{shared, {Token: [32]byte{2}}}); err == nil {
			t.Error("with another key the dial went through: nothing had to be proven")
		}
	})
}
