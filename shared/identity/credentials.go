package identity

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// The files of a gateway's identity, as `atrium-cloud issue gateway` writes
// them into one directory.
const (
	CertFile = "gateway.crt"
	KeyFile  = "gateway.key"
	CAFile   = "ca.crt"
)

// Credentials are what a gateway needs to reach its cluster.
type Credentials struct {
	Cluster string
	Gateway id.Gateway

	cert      tls.Certificate
	roots     *x509.CertPool
	notBefore time.Time // the earliest time at which both certificates are valid
}

// Load reads CertFile, KeyFile and CAFile from a directory. An error names the
// file that is wrong.
func Load(dir string) (*Credentials, error) {
	return LoadFiles(filepath.Join(dir, CertFile), filepath.Join(dir, KeyFile), filepath.Join(dir, CAFile))
}

// LoadFiles is Load for files that lie elsewhere.
func LoadFiles(certFile, keyFile, caFile string) (*Credentials, error) {
	var pems [3][]byte
	for i, file := range []string{certFile, keyFile, caFile} {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("identity: %w (make one with: atrium-cloud issue gateway SITE/GATEWAY --out DIR)", err)
		}
		pems[i] = b
	}
	c, err := Parsed(pems[0], pems[1], pems[2])
	if err != nil {
		return nil, fmt.Errorf("identity: %s, %s, %s: %w", certFile, keyFile, caFile, err)
	}
	return c, nil
}

// Parsed makes credentials of a gateway's certificate, its key and its
// cluster's CA, all in PEM. Validity in time is not checked here: a gateway
// may start before it knows what time it is.
func Parsed(certPEM, keyPEM, caPEM []byte) (*Credentials, error) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate and key: %w", err)
	}
	ca, err := ParseCertificate(caPEM)
	if err != nil {
		return nil, fmt.Errorf("CA: %w", err)
	}
	leaf := pair.Leaf
	n, err := Of(leaf)
	if err != nil {
		return nil, err
	}
	if n.Kind != KindGateway {
		return nil, fmt.Errorf("certificate of %s: a %s's, want a gateway's", n, n.Kind)
	}
	if err := leaf.CheckSignatureFrom(ca); err != nil {
		return nil, fmt.Errorf("certificate of %s is not signed by this CA: %w", n, err)
	}
	c := &Credentials{Cluster: n.Cluster, Gateway: n.Gateway, cert: pair, roots: x509.NewCertPool(), notBefore: leaf.NotBefore}
	c.roots.AddCert(ca)
	if ca.NotBefore.After(c.notBefore) {
		c.notBefore = ca.NotBefore
	}
	return c, nil
}

// ParseCertificate reads exactly one certificate in PEM.
func ParseCertificate(b []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("want one CERTIFICATE block in PEM")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errors.New("want one CERTIFICATE block in PEM, found more")
	}
	return x509.ParseCertificate(block.Bytes)
}

// Clock tells the time, and whether somebody vouches for it: a time server, or
// the cloud.
type Clock func() (now time.Time, vouched bool)

// SystemClock is the machine's clock, believed.
func SystemClock() (now time.Time, vouched bool) { return time.Now(), true }

// ClientTLS is the gateway's side of the handshake. The node must present a
// certificate of this cluster's CA and the SPIFFE name of a node of this
// cluster; which host was dialled does not matter. A nil clock is SystemClock.
//
// The handshake comes before the gateway can learn the time from the cloud, so
// that a wrong clock must not stand in its way. A time before this gateway's
// own certificate was made is known to be wrong and raised to that, and a
// node's certificate is valid since the CA is (cloud/identity): a gateway that
// boots in 1970 reaches its cluster. A clock that nobody vouches for does not
// let a node's certificate expire: one that boots in 2040 reaches it, too, at
// the price that it would take a node's key which was stolen, and has expired.
func (c *Credentials) ClientTLS(clock Clock) *tls.Config {
	if clock == nil {
		clock = SystemClock
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{wire.ALPN},
		// Presented whatever CAs the node asks for: a node of another cluster then
		// says "unknown authority" on both sides, and not "no certificate".
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.cert, nil },
		ServerName:           NodeServerName,
		// VerifyConnection does all that the library would, at another time.
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return c.verify(cs.PeerCertificates, clock) },
	}
}

// verify checks a node's chain as crypto/tls does, and its name in between: that
// tells people most.
func (c *Credentials) verify(chain []*x509.Certificate, clock Clock) error {
	leaf := chain[0] // a TLS server always sends one
	options := x509.VerifyOptions{
		Roots: c.roots, Intermediates: x509.NewCertPool(),
		CurrentTime: c.timeFor(leaf, clock), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, cert := range chain[1:] {
		options.Intermediates.AddCert(cert)
	}
	if _, err := leaf.Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	if _, err := NodeOf(leaf, c.Cluster); err != nil {
		return err
	}
	options.DNSName, options.KeyUsages = NodeServerName, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if _, err := leaf.Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

// timeFor returns the time at which a node's certificate is judged.
func (c *Credentials) timeFor(node *x509.Certificate, clock Clock) time.Time {
	now, vouched := clock()
	if now.Before(c.notBefore) {
		now = c.notBefore
	}
	if !vouched && now.After(node.NotAfter) {
		now = node.NotAfter
	}
	return now
}

// NotAfter is when the gateway's certificate expires.
func (c *Credentials) NotAfter() time.Time { return c.cert.Leaf.NotAfter }
