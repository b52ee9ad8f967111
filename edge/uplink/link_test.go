package uplink_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// allArrived checks I1: the gates have each run without a hole, and the buffer
// let go of every row that was sampled, as acked.
func (r *rig) allArrived() {
	r.t.Helper()
	seqs := map[id.Run]map[uint64]bool{}
	for _, g := range r.gates {
		for _, f := range g.taken() {
			if seqs[f.run] == nil {
				seqs[f.run] = map[uint64]bool{}
			}
			seqs[f.run][f.first] = true
		}
	}
	for run, have := range seqs {
		for seq := range uint64(len(have)) {
			if !have[seq+1] {
				r.t.Errorf("frame %d of run %s is missing", seq+1, run)
			}
		}
	}
	if s := r.buffer.Stats(); s.Frames != 0 || s.Acked != uint64(r.next) {
		r.t.Errorf("%d rows were sampled, %d acked, %d frames are left\n%s", r.next, s.Acked, s.Frames, r.log)
	}
}

func (r *rig) script(g *gate, change func()) { g.mu.Lock(); change(); g.mu.Unlock() }

// A firewall lets no UDP through: TCP carries the same lanes, acks and credit,
// and QUIC is taken back when the firewall is gone. I1 holds throughout.
func TestTCPIsUsedWhereUDPIsBlockedAndUDPIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{tcp: true})
		r.net.setCut(true)
		r.start()
		time.Sleep(5 * time.Second)
		r.rows(20)
		time.Sleep(time.Second)
		if r.metric("atrium_uplink_over_tcp", "") != 1 || r.gate.connections() != 1 {
			t.Fatalf("%d connections, over TCP: %v\n%s", r.gate.connections(), r.metric("atrium_uplink_over_tcp", ""), r.log)
		}
		r.allArrived()
		time.Sleep(10 * time.Minute)
		if n := r.metric("atrium_uplink_dials_total", "udp"); n < 3 || n > 8 {
			t.Errorf("UDP was tried %v times in ten minutes: the pauses are to grow", n)
		}
		r.net.setCut(false)
		for range 20 * 60 {
			r.row(1)
			time.Sleep(time.Second)
		}
		if r.metric("atrium_uplink_over_tcp", "") != 0 || r.gate.connections() != 2 || r.gate.conn(2).Network() != "udp" {
			t.Errorf("UDP was not taken back\n%s", r.log)
		}
		if n := r.metric("atrium_uplink_disconnects_total", "udp"); n != 1 {
			t.Errorf("the change was counted %v times", n)
		}
		r.allArrived()
	})
}

// The connection that a redirect leaves goes on serving until the other gate
// has welcomed the gateway.
func TestARedirectIsFollowedWhileTheOldConnectionServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		redirect := wire.Redirect{Address: gateAddrs[1].String(), Reason: wire.RedirectOwner}
		r := newRig(t, settings{
			gate:  func(g *gate) { g.also = [][]byte{redirect.Append(nil)} },
			other: func(g *gate) { g.slow = 5 * time.Second },
		})
		r.start()
		time.Sleep(time.Second)
		r.rows(20)
		if n := len(r.gates[0].taken()); n != 20 || r.uplink.Stats().Gate != gateAddrs[0].String() {
			t.Errorf("the first gate has %d of 20 frames while the second has not welcomed; connected to %q", n, r.uplink.Stats().Gate)
		}
		time.Sleep(5 * time.Second)
		r.rows(20)
		time.Sleep(time.Second)
		if n := len(r.gates[1].taken()); n != 20 || r.uplink.Stats().Gate != gateAddrs[1].String() {
			t.Errorf("the second gate has %d of 20 frames; connected to %q\n%s", n, r.uplink.Stats().Gate, r.log)
		}
		if n := r.metric("atrium_uplink_disconnects_total", "redirected"); n != 1 {
			t.Errorf("the redirect was counted %v times", n)
		}
		r.allArrived()
	})
}

func TestTwoGatesThatNameEachOtherDoNotHaveTheGatewayInCircles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := func(i int) func(*gate) {
			m := wire.Redirect{Address: gateAddrs[i].String(), Reason: wire.RedirectOwner}
			return func(g *gate) { g.also = [][]byte{m.Append(nil)} }
		}
		r := newRig(t, settings{gate: to(1), other: to(0)})
		r.start()
		time.Sleep(10 * time.Second)
		r.rows(5)
		time.Sleep(20 * time.Second)
		if n := r.gates[0].connections() + r.gates[1].connections(); n != 4 {
			t.Errorf("%d connections, want one and three redirects", n)
		}
		if n := r.metric("atrium_uplink_redirects_ignored_total", ""); n != 1 {
			t.Errorf("%v redirects were ignored", n)
		}
		r.allArrived()
	})
}

