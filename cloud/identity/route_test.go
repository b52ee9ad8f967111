package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"testing"

	"github.com/atrium-iot/atrium/cloud/identity"
	sharedid "github.com/atrium-iot/atrium/shared/identity"
)

func routeTLS(t *testing.T, ca *identity.CA, node string) *tls.Config {
	t.Helper()
	cfg, err := ca.RouteTLS(node)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// meet is handshake over a socket: in a pipe, which has no buffer, an end that
// refuses early and one that still writes would wait for each other for ever.
func meet(t *testing.T, client, server *tls.Config) (peer *x509.Certificate, clientErr, serverErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		b, err := l.Accept()
		if err != nil {
			serverErr = err
			return
		}
		defer b.Close()
		c := tls.Server(b, server)
		if serverErr = c.Handshake(); serverErr == nil {
			peer = c.ConnectionState().PeerCertificates[0]
			_, serverErr = c.Write([]byte{1})
		}
	})
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(a, client)
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	a.Close()
	wg.Wait()
	return peer, clientErr, serverErr
}

func TestTwoNodesOfAClusterRecogniseEachOther(t *testing.T) {
	ca := openCA(t)
	peer, clientErr, serverErr := meet(t, routeTLS(t, ca, "n1"), routeTLS(t, ca, "n2"))
	if clientErr != nil || serverErr != nil {
		t.Fatal(clientErr, serverErr)
	}
	if got, err := sharedid.NodeOf(peer, ca.Cluster()); err != nil || got != "n1" {
		t.Fatalf("the peer is %q, %v; want n1", got, err)
	}
}

// A node speaks for the whole cluster, so that a gateway's key, which is in the
// field, must not open a route in either direction.
func TestAGatewayIsNoNode(t *testing.T) {
	ca := openCA(t)
	issued, err := ca.Gateway(gw)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.Cert, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	node := routeTLS(t, ca, "n1")
	// The gateway does all that it can: it presents its certificate and takes any.
	dialling := &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}
	_, clientErr, serverErr := meet(t, dialling, node)
	wantBoth(t, clientErr, serverErr, "bad certificate", "want a node's")
	accepting := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert}
	_, clientErr, _ = meet(t, node, accepting)
	if clientErr == nil {
		t.Fatal("a node dialled a gateway and took it for a node")
	}
}

func TestANodeOfAnotherClusterIsRefusedInBothDirections(t *testing.T) {
	ours, theirs := routeTLS(t, openCA(t), "n1"), routeTLS(t, openCA(t), "n1")
	for _, dir := range []struct{ client, server *tls.Config }{{ours, theirs}, {theirs, ours}} {
		_, clientErr, serverErr := meet(t, dir.client, dir.server)
		if clientErr == nil || serverErr == nil {
			t.Errorf("accepted: client %v, server %v", clientErr, serverErr)
		}
	}
	// The other's side alone decides nothing: each end refuses by itself.
	trusting := theirs.Clone()
	trusting.InsecureSkipVerify, trusting.VerifyConnection, trusting.ClientAuth = true, nil, tls.RequestClientCert
	if _, _, serverErr := meet(t, trusting, ours); serverErr == nil {
		t.Error("the accepting end took another cluster's node")
	}
	if _, clientErr, _ := meet(t, ours, trusting); clientErr == nil {
		t.Error("the dialling end took another cluster's node")
	}
}

func TestANodeWithABadNameGetsNoCertificate(t *testing.T) {
	if _, err := openCA(t).RouteTLS("Not A Name"); err == nil {
		t.Fatal("accepted")
	}
}
