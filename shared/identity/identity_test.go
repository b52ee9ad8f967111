package identity_test

import (
	"crypto/x509"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/identity"
)

func parse(t testing.TB, s string) (identity.Name, error) {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		return identity.Name{}, err
	}
	return identity.Parse(u)
}

func TestNamesRoundTrip(t *testing.T) {
	for _, n := range []identity.Name{
		identity.GatewayName("c1", id.Gateway{Site: "hq", Name: "gw-1"}),
		identity.NodeName("c1", "n1"),
	} {
		if got, err := parse(t, n.String()); err != nil || got != n {
			t.Errorf("%s came back as %+v, %v", n, got, err)
		}
	}
}

func TestOtherURLsAreNoNames(t *testing.T) {
	for _, bad := range []struct{ in, want string }{
		{"https://c1/gateway/hq/gw", "scheme"},
		{"spiffe:///gateway/hq/gw", "cluster id"},
		{"spiffe://C1/gateway/hq/gw", "character 1"},
		{"spiffe://c1:80/gateway/hq/gw", "character 3"},
		{"spiffe://u@c1/gateway/hq/gw", "exactly"},
		{"spiffe://c1/gateway/hq/gw?x=1", "exactly"},
		{"spiffe://c1/gateway/hq/gw#x", "exactly"},
		{"spiffe://c1/gateway/h%71/gw", "exactly"},
		{"spiffe://c1//gateway/hq/gw", "path"},
		{"spiffe://c1/gateway/hq", "SITE/NAME"},
		{"spiffe://c1/gateway/hq/gw/x", "character"},
		{"spiffe://c1/gateway/HQ/gw", "character 1"},
		{"spiffe://c1/node/", "node name"},
		{"spiffe://c1/node/a/b", "node name"},
		{"spiffe://c1/room/a", "path"},
		{"spiffe://c1", "path"},
	} {
		if n, err := parse(t, bad.in); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %+v, %v; want an error with %q", bad.in, n, err, bad.want)
		}
	}
}

func FuzzParseAcceptsOnlyWhatItWrites(f *testing.F) {
	f.Add("spiffe://c1/gateway/hq/gw")
	f.Add("spiffe://c1/node/n1")
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := parse(t, s); err == nil && n.String() != s && strings.HasPrefix(s, "spiffe") {
			t.Fatalf("%q was accepted as %s", s, n)
		}
	})
}

func TestACertificateOfAnotherClusterOrKindIsRefusedWithTheReason(t *testing.T) {
	gateway := identity.GatewayName("c1", id.Gateway{Site: "hq", Name: "gw"})
	cert := func(n identity.Name) *x509.Certificate { return &x509.Certificate{URIs: []*url.URL{n.URL()}} }
	if gw, err := identity.GatewayOf(cert(gateway), "c1"); err != nil || gw != gateway.Gateway {
		t.Fatal(gw, err)
	}
	if _, err := identity.GatewayOf(cert(gateway), "c2"); err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Error(err)
	}
	if _, err := identity.GatewayOf(cert(identity.NodeName("c1", "n1")), "c1"); err == nil || !strings.Contains(err.Error(), "want a gateway's") {
		t.Error(err)
	}
	if _, err := identity.NodeOf(cert(gateway), "c1"); err == nil || !strings.Contains(err.Error(), "want a node's") {
		t.Error(err)
	}
	if _, err := identity.NodeOf(cert(identity.NodeName("c2", "n1")), "c1"); err == nil || !strings.Contains(err.Error(), "another cluster") {
		t.Error(err)
	}
	two := cert(gateway)
	two.URIs = append(two.URIs, gateway.URL())
	if _, err := identity.GatewayOf(two, "c1"); !errors.Is(err, identity.ErrNoIdentity) {
		t.Error(err)
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	_, err := identity.Load(dir)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(dir, identity.CertFile)) {
		t.Fatal(err)
	}
	for _, f := range []string{identity.CertFile, identity.KeyFile, identity.CAFile} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("rubbish"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := identity.Load(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Fatal(err)
	}
}