// A gate is dark for some seconds, and nobody takes a new connection: the one
// that there is recovers, with the runs that began meanwhile.
func TestASilentConnectionIsNotGivenUpForOneThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := wire.Nodes{Addresses: []string{gateAddrs[1].String()}}
		r := newRig(t, settings{
			gate:  func(g *gate) { g.also = [][]byte{nodes.Append(nil)} },
			other: func(g *gate) { g.close = &carrier.CloseError{Code: wire.CloseBusy} },
		})
		r.start()
		time.Sleep(time.Second)
		r.rows(5)
		r.script(r.gate, func() { r.gate.close = &carrier.CloseError{Code: wire.CloseBusy} })
		r.net.setDark(gateAddrs[0].String())
		r.rows(100)
		if r.gates[1].connections() == 0 {
			t.Errorf("no other gate was tried\n%s", r.log)
		}
		if r.uplink.Stats().Gate != "" {
			t.Error("a silent connection counts as one")
		}
		r.net.setDark("")
		r.rows(100)
		time.Sleep(2 * time.Second)
		if r.gate.conn(1).Context().Err() != nil {
			t.Errorf("the connection was given up\n%s", r.log)
		}
		runs := map[id.Run]bool{}
		for _, f := range r.gate.taken() {
			runs[f.run] = true
		}
		if len(runs) < 2 {
			t.Error("no run began while the other gate was tried: the test shows less than it should")
		}
		r.gate.mu.Lock()
		if len(r.gate.again) == 0 {
			t.Error("no hello named the runs that began")
		}
		r.gate.mu.Unlock()
		if r.uplink.Stats().Gate != gateAddrs[0].String() {
			t.Error("the connection that recovered does not count as one")
		}
		r.allArrived()
	})
}

// A gateway that was told to come later comes later, and once.
func TestAGateThatIsBusyIsLeftAloneForAsLongAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		later := wire.Later{Pause: 10_000}
		r := newRig(t, settings{gate: func(g *gate) { g.instead = later.Append(nil) }})
		r.start()
		time.Sleep(31 * time.Second) // 10 s and half as long again, twice
		if n := r.gate.connections(); n != 3 {
			t.Errorf("%d connections in 31 s, want 3", n)
		}
		if n := r.metric("atrium_uplink_disconnects_total", "later"); n != 3 {
			t.Errorf("it was counted %v times", n)
		}
		r.script(r.gate, func() { r.gate.instead = nil })
		r.row(1)
		time.Sleep(20 * time.Second)
		r.allArrived()
	})
}

// The configured gate is gone for good: what it told leads to another.
func TestAGatewayFindsAnotherGateOfTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := wire.Nodes{Addresses: []string{gateAddrs[0].String(), gateAddrs[1].String()}}
		r := newRig(t, settings{gate: func(g *gate) { g.also = [][]byte{nodes.Append(nil)} }})
		r.start()
		time.Sleep(time.Second)
		r.rows(3)
		synctest.Wait()
		if len(r.nodes) != 1 || len(r.nodes[0]) != 2 {
			t.Errorf("told %v", r.nodes)
		}
		r.script(r.gate, func() { r.gate.close = &carrier.CloseError{Code: wire.CloseShutdown} })
		r.gate.conn(1).Close(wire.CloseShutdown, "")
		time.Sleep(5 * time.Second)
		r.rows(3)
		time.Sleep(time.Second)
		if got := r.uplink.Stats().Gate; got != gateAddrs[1].String() {
			t.Errorf("connected to %q\n%s", got, r.log)
		}
		r.allArrived()
	})
}

func TestTheVersionThatAGateChoosesIsHeldToHello(t *testing.T) {
	for _, c := range []struct {
		gateway wire.Versions
		chosen  uint64
		taken   bool
	}{
		{wire.Versions{Min: 1, Max: 1}, 1, true},
		{wire.Versions{Min: 1, Max: 2}, 1, true}, // an older gate
		{wire.Versions{Min: 1, Max: 2}, 2, true},
		{wire.Versions{Min: 1, Max: 1}, 2, false}, // a gate that does not listen
		{wire.Versions{Min: 2, Max: 2}, 1, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, settings{gate: func(g *gate) { g.version = c.chosen }})
			r.uplink.Speak(c.gateway)
			r.start()
			r.row(1)
			time.Sleep(2 * time.Second)
			r.gate.mu.Lock()
			hello := r.gate.hellos[0]
			r.gate.mu.Unlock()
			if hello.Min != c.gateway.Min || hello.Max != c.gateway.Max {
				t.Errorf("hello says %d to %d", hello.Min, hello.Max)
			}
			if taken := len(r.gate.taken()) == 1; taken != c.taken {
				t.Errorf("%+v: connected %v\n%s", c, taken, r.log)
			}
			if n := r.metric("atrium_uplink_disconnects_total", "protocol"); c.taken != (n == 0) {
				t.Errorf("%+v: %v ends as breaks of the protocol", c, n)
			}
		})
	}
}
