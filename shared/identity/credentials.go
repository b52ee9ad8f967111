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

// ClientTLS is the gateway's side of the handshake. The node must present a
// certificate of this cluster's CA and the SPIFFE name of a node of this
// cluster; which host was dialled does not matter. now is the gateway's best
// knowledge of the time, usually a TimeFloor; nil means time.Now.
//
// A time before this gateway's own certificate was made is known to be wrong
// and raised to that, and a node's certificate is valid since the CA is
// (cloud/identity): a gateway that boots in 1970 reaches its cluster.
func (c *Credentials) ClientTLS(now func() time.Time) *tls.Config {
	if now == nil {
		now = time.Now
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{wire.ALPN},
		// Presented whatever CAs the node asks for: a node of another cluster then
		// says "unknown authority" on both sides, and not "no certificate".
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &c.cert, nil },
		RootCAs:              c.roots,
		ServerName:           NodeServerName,
		Time:                 TimeFloor(now, c.notBefore),
		VerifyConnection: func(cs tls.ConnectionState) error {
			_, err := NodeOf(cs.PeerCertificates[0], c.Cluster)
			return err
		},
	}
}

// NotAfter is when the gateway's certificate expires.
func (c *Credentials) NotAfter() time.Time { return c.cert.Leaf.NotAfter }

// TimeFloor returns a clock that never shows less than any floor: the build's
// time, the last time that was persisted, a certificate's NotBefore. Each is a
// proof that it was at least that late once. It follows now as soon as now is
// past them; it only decides on certificates and never stamps a reading.
func TimeFloor(now func() time.Time, floors ...time.Time) func() time.Time {
	var floor time.Time
	for _, f := range floors {
		if f.After(floor) {
			floor = f
		}
	}
	return func() time.Time {
		if t := now(); t.After(floor) {
			return t
		}
		return floor
	}
}
