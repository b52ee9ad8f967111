package link

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/buffer/buffertest"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// I1 behind a plain balancer: a NAT gives the flow another port, the balancer
// another gate, and that gate says at once that it knows no such connection. A
// few round trips later the gateway has a connection to it; nothing is lost,
// and nothing comes twice under another name.
func TestARebindThatLeadsToAnotherGateCostsAFewRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gates := []*net.UDPAddr{{IP: net.IP{10, 0, 0, 1}, Port: 7443}, {IP: net.IP{10, 0, 0, 2}, Port: 7443}}
		gateway := &net.UDPAddr{IP: net.IP{10, 0, 1, 1}, Port: 1000}
		router := newBalancer(gates...)
		router.rebind(gateway, 0)
		network := &simnet.Simnet{Router: router}
		t.Cleanup(func() { network.Close() })
		sockets := []*simnet.SimConn{endpoint(t, network, gates[0]), endpoint(t, network, gates[1])}
		socket := endpoint(t, network, gateway)
		network.Start()

		ca, log := newCA(t), newLog(t)
		nodes := []*node{startNode(t, ca, "n1", sockets[0], log, 0), startNode(t, ca, "n2", sockets[1], log, 0)}
		b, series := openBuffer(t)
		connect(t, ca, id.Gateway{Site: "hq", Name: "gw"}, vip, socket, uplink.FromBuffer(b))
		rows := uint64(0)
		sample := func(n int) {
			for range n {
				rows++
				if err := series.Append(time.Now().UnixMilli(), 0, []int64{int64(rows)}, 0); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		sample(100)
		for i := range 6 {
			serves := (i + 1) % 2
			router.rebind(gateway, serves)
			rebound := time.Now()
			before := log.lastNew()
			sample(1)
			for log.lastNew() == before && time.Since(rebound) < time.Minute {
				time.Sleep(delay)
			}
			// linger, reset, handshake, hello, frame: and some to spare.
			if took := time.Since(rebound); took > 10*2*delay {
				t.Errorf("rebind %d: the next frame came after %v", i, took)
			}
			if n := nodes[serves].gate.Connections(); n != 1 {
				t.Errorf("rebind %d: the gate has %d connections", i, n)
			}
			sample(100)
		}
		time.Sleep(2 * time.Second)
		if s := b.Stats(); s.Frames != 0 || s.Acked != rows {
			t.Errorf("%d rows were sampled, %d acked, %d frames are left", rows, s.Acked, s.Frames)
		}
		// The other gate's connection ends by its own silence.
		time.Sleep(2 * time.Minute)
		if n := nodes[0].gate.Connections() + nodes[1].gate.Connections(); n != 1 {
			t.Errorf("%d connections are left", n)
		}
	})
}

func openBuffer(t *testing.T) (*buffer.Buffer, *buffer.Series) {
	t.Helper()
	store, err := buffertest.NewDisk(1).Open()
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	b, err := buffer.Open(t.Context(), buffer.Config{Now: func() time.Duration { return time.Since(started) }, Boot: id.Boot{1}}, store, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	body := wire.Body{Profile: "test", Version: 1, Tick: 1_000_000, Columns: []wire.Column{{Point: "p", Unit: "1", Mantissa: 1}}}
	series, err := b.Series(id.Device{Site: "hq", Name: "t1"}, body, [32]byte{1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b, series
}
