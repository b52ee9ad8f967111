package journal_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
)

// A route speaks for every account of the store, so that only nodes of this
// cluster may open one, whoever dials.
func TestARouteTakesNodesOfItsClusterOnly(t *testing.T) {
	ours, theirs := openCA(t), openCA(t)
	node, foreign := routeTLS(t, ours), routeTLS(t, theirs)
	foreign.InsecureSkipVerify, foreign.VerifyConnection = true, nil // it would take anybody
	gateway := gatewayTLS(t, ours)

	// The second core node is this test, behind a listener.
	core := journaltest.FreeAddresses(3)
	l, err := net.Listen("tcp", core[1])
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := journal.StartServer(journal.ServerConfig{
		Dir: t.TempDir(), Name: "n1", MaxStore: testStore,
		Cluster: &journal.ClusterConfig{ID: ours.Cluster(), Listen: core[0], Core: core, TLS: node},
	}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)

	for _, c := range []struct {
		name string
		tls  *tls.Config
		ok   bool
	}{
		{"a gateway", gateway, false},
		{"a node of another cluster", foreign, false},
		{"a node", routeTLS(t, ours), true},
	} {
		if err := dialled(t, core[0], c.tls); (err == nil) != c.ok {
			t.Errorf("%s that dials: %v", c.name, err)
		}
		if err := accepted(t, l, c.tls); (err == nil) != c.ok {
			t.Errorf("%s that is dialled: %v", c.name, err)
		}
	}
}

func openCA(t *testing.T) *identity.CA {
	t.Helper()
	ca, err := identity.OpenCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func routeTLS(t *testing.T, ca *identity.CA) *tls.Config {
	t.Helper()
	cfg, err := ca.RouteTLS("n2")
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// gatewayTLS is a gateway that does all it can: it presents its certificate
// and takes any.
func gatewayTLS(t *testing.T, ca *identity.CA) *tls.Config {
	t.Helper()
	issued, err := ca.Gateway(id.Gateway{Site: "hq", Name: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.Cert, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert, InsecureSkipVerify: true}
}

// dialled opens a route as a NATS server would: TLS at once, then the other's
// first line, which only an accepted one gets.
func dialled(t *testing.T, address string, cfg *tls.Config) error {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	within(t, c)
	secured := tls.Client(c, cfg)
	if err := secured.Handshake(); err != nil {
		return err
	}
	_, err = secured.Read(make([]byte, 1))
	return err
}

// accepted takes a route that the server dials.
func accepted(t *testing.T, l net.Listener, cfg *tls.Config) error {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	within(t, c)
	secured := tls.Server(c, cfg)
	if err := secured.Handshake(); err != nil {
		return err
	}
	_, err = secured.Read(make([]byte, 1))
	return err
}

// within bounds what would hang if the server did.
func within(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
}
