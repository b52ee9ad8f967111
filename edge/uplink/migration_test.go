package uplink_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// The gateway's way has another address from now on, as after a NAT forgot its
// flow, or when the gateway moved from a cable to a radio: what goes to the old
// one is lost. One wildcard socket sees neither. I1: nothing is lost and the
// gate takes each frame once, on the same connection.
func TestAnotherAddressKeepsTheConnectionAndEveryFrame(t *testing.T) {
	for _, c := range []struct {
		name string
		next *net.UDPAddr
		gone time.Duration // of the path, at the change
	}{
		{"a NAT's other port", &net.UDPAddr{IP: net.IP{10, 0, 0, 9}, Port: 2001}, 0},
		{"another network", &net.UDPAddr{IP: net.IP{10, 7, 0, 9}, Port: 1000}, 0},
		{"another network after a blackout", &net.UDPAddr{IP: net.IP{10, 7, 0, 9}, Port: 1000}, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, settings{})
				r.net.router.rebind(&net.UDPAddr{IP: net.IP{10, 0, 0, 9}, Port: 2000})
				r.start()
				time.Sleep(time.Second)
				r.rows(10)
				if c.gone > 0 {
					r.net.setCut(true)
					r.rows(int(c.gone / (100 * time.Millisecond)))
				}
				r.net.router.rebind(c.next)
				r.net.setCut(false)
				r.rows(10)
				time.Sleep(5 * time.Second)

				taken := r.gate.taken()
				for i, f := range taken {
					if f.first != uint64(i+1) {
						t.Fatalf("frame %d came at place %d\n%s", f.first, i+1, r.log)
					}
				}
				if s := r.buffer.Stats(); s.Frames != 0 || len(taken) != 20+int(c.gone/(100*time.Millisecond)) {
					t.Errorf("%d frames came, %d are left\n%s", len(taken), s.Frames, r.log)
				}
				if n := r.gate.connections(); n != 1 {
					t.Errorf("%d connections\n%s", n, r.log)
				}
				if got := r.gate.conn(1).RemoteAddr().String(); got != c.next.String() {
					t.Errorf("the gate sends to %s, the gateway is at %s", got, c.next)
				}
			})
		})
	}
}
