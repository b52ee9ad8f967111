package link

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// QUIC is what the link is for: its handshake and its largest packets pass, and
// a connection outlives a cut, delay and loss.
func TestAQUICConnectionOutlivesABadLink(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	server, trusted := quicIdentity(t)
	l, err := transport(t).Listen(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- echoStream(ctx, l) }()

	r := start(t, l.Addr().String())
	conn, err := transport(t).Dial(ctx, net.UDPAddrFromAddrPort(r.Addr()), &tls.Config{RootCAs: trusted, ServerName: "link", NextProtos: []string{"link"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := conn.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(n int) {
		t.Helper()
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i * i >> 3)
		}
		sent := make(chan error, 1)
		go func() { _, err := s.Write(data); sent <- err }()
		got := make([]byte, n)
		if _, err := io.ReadFull(s, got); err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if string(got) != string(data) {
			t.Fatal("the bytes differ")
		}
	}
	exchange(256 << 10)
	r.Set(func(c *Conditions) {
		*c = Conditions{Delay: 5 * time.Millisecond, Jitter: 2 * time.Millisecond, Drop: 5}
	})
	exchange(64 << 10)
	r.Set(func(c *Conditions) { *c = Conditions{CutUp: true, CutDown: true} })
	lost := r.State().Up.Dropped["cut"]
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	until(t, r, "a packet lost to the cut", func(s State) bool { return s.Up.Dropped["cut"] > lost })
	r.Set(func(c *Conditions) { *c = Conditions{} })
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if st := r.State(); st.Up.Dropped["size"]+st.Down.Dropped["size"] != 0 || st.Clients != 1 {
		t.Errorf("%+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// transport is one end, which ends with the test.
func transport(t *testing.T) *quic.Transport {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &quic.Transport{Conn: c}
	t.Cleanup(func() {
		if err := errors.Join(tr.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// echoStream serves the first stream of the first connection.
func echoStream(ctx context.Context, l *quic.Listener) error {
	conn, err := l.Accept(ctx)
	if err != nil {
		return err
	}
	s, err := conn.AcceptStream(ctx)
	if err != nil {
		return err
	}
	_, err = io.Copy(s, s)
	return err
}

func quicIdentity(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"link"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"link"}}, pool
}
