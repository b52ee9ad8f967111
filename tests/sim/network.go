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
	blocked map[string]bool // hosts whose UDP does not pass

	// What a NAT makes of sockets whose address has changed: as what others see
	// them, and the other way.
	seen map[string]*net.UDPAddr
	home map[string]string
	nats int

	steered   map[string]bool // hosts whose packets to one node go to the other
	listeners map[string]*listener
	tcps      int // TCP connections so far
}

func newNetwork(seed uint64) *network {
	return &network{
		rng: rand.New(rand.NewPCG(seed, 0x6e6574)), weather: calm(),
		nodes: map[string]simnet.PacketReceiver{}, ended: map[string]bool{}, dark: map[string]bool{}, deaf: map[string]bool{}, blocked: map[string]bool{},
		seen: map[string]*net.UDPAddr{}, home: map[string]string{}, steered: map[string]bool{}, listeners: map[string]*listener{},
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

// blockUDP lets no UDP pass from or to a host, or lets it pass again.
func (n *network) blockUDP(host net.IP, blocked bool) {
	n.mu.Lock()
	n.blocked[host.String()] = blocked
	n.mu.Unlock()
}

// rebind has a NAT forget the flows of a host: from now on its sockets are seen
// at other ports, and what is on its way to the old ones is lost.
func (n *network) rebind(host net.IP) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for at := range n.nodes {
		if ip, _, err := net.SplitHostPort(at); err != nil || ip != host.String() || n.ended[at] {
			continue
		}
		n.nats++
		n.seen[at] = &net.UDPAddr{IP: net.IP{192, 0, 2, 1}, Port: 20_000 + n.nats}
		n.home[n.seen[at].String()] = at
	}
}

// steer lets a host meet another node at each node's address, as a balancer
// does that has changed its mind, or the right one again.
func (n *network) steer(host net.IP, steered bool) {
	n.mu.Lock()
	n.steered[host.String()] = steered
	n.mu.Unlock()
}

// met is who a host meets at a node's address, and as whom it knows a node.
// n.mu is held.
func (n *network) met(host, at net.Addr) net.Addr {
	ip, _, err := net.SplitHostPort(host.String())
	if err != nil || !n.steered[ip] {
		return at
	}
	for slot := range pair {
		if a := nodeAddr(slot); a.String() == at.String() {
			return nodeAddr((slot + 1) % pair)
		}
	}
	return at
}

// translate returns where a packet goes and what it is seen to come from; to is
// empty if a NAT has forgotten its flow. n.mu is held.
func (n *network) translate(p *simnet.Packet) (to string) {
	to = n.met(p.From, p.To).String()
	if home, ok := n.home[to]; ok {
		if n.seen[home].String() != to {
			return ""
		}
		to = home
	} else if n.seen[to] != nil {
		return ""
	}
	return to
}

// passes says whether a packet from one socket reaches another, but for loss.
// n.mu is held.
func (n *network) passes(from, to string) bool {
	for _, at := range []string{from, to} {
		host, _, err := net.SplitHostPort(at)
		if err != nil || n.ended[at] || n.dark[host] || n.blocked[host] {
			return false
		}
	}
	host, _, _ := net.SplitHostPort(to)
	return !n.deaf[host]
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
	at, from := n.translate(&p), p.From.String()
	to := n.nodes[at]
	copies := 1
	switch {
	case at == "" || !n.passes(from, at) || n.rng.Float64() < n.weather.loss:
		copies = 0
	case n.rng.Float64() < n.weather.duplicate:
		copies = 2
	}
	if as := n.seen[from]; as != nil {
		p.From = as
	} else if host, err := net.ResolveUDPAddr("udp", at); err == nil {
		p.From = n.met(host, p.From)
	}
	n.mu.Unlock()
	if to == nil && at != "" {
		return errors.New("unknown destination")
	}
	for range copies {
		to.RecvPacket(p)
	}
	return nil
}

// latency is drawn for each packet, so that a later one may overtake.
func (n *network) latency() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := n.weather.delay
	if n.weather.jitter > 0 {
		d += time.Duration(n.rng.Int64N(int64(n.weather.jitter)))
	}
	return d
}

// counts returns how often a NAT gave another address, and the connections over
// TCP.
func (n *network) counts() (rebinds, tcps int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.nats, n.tcps
}

// endpoint is a UDP socket on the network.
type endpoint struct {
	*simnet.SimConn
	link *simnet.SimulatedLink
}

func (n *network) endpoint(addr *net.UDPAddr) *endpoint {
	link := &simnet.SimulatedLink{LatencyFunc: func(simnet.Packet) time.Duration { return n.latency() }, UploadPacket: n}
	e := &endpoint{SimConn: simnet.NewBlockingSimConn(addr, link), link: link}
	link.Start()
	n.AddNode(addr, link)
	return e
}

// Close ends the socket and what is on its way to it.
func (e *endpoint) Close() error {
	return errors.Join(e.SimConn.Close(), e.link.Close())
}
