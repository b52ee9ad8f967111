// Package identity is a cluster's certificate authority: it makes the CA on
// first use, issues gateways' certificates into a directory and a node's own
// in memory, and configures the server's side of TLS. It does not decide what
// a gateway may do, and revokes nothing. How names look inside certificates is
// shared/identity.
package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/identity"
)

// StoreFile holds the CA's certificate and its key. They are one file so that
// no crash leaves one without the other.
const StoreFile = "ca.pem"

// How long certificates are valid.
const (
	// caValidity outlives every gateway that it signs.
	caValidity = 25 * 365 * 24 * time.Hour
	// gatewayValidity is a gateway's life in the field: renewal must never stand
	// between a sensor and its twin, so that nothing depends on it.
	gatewayValidity = 10 * 365 * 24 * time.Hour
	// nodeValidity is short, because a node renews its certificate itself.
	nodeValidity = 90 * 24 * time.Hour
	// backdate forgives the clocks of others that are a little late.
	backdate = 24 * time.Hour
)

// CA is a cluster's certificate authority. Its methods may be called from many
// goroutines.
type CA struct {
	cluster string
	cert    *x509.Certificate
	certPEM []byte
	key     ed25519.PrivateKey
}

// OpenCA reads the CA in dir, or makes the directory and a new CA, with a new
// random cluster id, if there is none. Of two processes that do so at once,
// both get the same one.
func OpenCA(dir string) (*CA, error) {
	file := filepath.Join(dir, StoreFile)
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if b, err = create(dir, file); err != nil {
			return nil, fmt.Errorf("identity: make the cluster's CA: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("identity: read the cluster's CA: %w", err)
	}
	ca, err := parseCA(b)
	if err != nil {
		return nil, fmt.Errorf("identity: %s: %w", file, err)
	}
	return ca, nil
}

func create(dir, file string) ([]byte, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	b, err := newCA(time.Now())
	if err != nil {
		return nil, err
	}
	switch err := writeFile(file, b, 0o600, false); {
	case errors.Is(err, fs.ErrExist): // another process was faster
		return os.ReadFile(file)
	case err != nil:
		return nil, err
	}
	return b, nil
}

func newCA(now time.Time) ([]byte, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var seed [10]byte // 80 bits: no two clusters ever meet with one id
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, err
	}
	cluster := strings.ToLower(base32.StdEncoding.EncodeToString(seed[:]))
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Atrium cluster " + cluster},
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: cluster}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caValidity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return append(encodeCert(der), keyPEM...), nil
}

func parseCA(b []byte) (*CA, error) {
	certBlock, rest := pem.Decode(b)
	keyBlock, rest := pem.Decode(rest)
	if certBlock == nil || keyBlock == nil || certBlock.Type != "CERTIFICATE" || keyBlock.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("want a CERTIFICATE and a PRIVATE KEY block in PEM: restore it from a backup (without it no gateway of this cluster can be trusted)")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key is a %T, want Ed25519", key)
	}
	if pub, ok := cert.PublicKey.(ed25519.PublicKey); !ok || !pub.Equal(signer.Public()) {
		return nil, errors.New("the key is not the certificate's")
	}
	if !cert.IsCA || len(cert.URIs) != 1 || cert.URIs[0].Scheme != "spiffe" || cert.URIs[0].Host == "" {
		return nil, errors.New("the certificate is not a CA with the name spiffe://CLUSTER")
	}
	return &CA{cluster: cert.URIs[0].Host, cert: cert, certPEM: pem.EncodeToMemory(certBlock), key: signer}, nil
}

// Cluster is the id that the CA drew when it was made: the SPIFFE trust domain.
func (c *CA) Cluster() string { return c.cluster }

// CertificatePEM is the CA's certificate, which gateways need; not its key.
func (c *CA) CertificatePEM() []byte { return bytes.Clone(c.certPEM) }

// GatewayOf returns the gateway of this cluster that a certificate names. TLS
// has checked its signature and validity before.
func (c *CA) GatewayOf(cert *x509.Certificate) (id.Gateway, error) {
	return identity.GatewayOf(cert, c.cluster)
}

// sign completes a template and makes the certificate of pub; no certificate
// outlives its CA.
func (c *CA) sign(template *x509.Certificate, pub ed25519.PublicKey) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	if template.NotAfter.After(c.cert.NotAfter) {
		template.NotAfter = c.cert.NotAfter
	}
	return x509.CreateCertificate(rand.Reader, template, c.cert, pub, c.key)
}

// newSerial draws 127 random bits (RFC 5280, 4.1.2.2: positive, at most 20 bytes).
func newSerial() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return n.Add(n, big.NewInt(1)), nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(key ed25519.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
