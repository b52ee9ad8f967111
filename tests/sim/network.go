package sim

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// weather is how the network treats packets.
type weather struct {
	loss, duplicate float64       // probabilities a packet
	delay, jitter   time.Duration // each way; jitter reorders
}

// calm is the network without faults. The delay is never 0: an ack must not
// reach its gateway before the watchers saw the log.
func calm() weather { return weather{delay: 2 * time.Millisecond} }

// network is a router between endpoints that come and go.
type network struct {
	mu      sync.Mutex
	rng     *rand.Rand
	weather weather
	nodes   map[string]simnet.PacketReceiver
	ended   map[string]bool // addresses whose process has ended: nothing leaves or reaches them
	dark    map[string]bool // hosts without a link
	deaf    map[string]bool // hosts that send and hear nothing
}

func newNetwork(seed uint64) *network {
	return &network{
		rng: rand.New(rand.NewPCG(seed, 0x6e6574)), weather: calm(),
		nodes: map[string]simnet.PacketReceiver{}, ended: map[string]bool{}, dark: map[string]bool{}, deaf: map[string]bool{},
	}
}

func (n *network) set(w weather) { n.mu.Lock(); n.weather = w; n.mu.Unlock() }

// isolate cuts a socket off, as the end of its process does.
func (n *network) isolate(addr net.Addr) { n.mu.Lock(); n.ended[addr.String()] = true; n.mu.Unlock() }

// blackout cuts a host off, or gives it its link back.
func (n *network) blackout(host net.IP, dark bool) {
	n.mu.Lock()
	n.dark[host.String()] = dark
	n.mu.Unlock()
}

// deafen lets nothing come to a host, or lets it hear again: what it sends
// arrives, and the acks are lost.
func (n *network) deafen(host net.IP, deaf bool) {
	n.mu.Lock()
	n.deaf[host.String()] = deaf
	n.mu.Unlock()
}

// hears is asked with n.mu held.
func (n *network) hears(addr net.Addr) bool {
	udp, ok := addr.(*net.UDPAddr)
	return !ok || !n.deaf[udp.IP.String()]
}

// unreachable is asked with n.mu held.
func (n *network) unreachable(addr net.Addr) bool {
	udp, ok := addr.(*net.UDPAddr)
	return n.ended[addr.String()] || ok && n.dark[udp.IP.String()]
}

// AddNode implements simnet.Router. The latest node of an address has it.
func (n *network) AddNode(addr net.Addr, r simnet.PacketReceiver) {
	n.mu.Lock()
	n.nodes[addr.String()] = r
	delete(n.ended, addr.String())
	n.mu.Unlock()
}

// SendPacket implements simnet.Router.
func (n *network) SendPacket(p simnet.Packet) error {
	n.mu.Lock()
	to := n.nodes[p.To.String()]
	copies := 1
	switch {
	case n.unreachable(p.To) || n.unreachable(p.From) || !n.hears(p.To) || n.rng.Float64() < n.weather.loss:
		copies = 0
	case n.rng.Float64() < n.weather.duplicate:
		copies = 2
	}
	n.mu.Unlock()
	if to == nil {
		return errors.New("unknown destination")
	}
	for range copies {
		to.RecvPacket(p)
	}
	return nil
}

// latency is drawn for each packet, so that a later one may overtake.
func (n *network) latency(simnet.Packet) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.weather.delay
	if n.weather.jitter > 0 {
		d += time.Duration(n.rng.Int64N(int64(n.weather.jitter)))
	}
	return d
}

// endpoint is a UDP socket on the network.
type endpoint struct {
	*simnet.SimConn
	link *simnet.SimulatedLink
}

func (n *network) endpoint(addr *net.UDPAddr) *endpoint {
	link := &simnet.SimulatedLink{LatencyFunc: n.latency, UploadPacket: n}
	e := &endpoint{SimConn: simnet.NewBlockingSimConn(addr, link), link: link}
	link.Start()
	n.AddNode(addr, link)
	return e
}

// Close ends the socket and what is on its way to it.
func (e *endpoint) Close() error {
	return errors.Join(e.SimConn.Close(), e.link.Close())
}
