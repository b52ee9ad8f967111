package link

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// delay is the network's each way: a link's latency counts for what comes.
const delay = 20 * time.Millisecond

// balancer is a plain one for UDP with a NAT in front of it: gateways dial vip
// and are seen as an address of the NAT; who serves a flow follows from that
// address alone, as with a hash of the four-tuple.
type balancer struct {
	simnet.PerfectRouter
	gates []*net.UDPAddr

	mu   sync.Mutex
	seen map[string]*net.UDPAddr // a gateway's address: the NAT's
	from map[string]*net.UDPAddr // the other way
}

var vip = &net.UDPAddr{IP: net.IP{10, 0, 0, 100}, Port: 7443}

func newBalancer(gates ...*net.UDPAddr) *balancer {
	return &balancer{gates: gates, seen: map[string]*net.UDPAddr{}, from: map[string]*net.UDPAddr{}}
}

// rebind gives the flows of a gateway another port of the NAT: one that leads
// to gates[n].
func (b *balancer) rebind(gateway *net.UDPAddr, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	port := 20_000 + len(b.from)
	for port%len(b.gates) != n {
		port++
	}
	at := &net.UDPAddr{IP: net.IP{192, 0, 2, 1}, Port: port}
	b.seen[gateway.String()], b.from[at.String()] = at, gateway
}

func (b *balancer) SendPacket(p simnet.Packet) error {
	b.mu.Lock()
	if p.To.String() == vip.String() {
		at := b.seen[p.From.String()]
		p.From, p.To = at, b.gates[at.Port%len(b.gates)]
	} else {
		to := b.from[p.To.String()]
		if b.seen[to.String()].String() != p.To.String() {
			b.mu.Unlock()
			return nil // the NAT has forgotten the flow
		}
		p.From, p.To = vip, to
	}
	b.mu.Unlock()
	return b.PerfectRouter.SendPacket(p)
}

func endpoint(t *testing.T, n *simnet.Simnet, addr *net.UDPAddr) *simnet.SimConn {
	t.Helper()
	c := n.NewEndpoint(addr, simnet.NodeBiDiLinkSettings{Latency: delay})
	t.Cleanup(func() { c.Close() })
	return c
}
