package sim

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/shared/id"
	edgeidentity "github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/wire"
)

// stranger has a valid certificate and sends rubbish: what it says must change
// nothing (I6).
type stranger struct {
	net   *network
	trace *trace
	creds *edgeidentity.Credentials

	mu     sync.Mutex
	rng    *rand.Rand
	visits int
}

func newStranger(s *Sim, ca *identity.CA) (*stranger, error) {
	name := id.Gateway{Site: "hq", Name: "stranger"}
	creds, err := credentials(ca, name)
	if err != nil {
		return nil, err
	}
	s.tap.distrust(name)
	return &stranger{net: s.net, trace: s.trace, creds: creds, rng: rand.New(rand.NewPCG(s.plan.Seed, 0x737472))}, nil
}

// visit connects to each node and sends rubbish: datagrams outside QUIC, then
// random bytes instead of a greeting, or a greeting and random lanes.
func (s *stranger) visit(ctx context.Context) {
	s.mu.Lock()
	s.visits++
	socket := s.net.endpoint(&net.UDPAddr{IP: net.IP{10, 0, 9, 1}, Port: 1000 + s.visits})
	s.mu.Unlock()
	transport := &quic.Transport{Conn: socket}
	defer socket.Close()
	defer transport.Close()
	for slot := range pair {
		_, _ = socket.WriteTo(s.random(1200), nodeAddr(slot)) // lost or not, both are fine
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		conf := s.creds.ClientTLS(nil)
		conf.ServerName = edgeidentity.NodeServerName
		conn, err := transport.Dial(ctx, nodeAddr(slot), conf, &quic.Config{})
		if err == nil {
			s.talk(ctx, conn)
			_ = conn.CloseWithError(0, "")
		}
		cancel()
	}
}

// talk ignores errors: the gate closes the connection when it has had enough.
func (s *stranger) talk(ctx context.Context, conn *quic.Conn) {
	control, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return
	}
	if s.coin() {
		_, _ = control.Write(s.random(1 + s.upTo(5000)))
	} else {
		hello := wire.Hello{
			Min: wire.Version, Max: wire.Version, Agent: "stranger", Board: id.Board{0xff}, Interval: 1000, Boots: []id.Boot{{0xff}},
			Runs: []wire.RunInfo{{Run: id.Run{0xff}, Class: wire.Telemetry, First: 1}},
		}
		bind := wire.Bind{}
		_, _ = control.Write(wire.AppendItem(wire.AppendItem(nil, hello.Append(nil)), bind.Append(nil)))
		s.lanes(ctx, conn)
	}
	select {
	case <-conn.Context().Done():
	case <-ctx.Done():
	}
}

// lanes opens a lane as it should be and fills it with items of random bytes,
// some of which begin as frames do.
func (s *stranger) lanes(ctx context.Context, conn *quic.Conn) {
	lane, err := conn.OpenUniStreamSync(ctx)
	if err != nil {
		return
	}
	start := wire.LaneStart{Lane: wire.LaneLive}
	msg := wire.AppendItem(nil, start.Append(nil))
	for range 1 + s.upTo(20) {
		body := s.random(1 + s.upTo(300))
		if s.coin() {
			f := wire.Frame{Run: id.Run{0xff}, Seq: uint64(1 + s.upTo(3)), Clk: 1, Blocks: []wire.Block{{SID: 1, N: 1, Data: s.random(8)}}}
			body = f.Append(nil)
			if s.coin() {
				body[s.upTo(len(body))] ^= 1 << s.upTo(8)
			}
		}
		msg = wire.AppendItem(msg, body)
	}
	_, _ = lane.Write(msg)
}

func (s *stranger) random(n int) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.rng.Uint32())
	}
	return b
}

func (s *stranger) upTo(n int) int { s.mu.Lock(); defer s.mu.Unlock(); return s.rng.IntN(n) }
func (s *stranger) coin() bool     { return s.upTo(2) == 0 }
