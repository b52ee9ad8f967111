package carrier

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cable is a pipe's end that can be cut: nothing it is given arrives any more.
type cable struct {
	net.Conn
	mu  sync.Mutex
	cut bool
}

func (c *cable) Write(p []byte) (int, error) {
	c.mu.Lock()
	cut := c.cut
	c.mu.Unlock()
	if cut {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *cable) cutOff() { c.mu.Lock(); c.cut = true; c.mu.Unlock() }

var patience = TCPConfig{KeepAlive: 20 * time.Second, Idle: time.Minute}

func serverTLS(t *testing.T) *tls.Config {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}
}

// pair connects a gateway and a gate; wire is the gateway's end of the cable.
func pair(t *testing.T) (gateway, gate Conn, wire *cable) {
	t.Helper()
	a, b := net.Pipe()
	wire = &cable{Conn: a}
	accepted := make(chan error, 1)
	conf := serverTLS(t)
	go func() {
		var err error
		gate, err = AcceptTCP(t.Context(), b, conf, TCPConfig{Idle: patience.Idle})
		accepted <- err
	}()
	gateway, err := DialTCP(t.Context(), wire, &tls.Config{InsecureSkipVerify: true}, patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	return gateway, gate, wire
}

// end closes both sides and waits until nothing is left.
func end(conns ...Conn) {
	for _, c := range conns {
		c.Close(wire.CloseBye, "")
	}
	for _, c := range conns {
		<-c.Gone()
	}
}

func control(t *testing.T, c Conn) Stream {
	t.Helper()
	s, err := c.OpenControl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBytesOfAnySizeComeAsTheyWentOnEachStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway, gate, _ := pair(t)
		sent := make([]byte, 3*window+1)
		rand.Read(sent)
		var all sync.WaitGroup
		for _, lane := range []wire.Lane{wire.LaneLive, wire.LaneBacklog} {
			w, err := gateway.OpenLane(t.Context(), lane)
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				if n, err := w.Write(sent); n != len(sent) || err != nil {
					t.Errorf("%d bytes written, %v", n, err)
				}
			})
		}
		up := control(t, gateway)
		all.Go(func() { up.Write(sent) })
		for range 2 {
			r, err := gate.AcceptLane(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() { wantBytes(t, r, sent) })
		}
		down, err := gate.AcceptControl(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, down, sent)
		all.Go(func() { down.Write(sent) })
		wantBytes(t, up, sent)
		all.Wait()
		end(gateway, gate)
	})
}

func wantBytes(t *testing.T, r io.Reader, want []byte) {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("other bytes came, or %v", err)
	}
}

// I5: a lane that the journal holds up takes its window, and the control stream
// goes on.
func TestAStreamThatNobodyReadsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway, gate, _ := pair(t)
		lane, err := gateway.OpenLane(t.Context(), wire.LaneLive)
		if err != nil {
			t.Fatal(err)
		}
		written := make(chan int, 1)
		go func() {
			n, _ := lane.Write(make([]byte, 2*window))
			written <- n
		}()
		synctest.Wait()
		if held := len(gate.(*tcpConn).streams[streamLive].inbox); held != window {
			t.Errorf("the lane holds %d bytes, its window is %d", held, window)
		}
		up := control(t, gateway)
		up.Write([]byte("hello"))
		down, err := gate.AcceptControl(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantBytes(t, down, []byte("hello"))
		down.Write([]byte("ack"))
		wantBytes(t, up, []byte("ack"))
		end(gateway, gate)
		if n := <-written; n != window {
			t.Errorf("%d bytes left the gateway, the window is %d", n, window)
		}
	})
}

// What the backlog has waiting is a record at most ahead of a message on the
// control stream, and that ahead of live frames.
func TestTheMostUrgentStreamGoesFirst(t *testing.T) {
	c := &tcpConn{}
	for i := streamControl; i < streams; i++ {
		c.streams[i] = &tcpStream{conn: c, allowed: window, outbox: make([]byte, maxRecord+1), writable: make(chan struct{}, 1)}
	}
	var order []int
	for b := c.records(nil); len(b) > 0; b = c.records(nil) {
		order = append(order, int(b[0]))
		if len(b) > recordHead+maxRecord {
			t.Fatalf("a record of %d bytes", len(b))
		}
	}
	if want := []int{1, 1, 2, 2, 3, 3}; !equal(order, want) {
		t.Errorf("records of the streams %v, want %v", order, want)
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestTheOtherSideLearnsWhyAConnectionWasClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway, gate, _ := pair(t)
		up := control(t, gateway)
		up.Write([]byte("what is unread must not cost the reason"))
		synctest.Wait()
		gate.Close(wire.CloseBusy, "later")
		_, err := up.Read(make([]byte, 1))
		var closed *CloseError
		if !errors.As(err, &closed) || *closed != (CloseError{wire.CloseBusy, "later", true}) {
			t.Errorf("the gateway sees %v", err)
		}
		if err := context.Cause(gate.Context()); !errors.As(err, &closed) || closed.Remote {
			t.Errorf("the gate sees %v", err)
		}
		end(gateway, gate)
	})
}

func TestAPathThatDiesIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway, gate, cable := pair(t)
		up := control(t, gateway)
		time.Sleep(10*time.Minute + time.Second)
		if q := gateway.Path().Quiet; q != 0 || gateway.Context().Err() != nil || gate.Context().Err() != nil {
			t.Fatalf("an idle connection is quiet for %v, ended with %v", q, context.Cause(gateway.Context()))
		}
		cable.cutOff()
		up.Write([]byte("x"))
		time.Sleep(pingAfter + 2*time.Second)
		if q := gateway.Path().Quiet; q != 2*time.Second {
			t.Errorf("quiet for %v, an answer has been due for 2s", q)
		}
		time.Sleep(2 * patience.Idle)
		for _, c := range []Conn{gateway, gate} {
			if err := context.Cause(c.Context()); !errors.Is(err, ErrSilent) && !errors.Is(err, io.EOF) {
				t.Errorf("ended with %v, want silence", err)
			}
		}
		end(gateway, gate)
	})
}

func TestARoundTripIsMeasured(t *testing.T) {
	var p pings
	for _, rtt := range []time.Duration{80, 160, 40, -1} {
		p.answered(rtt * time.Millisecond)
	}
	if got := p.path(time.Time{}); got.MinRTT != 40*time.Millisecond || got.RTT != 83750*time.Microsecond {
		t.Errorf("%+v", got)
	}
}

func TestAReadEndsWithItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway, gate, _ := pair(t)
		up := control(t, gateway)
		up.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := up.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
		up.SetReadDeadline(time.Time{})
		up.Write([]byte("a"))
		down, err := gate.AcceptControl(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		down.Write([]byte("b"))
		wantBytes(t, up, []byte("b"))
		end(gateway, gate)
	})
}

// I6: a side that breaks the framing is told so, and nothing more is taken.
func TestRecordsThatAreNotOfTheProtocolEndTheConnection(t *testing.T) {
	more := func(stream, n int) []byte {
		var all []byte
		for ; n > 0; n -= maxRecord {
			all = append(appendHead(all, stream, maxRecord), make([]byte, maxRecord)...)
		}
		return all
	}
	for name, b := range map[string][]byte{
		"another stream":       {streams, 0, 0, 1, 0},
		"an empty record":      {streamControl, 0, 0, 0},
		"a record too long":    {streamControl, 0, 0x40, 0},
		"an unknown notice":    appendRecord(nil, streamConn, 9),
		"a window of stream 0": notice{op: opWindow, stream: 0, number: 1}.append(nil),
		"more than the window": more(streamControl, window+1),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				gateway, gate, _ := pair(t)
				go gateway.(*tcpConn).secure.Write(b)
				<-gateway.Context().Done()
				var closed *CloseError
				if err := context.Cause(gateway.Context()); !errors.As(err, &closed) || closed.Code != wire.CloseProtocol || !closed.Remote {
					t.Errorf("ended with %v", err)
				}
				end(gateway, gate)
			})
		})
	}
}

func TestTLSOfAnotherProtocolIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		conf := serverTLS(t)
		go func() {
			c := tls.Server(b, conf) // without ALPN
			c.Handshake()
			c.Read(make([]byte, 1))
			c.Close()
		}()
		if _, err := DialTCP(t.Context(), a, &tls.Config{InsecureSkipVerify: true}, patience); !errors.Is(err, ErrNoALPN) {
			t.Errorf("%v", err)
		}
	})
}

func FuzzParseNotice(f *testing.F) {
	for _, n := range []notice{{op: opClose, code: wire.CloseBusy, text: "x"}, {op: opPing, number: 1}, {op: opPong, number: 1}, {op: opWindow, stream: 1, number: 1}} {
		f.Add(n.append(nil)[recordHead:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > maxRecord {
			return
		}
		n, err := parseNotice(b)
		if err != nil {
			if !errors.Is(err, errRecord) {
				t.Fatal(err)
			}
			return
		}
		if again := n.append(nil)[recordHead:]; !bytes.Equal(again, b) {
			t.Fatalf("%x was read, but encodes to %x", b, again)
		}
	})
}
