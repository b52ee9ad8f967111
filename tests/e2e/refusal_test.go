package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/cloud/demo/process"
	cloudid "github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/node"
	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/wire"
)

var gateway = id.Gateway{Site: "hq", Name: "gw-1"}

// logbook is a log that can be waited for.
type logbook struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newLogbook() *logbook { return &logbook{changed: make(chan struct{})} }

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(b)
}

// await waits for a line that holds all the words.
func (l *logbook) await(t *testing.T, words ...string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		text, changed := l.text.String(), l.changed
		l.mu.Unlock()
		for line := range strings.Lines(text) {
			if all(line, words) {
				return
			}
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no log line with %q in:\n%s", words, text)
		}
	}
}

func all(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

// cloud runs a node in this process until the test ends. The CA is made before,
// so that tests may issue with it.
type cloud struct {
	data, gate string
	log        *logbook
	ca         *cloudid.CA
}

func startCloud(t *testing.T) *cloud {
	t.Helper()
	udp, _, err := process.FreePorts(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{data: filepath.Join(t.TempDir(), "data"), gate: udp[0], log: newLogbook()}
	if c.ca, err = cloudid.OpenCA(filepath.Join(c.data, node.CAFolder)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- node.Run(ctx, node.Config{Data: c.data, Listen: c.gate, HTTP: "127.0.0.1:0", Name: "n1", Zone: "here", Shards: 1}, slog.New(slog.NewTextHandler(c.log, nil)))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("cloud: %v", err)
		}
	})
	c.log.await(t, "msg=running")
	return c
}

// startEdge runs a gateway without devices in this process until the test ends.
func startEdge(t *testing.T, certs, gate string) *logbook {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf("gateway: %s\nstate: state\nidentity: %s\ncloud: [%q]\nhttp: \"\"\ndrain: 0s\nbuses: []\ndevices: []\n", gateway, certs, gate)
	cfg, err := agent.ParseConfig(filepath.Join(dir, "edge.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	log := newLogbook()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx, cfg, slog.New(slog.NewTextHandler(log, nil))) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("edge: %v", err)
		}
	})
	return log
}

// write puts an identity where a gateway finds it.
func write(t *testing.T, cert, key, ca []byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range map[string][]byte{identity.CertFile: cert, identity.KeyFile: key, identity.CAFile: ca} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAGatewayOfAnotherClusterIsRefusedWithTheReasonOnBothSides(t *testing.T) {
	c := startCloud(t)
	other, err := cloudid.OpenCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Gateway(gateway)
	if err != nil {
		t.Fatal(err)
	}
	edge := startEdge(t, write(t, foreign.Cert, foreign.Key, foreign.CA), c.gate)
	edge.await(t, "level=WARN", "not connected to the cloud", "reason=certificate", "the gate's certificate is not one of this gateway's cluster")
	c.log.await(t, "level=WARN", "handshake failed", "bad certificate")
}

// One who takes the node for its own still does not get in.
func TestACertificateThatAnotherClusterSignedIsRefused(t *testing.T) {
	c := startCloud(t)
	other, err := cloudid.OpenCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Gateway(gateway)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(foreign.Cert, foreign.Key)
	if err != nil {
		t.Fatal(err)
	}
	// crypto/tls would not offer what the node's list of authorities lacks.
	offer := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	err = dial(t, c.gate, &tls.Config{GetClientCertificate: offer, InsecureSkipVerify: true, NextProtos: []string{wire.ALPN}})
	if err == nil || !strings.Contains(err.Error(), "unknown certificate authority") && !strings.Contains(err.Error(), "bad certificate") {
		t.Errorf("the client was told %v", err)
	}
	c.log.await(t, "level=WARN", "handshake failed", "certificate signed by unknown authority")
}

// dial makes a connection and returns how it ended.
func dial(t *testing.T, gate string, conf *tls.Config) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, gate, conf, nil)
	if err != nil {
		return err
	}
	// In TLS 1.3 the client is done before the server has looked at its certificate.
	_, err = conn.AcceptStream(ctx)
	return err
}

func TestAnExpiredCertificateIsRefusedWithTheReasonOnBothSides(t *testing.T) {
	c := startCloud(t)
	cert, key := expired(t, filepath.Join(c.data, node.CAFolder, cloudid.StoreFile), c.ca.Cluster())
	edge := startEdge(t, write(t, cert, key, c.ca.CertificatePEM()), c.gate)
	edge.await(t, "level=WARN", "not connected to the cloud", "reason=certificate", "a certificate has expired")
	c.log.await(t, "level=WARN", "handshake failed", "certificate has expired")
}

// expired signs a gateway's certificate that was valid until a minute ago, with
// the key of the CA in file.
func expired(t *testing.T, file, cluster string) (certPEM, keyPEM []byte) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	must(err)
	block, rest := pem.Decode(b)
	ca, err := x509.ParseCertificate(block.Bytes)
	must(err)
	block, _ = pem.Decode(rest)
	caKey, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(err)
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	must(err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), URIs: []*url.URL{identity.GatewayName(cluster, gateway).URL()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, ca, pub, caKey)
	must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func TestAWrongALPNIsRefusedWithTheReasonOnBothSides(t *testing.T) {
	c := startCloud(t)
	own, err := c.ca.Gateway(gateway)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(own.Cert, own.Key)
	if err != nil {
		t.Fatal(err)
	}
	err = dial(t, c.gate, &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, NextProtos: []string{"h3"}})
	if err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("the client was told %v", err)
	}
	c.log.await(t, "level=WARN", "handshake failed", "client requested unsupported application protocols", "h3")

	// The other way: a gateway that was pointed at somebody else's QUIC.
	conf, err := c.ca.ServerTLS("n2", nil)
	if err != nil {
		t.Fatal(err)
	}
	conf.NextProtos = []string{"h3"}
	h3, err := quic.ListenAddr("127.0.0.1:0", conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer h3.Close()
	edge := startEdge(t, write(t, own.Cert, own.Key, own.CA), h3.Addr().String())
	edge.await(t, "level=WARN", "not connected to the cloud", "reason=alpn", "does not speak "+wire.ALPN)
}

// What a refused gateway looks like when it is right after all.
func TestAGatewayOfTheClusterIsServed(t *testing.T) {
	c := startCloud(t)
	own, err := c.ca.Gateway(gateway)
	if err != nil {
		t.Fatal(err)
	}
	startEdge(t, write(t, own.Cert, own.Key, own.CA), c.gate).await(t, "connected to the cloud", "cluster="+c.ca.Cluster(), "node=n1")
}
