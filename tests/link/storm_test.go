package link

import (
	"flag"
	"fmt"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

var gateways = flag.Int("link.gateways", 60, "how many gateways reconnect at once; 1,000 take half a minute")

// empty is a buffer that holds nothing.
type empty struct{ boot id.Boot }

func (e empty) Connect() (buffer.Session, error) {
	return buffer.Session{Hello: wire.Hello{Boots: []id.Boot{e.boot}}}, nil
}
func (empty) Welcomed(buffer.Session)                        {}
func (empty) Disconnect()                                    {}
func (empty) Resume()                                        {}
func (empty) Cursor(id.Run) uplink.Cursor                    { return nil }
func (empty) Ack(id.Run, uint64)                             {}
func (empty) Reject(id.Run, uint64, wire.RejectReason) error { return nil }

// I5: a node that starts again has all its gateways at its door at once. It
// lets in as many a second as it may, refuses the others with a packet, and has
// all of them in the end; what that takes in memory is what it took before.
func TestAllGatewaysReconnectToANodeThatStartedAgain(t *testing.T) {
	n := *gateways
	synctest.Test(t, func(t *testing.T) {
		network := &simnet.Simnet{Router: &simnet.PerfectRouter{}}
		t.Cleanup(func() { network.Close() })
		gateSocket := endpoint(t, network, vip)
		var sockets []*simnet.SimConn
		for i := range n {
			sockets = append(sockets, endpoint(t, network, &net.UDPAddr{IP: net.IP{10, 1, byte(i >> 8), byte(i)}, Port: 1000}))
		}
		network.Start()
		ca, log := newCA(t), newLog(t)
		perSecond := float64(max(n/20, 1))
		first := startNode(t, ca, "n1", gateSocket, log, perSecond)
		var ups []*uplink.Uplink
		for i, socket := range sockets {
			name := id.Gateway{Site: "hq", Name: fmt.Sprintf("gw%d", i)}
			ups = append(ups, connect(t, ca, name, vip, socket, empty{id.Boot{1}}))
		}
		welcomed := func(of *node) bool {
			for range 600 {
				if of.gate.Connections() == n {
					return true
				}
				time.Sleep(time.Second)
			}
			return false
		}
		if !welcomed(first) {
			t.Fatalf("%d of %d gateways are connected at first", first.gate.Connections(), n)
		}
		before := heap()

		first.kill()
		second := startNode(t, ca, "n1", gateSocket, log, perSecond)
		for _, up := range ups {
			up.SetDevices([]id.Device{{Site: "hq", Name: "t1"}}) // all speak, and are told that they are unknown
		}
		time.Sleep(time.Second)
		if got := second.gate.Connections(); float64(got) > 3*perSecond {
			t.Errorf("%d gateways are in after a second, %v a second may be", got, perSecond)
		}
		if !welcomed(second) {
			t.Fatalf("%d of %d gateways are back", second.gate.Connections(), n)
		}
		if refused := second.counted("atrium_gate_handshakes_turned_away_total"); refused < float64(n)/2 {
			t.Errorf("%v dials of %d gateways were counted as refused", refused, n)
		}
		time.Sleep(2 * time.Minute) // what is left of refused dials has timed out
		if after := heap(); after > before+before/2 {
			t.Errorf("%d KiB a gateway before, %d KiB after", before>>10/n, after>>10/n)
		}
		if got := second.gate.Connections(); got != n {
			t.Errorf("%d gateways are connected two minutes later", got)
		}
	})
}

func heap() int {
	runtime.GC()
	runtime.GC() // the second frees what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
