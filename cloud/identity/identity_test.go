package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/shared/id"
	sharedid "github.com/atrium-iot/atrium/shared/identity"
)

var gw = id.Gateway{Site: "hq", Name: "gw-1"}

func openCA(t *testing.T) *identity.CA {
	t.Helper()
	ca, err := identity.OpenCA(filepath.Join(t.TempDir(), "ca"))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func credentials(t *testing.T, ca *identity.CA) *sharedid.Credentials {
	t.Helper()
	out, err := ca.Gateway(gw)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sharedid.Parsed(out.Cert, out.Key, out.CA)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serverTLS(t *testing.T, ca *identity.CA) *tls.Config {
	t.Helper()
	cfg, err := ca.ServerTLS("n1", []string{"cloud.example", "192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// handshake runs both sides over a pipe, and one byte from the server, since
// a TLS 1.3 client learns only by reading that its certificate was refused.
func handshake(client, server *tls.Config) (peer *x509.Certificate, clientErr, serverErr error) {
	a, b := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer b.Close()
		c := tls.Server(b, server)
		if serverErr = c.Handshake(); serverErr == nil {
			peer = c.ConnectionState().PeerCertificates[0]
			_, serverErr = c.Write([]byte{1})
		}
	})
	c := tls.Client(a, client)
	if clientErr = c.Handshake(); clientErr == nil {
		_, clientErr = c.Read(make([]byte, 1))
	}
	a.Close()
	wg.Wait()
	return peer, clientErr, serverErr
}

func wantBoth(t *testing.T, clientErr, serverErr error, client, server string) {
	t.Helper()
	if clientErr == nil || !strings.Contains(clientErr.Error(), client) {
		t.Errorf("the client says %v, want %q", clientErr, client)
	}
	if serverErr == nil || !strings.Contains(serverErr.Error(), server) {
		t.Errorf("the server says %v, want %q", serverErr, server)
	}
}

func TestAGatewayAndItsNodeRecogniseEachOther(t *testing.T) {
	ca := openCA(t)
	peer, clientErr, serverErr := handshake(credentials(t, ca).ClientTLS(nil), serverTLS(t, ca))
	if clientErr != nil || serverErr != nil {
		t.Fatal(clientErr, serverErr)
	}
	if got, err := ca.GatewayOf(peer); err != nil || got != gw {
		t.Fatalf("the peer is %v, %v; want %v", got, err, gw)
	}
}

func TestTheCAIsMadeOnceAndKeptToItsOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	var wg sync.WaitGroup
	clusters := make([]string, 8)
	for i := range clusters { // of racing first starts, all get the same CA
		wg.Go(func() {
			ca, err := identity.OpenCA(dir)
			if err != nil {
				t.Error(err)
				return
			}
			clusters[i] = ca.Cluster()
		})
	}
	wg.Wait()
	for _, c := range clusters {
		if c == "" || c != clusters[0] {
			t.Fatalf("clusters %q differ", clusters)
		}
	}
	info, err := os.Stat(filepath.Join(dir, identity.StoreFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Fatalf("temporary files were left behind: %v", entries)
	}
}

func TestADamagedCAIsRefusedWithItsFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := identity.OpenCA(dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, identity.StoreFile)
	good, _ := os.ReadFile(file)
	other, err := os.ReadFile(filepath.Join(otherCA(t), identity.StoreFile))
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey := pem.Decode(other)
	block, _ := pem.Decode(good)
	for name, bad := range map[string][]byte{
		"empty":     nil,
		"truncated": good[:len(good)/2],
		"no key":    pem.EncodeToMemory(block),
		"other key": append(pem.EncodeToMemory(block), otherKey...),
		"more":      append(append([]byte{}, good...), "x"...),
	} {
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := identity.OpenCA(dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, want an error that names %s", name, err, file)
		}
		if left, _ := os.ReadFile(file); string(left) != string(bad) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func otherCA(t *testing.T) string {
	dir := t.TempDir()
	if _, err := identity.OpenCA(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestIssuedFilesAreNotOverwrittenUnlessForced(t *testing.T) {
	ca, dir := openCA(t), filepath.Join(t.TempDir(), "gw")
	if _, err := ca.IssueGateway(gw, dir, false); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, sharedid.KeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key's mode is %v, %v; want 0600", info.Mode(), err)
	}
	first, err := sharedid.Load(dir)
	if err != nil || first.Gateway != gw || first.Cluster != ca.Cluster() {
		t.Fatalf("loaded %+v, %v", first, err)
	}
	before, _ := os.ReadFile(filepath.Join(dir, sharedid.KeyFile))
	if _, err := ca.IssueGateway(gw, dir, false); err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatalf("issued again into %s: %v", dir, err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, sharedid.KeyFile)); string(after) != string(before) {
		t.Fatal("a refusal changed the key")
	}
	if _, err := ca.IssueGateway(gw, dir, true); err != nil {
		t.Fatal(err)
	}
	if _, err := sharedid.Load(dir); err != nil {
		t.Fatal(err)
	}
}

func TestADirectoryThatCannotBeWrittenIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.OpenCA(filepath.Join(file, "ca")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("OpenCA: %v, want an error that names %s", err, file)
	}
	if _, err := openCA(t).IssueGateway(gw, filepath.Join(file, "gw"), false); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("IssueGateway: %v, want an error that names %s", err, file)
	}
}

func TestAnotherClustersCertificateIsRefusedOnBothSides(t *testing.T) {
	ours, theirs := openCA(t), openCA(t)
	foreign := credentials(t, theirs).ClientTLS(nil)
	_, clientErr, serverErr := handshake(foreign, serverTLS(t, ours))
	wantBoth(t, clientErr, serverErr, "unknown authority", "bad certificate")

	// A gateway that trusts our node, with a certificate of another cluster.
	trusting := credentials(t, ours).ClientTLS(nil)
	trusting.GetClientCertificate = foreign.GetClientCertificate
	_, clientErr, serverErr = handshake(trusting, serverTLS(t, ours))
	wantBoth(t, clientErr, serverErr, "unknown certificate authority", "unknown authority")
}

func TestAnExpiredCertificateIsRefusedOnBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := openCA(t)
		cfg := credentials(t, ca).ClientTLS(nil)
		time.Sleep(11 * 365 * 24 * time.Hour) // in the bubble's time
		_, clientErr, serverErr := handshake(cfg, serverTLS(t, ca))
		wantBoth(t, clientErr, serverErr, "expired certificate", "expired")
	})
}

