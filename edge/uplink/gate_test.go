package uplink_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// network is a simulated network with one gateway and one gate. Packets vanish
// while it is cut, and queue in front of a link of rate bytes a second.
type network struct {
	simnet.Simnet
	router  *cutRouter
	gateway *simnet.SimConn
	gates   []*simnet.SimConn // as gateAddrs
}

// cutRouter also translates the gateway's address as a NAT does.
type cutRouter struct {
	simnet.PerfectRouter
	mu       sync.Mutex
	cut      bool
	dark     string       // an address that nothing reaches or leaves
	external *net.UDPAddr // what the gate sees of the gateway; nil: its own
}

func (r *cutRouter) SendPacket(p simnet.Packet) error {
	r.mu.Lock()
	cut, external := r.cut || p.To.String() == r.dark || p.From.String() == r.dark, r.external
	r.mu.Unlock()
	if cut {
		return nil
	}
	switch {
	case external == nil:
	case p.From.String() == gatewayAddr.String():
		p.From = external
	case p.To.String() == external.String():
		p.To = gatewayAddr
	default:
		return nil // to an address that is forgotten
	}
	return r.PerfectRouter.SendPacket(p)
}

// rebind gives the gateway another address.
func (r *cutRouter) rebind(external *net.UDPAddr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.external = external
}

func (n *network) setCut(cut bool) {
	n.router.mu.Lock()
	defer n.router.mu.Unlock()
	n.router.cut = cut
}

func (n *network) setDark(addr string) {
	n.router.mu.Lock()
	defer n.router.mu.Unlock()
	n.router.dark = addr
}

const delay = 20 * time.Millisecond // each way

// The addresses of gates have 4 bytes, as resolved ones have: simnet routes by
// the bytes.
var gateAddrs = []*net.UDPAddr{{IP: net.IP{10, 0, 0, 2}, Port: 7443}, {IP: net.IP{10, 0, 0, 3}, Port: 7443}}

var (
	gateAddr    = gateAddrs[0]
	gatewayAddr = &net.UDPAddr{IP: net.IP{10, 0, 0, 1}, Port: 1000}
)

