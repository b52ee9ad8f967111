package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/quic-go/quic-go"
)

// refuses makes a socket's kernel answer err to GSO.
func refuses(s *Socket, err error) {
	s.write = func(b, oob []byte, to *net.UDPAddr) (int, int, error) {
		if size, _ := segments(oob); size > 0 {
			return 0, 0, &net.OpError{Op: "write", Err: os.NewSyscallError("sendmsg", err)}
		}
		return s.UDPConn.WriteMsgUDP(b, oob, to)
	}
}

func testSocket(t *testing.T) (*Socket, *prometheus.Registry) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	reg := prometheus.NewRegistry()
	return newSocket(conn, slog.New(slog.DiscardHandler), reg), reg
}

func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// Nothing is lost where the kernel takes the option and refuses the packets:
// the connection goes on without GSO, and so does the next.
func TestAKernelThatRefusesGSOCostsNoConnection(t *testing.T) {
	for _, refusal := range []error{syscall.EINVAL, syscall.EIO} {
		s, reg := testSocket(t)
		refuses(s, refusal)
		gateway := Transport(s)
		defer gateway.Close()
		conf := selfSigned(t)
		ln, err := quic.ListenAddr("127.0.0.1:0", conf, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		for range 2 {
			sendThrough(t, gateway, ln)
		}
		if on, refused := gauge(t, reg, "atrium_uplink_gso"), gauge(t, reg, "atrium_uplink_gso_refused_total"); on != 0 || refused != 1 {
			t.Errorf("%v: GSO is %v, %v refusals, want 0 and 1", refusal, on, refused)
		}
	}
}

// sendThrough dials and sends a megabyte, which must arrive whole.
func sendThrough(t *testing.T, gateway *quic.Transport, ln *quic.Listener) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	sent := bytes.Repeat([]byte("atrium"), 1<<20/6)
	got := make(chan []byte, 1)
	go func() {
		defer close(got)
		conn, err := ln.Accept(ctx)
		if err != nil {
			return
		}
		stream, err := conn.AcceptUniStream(ctx)
		if err != nil {
			return
		}
		if b, err := io.ReadAll(stream); err == nil {
			got <- b
		}
		_ = conn.CloseWithError(0, "")
	}()
	conn, err := gateway.Dial(ctx, ln.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"test"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := conn.OpenUniStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	if b := <-got; !bytes.Equal(b, sent) {
		t.Fatalf("%d of %d bytes came", len(b), len(sent))
	}
}

func selfSigned(t *testing.T) *tls.Config {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"test"}}
}

func TestTheSelfTestOfGSOTakesAKernelAtItsWord(t *testing.T) {
	s, _ := testSocket(t)
	if err := selfTest(s.write); err != nil {
		t.Skipf("this kernel has no GSO: %v", err)
	}
	refuses(s, syscall.EINVAL)
	if err := selfTest(s.write); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a kernel that refuses: %v", err)
	}
	s.write = func(b, _ []byte, to *net.UDPAddr) (int, int, error) { return s.UDPConn.WriteMsgUDP(b, nil, to) }
	if err := selfTest(s.write); !errors.Is(err, errNotSegmented) {
		t.Errorf("a kernel that sends one packet: %v", err)
	}
}

func TestOtherErrorsOfASocketAreNotTakenForGSO(t *testing.T) {
	s, reg := testSocket(t)
	refuses(s, syscall.ENOBUFS)
	if _, _, err := s.WriteMsgUDP(make([]byte, 200), segmentsOf(100), s.LocalAddr().(*net.UDPAddr)); !errors.Is(err, syscall.ENOBUFS) {
		t.Errorf("the error is %v", err)
	}
	if gauge(t, reg, "atrium_uplink_gso") != 1 {
		t.Error("GSO is off after an error that says nothing of it")
	}
}

func TestPeopleSwitchGSOOff(t *testing.T) {
	t.Setenv(disableGSO, "1")
	reg := prometheus.NewRegistry()
	s, err := Listen(t.Context(), slog.New(slog.DiscardHandler), reg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if on, refused := gauge(t, reg, "atrium_uplink_gso"), gauge(t, reg, "atrium_uplink_gso_refused_total"); on != 0 || refused != 0 {
		t.Errorf("GSO is %v with %v refusals", on, refused)
	}
}