func TestAWrongProtocolIsRefusedOnBothSides(t *testing.T) {
	ca := openCA(t)
	cfg := credentials(t, ca).ClientTLS(nil)
	cfg.NextProtos = []string{"http/1.1"}
	_, clientErr, serverErr := handshake(cfg, serverTLS(t, ca))
	wantBoth(t, clientErr, serverErr, "no application protocol", "unsupported application protocols")
}

func TestAGatewayIsNotTakenForANode(t *testing.T) {
	ca := openCA(t)
	impostor := credentials(t, ca).ClientTLS(nil)
	server := serverTLS(t, ca)
	server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return impostor.GetClientCertificate(nil) }
	_, clientErr, serverErr := handshake(credentials(t, ca).ClientTLS(nil), server)
	if clientErr == nil || serverErr == nil {
		t.Fatalf("a gateway's certificate was accepted as a node's: %v, %v", clientErr, serverErr)
	}

	// Also with the usage of a server, the name decides.
	cfg := credentials(t, ca).ClientTLS(nil)
	out, err := ca.Gateway(gw)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := sharedid.ParseCertificate(out.Cert)
	if err != nil {
		t.Fatal(err)
	}
	err = cfg.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}})
	if err == nil || !strings.Contains(err.Error(), "want a node's") {
		t.Fatalf("%v, want the reason", err)
	}
}

func TestANodeIsNotTakenForAGateway(t *testing.T) {
	ca := openCA(t)
	server := serverTLS(t, ca)
	node, err := server.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ca.GatewayOf(node.Leaf); err == nil || !strings.Contains(err.Error(), "want a gateway's") {
		t.Errorf("%v, want the reason", err)
	}
	if _, err := ca.GatewayOf(&x509.Certificate{}); !errors.Is(err, sharedid.ErrNoIdentity) {
		t.Errorf("%v, want ErrNoIdentity", err)
	}
	if len(node.Leaf.IPAddresses) != 1 || node.Leaf.VerifyHostname("cloud.example") != nil {
		t.Errorf("names %v, %v", node.Leaf.DNSNames, node.Leaf.IPAddresses)
	}
}

func TestAGatewayThatBootsIn1970ReachesANodeThatStartedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := openCA(t)
		creds := credentials(t, ca)
		time.Sleep(400 * 24 * time.Hour)
		server := serverTLS(t, ca) // the node's certificate is newer than the gateway's
		for _, vouched := range []bool{false, true} {
			cfg := creds.ClientTLS(func() (time.Time, bool) { return time.Unix(3, 0), vouched })
			_, clientErr, serverErr := handshake(cfg, server)
			if clientErr != nil || serverErr != nil {
				t.Fatal(clientErr, serverErr)
			}
		}
	})
}

func TestAClockIn2040StandsInTheWayOnlyIfSomebodyVouchesForIt(t *testing.T) {
	ca := openCA(t)
	creds, server := credentials(t, ca), serverTLS(t, ca)
	in2040 := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	cfg := creds.ClientTLS(func() (time.Time, bool) { return in2040, false })
	if _, clientErr, serverErr := handshake(cfg, server); clientErr != nil || serverErr != nil {
		t.Errorf("nobody vouches for the gateway's clock: %v, %v, want a connection", clientErr, serverErr)
	}
	cfg = creds.ClientTLS(func() (time.Time, bool) { return in2040, true })
	_, clientErr, serverErr := handshake(cfg, server)
	var unverified *tls.CertificateVerificationError
	if !errors.As(clientErr, &unverified) || serverErr == nil {
		t.Errorf("a time server vouches for it: %v, %v, want the certificate refused", clientErr, serverErr)
	}
}

func TestANodeRenewsItsCertificateWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := openCA(t)
		server, cfg := serverTLS(t, ca), credentials(t, ca).ClientTLS(nil)
		first, _ := server.GetCertificate(nil)
		time.Sleep(24 * time.Hour)
		if again, _ := server.GetCertificate(nil); again != first {
			t.Fatal("the certificate was renewed after a day")
		}
		time.Sleep(200 * 24 * time.Hour)
		if _, clientErr, serverErr := handshake(cfg, server); clientErr != nil || serverErr != nil {
			t.Fatal(clientErr, serverErr)
		}
	})
}

func TestANodeNameOutsideTheGrammarIsRefused(t *testing.T) {
	if _, err := openCA(t).ServerTLS("Node 1", nil); err == nil || !strings.Contains(err.Error(), "Node 1") {
		t.Fatalf("%v, want an error that names the node", err)
	}
}