func newNetwork(t *testing.T, rate int) *network {
	n := &network{router: &cutRouter{}}
	n.Simnet.Router = n.router
	n.gateway = n.NewEndpoint(gatewayAddr, simnet.NodeBiDiLinkSettings{Latency: delay})
	for _, addr := range gateAddrs {
		n.gates = append(n.gates, n.NewEndpoint(addr, simnet.NodeBiDiLinkSettings{LatencyFunc: shaped(rate)}))
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.gateway.Close()
		for _, g := range n.gates {
			g.Close()
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// shaped returns the latency of a queue without end in front of a slow link.
func shaped(rate int) func(simnet.Packet) time.Duration {
	var mu sync.Mutex
	var free time.Time
	return func(p simnet.Packet) time.Duration {
		if rate == 0 {
			return delay
		}
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if free.Before(now) {
			free = now
		}
		free = free.Add(time.Duration(len(p.Data)) * time.Second / time.Duration(rate))
		return free.Sub(now) + delay
	}
}

// received is a frame or gap as it reached the gate, what it discards by
// go-back-N included.
type received struct {
	conn        int // from 1
	lane        wire.Lane
	kind        wire.Kind
	run         id.Run
	first, last uint64
	at          time.Time
	bytes       []byte
	discarded   bool
}

// reply is what the scripted gate does with a frame: silence, an ack, or a
// reject for a reason.
type reply struct {
	ack    bool
	reject wire.RejectReason
}

// gate speaks the protocol's other side as its script says.
type gate struct {
	t         *testing.T
	transport *quic.Transport
	listener  *quic.Listener
	tcp       chan net.Conn
	stopped   chan struct{}
	credit    uint64               // in welcome
	reply     func(received) reply // called in order of arrival
	close     *carrier.CloseError  // instead of welcome
	instead   []byte               // likewise, a message
	version   uint64               // in welcome
	also      [][]byte             // messages after welcome
	rests     [2]time.Duration     // before and after it reads its clock for an answer
	slow      time.Duration        // ahead of welcome

	mu      sync.Mutex
	conns   []carrier.Conn
	hellos  []wire.Hello
	again   []wire.Hello // on connections that were welcomed
	named   map[connRun]bool
	binds   []wire.Bind
	schemas int
	answers []answer
	frames  []received
	ends    []error // of connections
	running sync.WaitGroup
	control carrier.Stream // of the last connection
	waiting map[id.Run]uint64
}

// connRun is a run on a connection.
type connRun struct {
	conn int
	run  id.Run
}

// plenty is a credit that no test uses up.
const plenty = 1 << 40

func newGate(t *testing.T, socket *simnet.SimConn, conf *tls.Config) *gate {
	g := &gate{
		t: t, transport: &quic.Transport{Conn: socket}, tcp: make(chan net.Conn), stopped: make(chan struct{}),
		credit: plenty, version: 1, named: map[connRun]bool{},
	}
	g.reply = func(received) reply { return reply{ack: true} }
	var err error
	if g.listener, err = g.transport.Listen(conf, &quic.Config{
		MaxIdleTimeout: time.Minute, InitialStreamReceiveWindow: 16 << 20, InitialConnectionReceiveWindow: 16 << 20, // no bound of its own
	}); err != nil {
		t.Fatal(err)
	}
	g.running.Go(g.accept)
	g.running.Go(func() { g.acceptTCP(conf) })
	t.Cleanup(func() {
		g.mu.Lock()
		for _, c := range g.conns {
			c.Close(wire.CloseShutdown, "")
		}
		g.mu.Unlock()
		close(g.stopped)
		g.listener.Close()
		g.transport.Close()
		g.running.Wait()
	})
	return g
}

func (g *gate) accept() {
	for {
		conn, err := g.listener.Accept(context.Background())
		if err != nil {
			return
		}
		g.begin(carrier.OverQUIC(conn))
	}
}

// acceptTCP serves one end of what dialTCP makes.
func (g *gate) acceptTCP(conf *tls.Config) {
	for {
		select {
		case raw := <-g.tcp:
			g.running.Go(func() {
				if conn, err := carrier.AcceptTCP(context.Background(), raw, conf, carrier.TCPConfig{Idle: time.Minute}); err == nil {
					g.begin(conn)
					<-conn.Gone()
				}
			})
		case <-g.stopped:
			return
		}
	}
}

// dialTCP connects to the gate over TCP.
func (g *gate) dialTCP() (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case g.tcp <- b:
		return a, nil
	case <-g.stopped:
		return nil, net.ErrClosed
	}
}

func (g *gate) begin(conn carrier.Conn) {
	g.mu.Lock()
	g.conns = append(g.conns, conn)
	number := len(g.conns)
	g.waiting = map[id.Run]uint64{}
	g.mu.Unlock()
	g.running.Go(func() {
		err := g.serve(conn, number)
		g.mu.Lock()
		g.ends = append(g.ends, err)
		g.mu.Unlock()
	})
}

func (g *gate) serve(conn carrier.Conn, number int) error {
	control, err := conn.AcceptControl(context.Background())
	if err != nil {
		return err
	}
	r := wire.NewReader(control, wire.MaxControl)
	if err := g.greet(number, conn, control, r); err != nil {
		return err
	}
	for range 2 {
		stream, err := conn.AcceptLane(context.Background())
		if err != nil {
			return err
		}
		g.running.Go(func() { g.lane(number, control, stream) })
	}
	for {
		msg, err := r.Next()
		if err != nil {
			return err
		}
		switch kind, err := wire.Peek(msg); {
		case err == nil && kind == wire.KindResult:
			g.takeResult(number, msg)
		case err == nil && kind == wire.KindHello:
			g.greetAgain(number, control, msg)
		case err == nil && kind == wire.KindAskTime:
			g.tellTime(control, msg)
		default:
			g.takeBind(msg)
		}
	}
}

// greetAgain answers another hello on a connection.
func (g *gate) greetAgain(number int, control carrier.Stream, msg []byte) {
	hello, err := wire.ParseHello(msg)
	if err != nil {
		g.t.Error(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.name(number, hello)
	g.again = append(g.again, hello)
	w := wire.Welcome{Version: g.version, Cluster: "c", Node: "n", Now: uint64(time.Now().UnixMilli()), Credit: g.credit}
	g.say(control, w.Append(nil))
}

// name notes the runs of a hello, with g.mu held.
func (g *gate) name(number int, hello wire.Hello) {
	for _, r := range hello.Runs {
		g.named[connRun{number, r.Run}] = true
	}
}

// tellTime answers, and rests before and after it reads the clock.
func (g *gate) tellTime(control carrier.Stream, msg []byte) {
	ask, err := wire.ParseAskTime(msg)
	if err != nil {
		g.t.Error(err)
	}
	time.Sleep(g.rests[0])
	answer := wire.Time{Question: ask.Question, Now: uint64(time.Now().UnixMilli())}
	time.Sleep(g.rests[1])
	g.mu.Lock()
	defer g.mu.Unlock()
	g.say(control, answer.Append(nil))
}

// answer is a result as it reached the gate.
type answer struct {
	conn   int
	result wire.Result
}

func (g *gate) takeResult(number int, msg []byte) {
	r, err := wire.ParseResult(msg)
	if err != nil {
		g.t.Error(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answers = append(g.answers, answer{number, r})
}

// tell writes messages to the gateway that is connected.
func (g *gate) tell(msgs ...[]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range msgs {
		g.say(g.control, m)
	}
}

// answered returns the connection and the first byte of each result's id.
func (g *gate) answered() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, a := range g.answers {
		out = append(out, fmt.Sprintf("%d:%d", a.conn, a.result.ID[0]))
	}
	return strings.Join(out, " ")
}

func (g *gate) greet(number int, conn carrier.Conn, control carrier.Stream, r *wire.Reader) error {
	msg, err := r.Next()
	if err != nil {
		return err
	}
	hello, err := wire.ParseHello(msg)
	if err != nil {
		g.t.Error(err)
	}
	if msg, err = r.Next(); err != nil {
		return err
	}
	g.takeBind(msg)
	time.Sleep(g.slow)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hellos = append(g.hellos, hello)
	g.name(number, hello)
	g.control = control
	if g.close != nil {
		conn.Close(g.close.Code, g.close.Text)
		return g.close
	}
	if g.instead != nil {
		_, err = control.Write(wire.AppendItem(nil, g.instead))
		return err
	}
	w := wire.Welcome{Version: g.version, Cluster: "c", Node: "n", Now: uint64(time.Now().UnixMilli()), Credit: g.credit}
	greeting := wire.AppendItem(nil, w.Append(nil))
	for _, msg := range g.also {
		greeting = wire.AppendItem(greeting, msg)
	}
	_, err = control.Write(greeting)
	return err
}

func (g *gate) takeBind(msg []byte) {
	bind, err := wire.ParseBind(msg)
	if err != nil {
		g.t.Error(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.binds = append(g.binds, bind)
}

func (g *gate) lane(number int, control carrier.Stream, stream io.Reader) {
	r := wire.NewReader(stream, wire.MaxFrame)
	msg, err := r.Next()
	if err != nil {
		return
	}
	start, err := wire.ParseLaneStart(msg)
	if err != nil {
		g.t.Error(err)
		return
	}
	for {
		msg, err := r.Next()
		if err != nil {
			return
		}
		g.take(number, start.Lane, control, msg)
	}
}

func (g *gate) take(number int, lane wire.Lane, control carrier.Stream, msg []byte) {
	kind, err := wire.Peek(msg)
	if err != nil {
		g.t.Error(err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if kind == wire.KindSchema {
		g.schemas++
	}
	if !kind.IsFrame() && kind != wire.KindGap {
		return
	}
	f := received{conn: number, lane: lane, kind: kind, at: time.Now(), bytes: slices.Clone(msg)}
	if f.run, f.first, f.last, err = wire.PeekSeq(msg); err != nil {
		g.t.Error(err)
		return
	}
	if !g.named[connRun{number, f.run}] {
		g.t.Errorf("run %s was not named on connection %d", f.run, number)
	}
	if want := g.waiting[f.run]; want != 0 && want != f.first {
		f.discarded = true
		g.frames = append(g.frames, f)
		return
	}
	delete(g.waiting, f.run)
	answer := g.reply(f)
	g.frames = append(g.frames, f)
	switch {
	case answer.reject != 0:
		g.waiting[f.run] = f.first
		m := wire.Reject{Run: f.run, Seq: f.first, Reason: answer.reject, Text: "script"}
		g.say(control, m.Append(nil))
	case answer.ack:
		m := wire.Ack{Runs: []wire.RunSeq{{Run: f.run, Seq: f.last}}}
		g.say(control, m.Append(nil))
	}
}

// say writes a message to a gateway that may be gone.
func (g *gate) say(control carrier.Stream, msg []byte) {
	_, _ = control.Write(wire.AppendItem(nil, msg))
}

func (g *gate) grant(total uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := wire.Credit{Total: total}
	g.say(g.control, m.Append(nil))
}

// taken returns the frames and gaps that were not discarded.
func (g *gate) taken() []received {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(g.frames), func(f received) bool { return f.discarded })
}

func (g *gate) connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

// conn returns the nth connection, from 1.
func (g *gate) conn(n int) carrier.Conn {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conns[n-1]
}
