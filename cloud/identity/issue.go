package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Issued is a gateway's identity in PEM.
type Issued struct {
	Cert, Key, CA []byte
	NotAfter      time.Time
}

// Gateway issues a certificate and a key to a gateway.
func (c *CA) Gateway(gw id.Gateway) (Issued, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Issued{}, fmt.Errorf("identity: key of %s: %w", gw, err)
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: gw.String()},
		URIs:        []*url.URL{identity.GatewayName(c.cluster, gw).URL()},
		NotBefore:   now.Add(-backdate),
		NotAfter:    now.Add(gatewayValidity),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := c.sign(template, pub)
	if err != nil {
		return Issued{}, fmt.Errorf("identity: certificate of %s: %w", gw, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return Issued{}, fmt.Errorf("identity: key of %s: %w", gw, err)
	}
	return Issued{Cert: encodeCert(der), Key: keyPEM, CA: c.CertificatePEM(), NotAfter: template.NotAfter}, nil
}

// IssueGateway issues an identity to a gateway and writes it into dir, which
// it makes if need be: gateway.crt, gateway.key (mode 0600) and ca.crt. It
// refuses to replace any of them unless force is set.
func (c *CA) IssueGateway(gw id.Gateway, dir string, force bool) (Issued, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Issued{}, fmt.Errorf("identity: issue %s: %w", gw, err)
	}
	if !force {
		for _, name := range []string{identity.CertFile, identity.KeyFile, identity.CAFile} {
			if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
				return Issued{}, fmt.Errorf("identity: issue %s: %s exists and is not overwritten: choose another directory or force it", gw, filepath.Join(dir, name))
			}
		}
	}
	out, err := c.Gateway(gw)
	if err != nil {
		return Issued{}, err
	}
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{{identity.KeyFile, out.Key, 0o600}, {identity.CAFile, out.CA, 0o644}, {identity.CertFile, out.Cert, 0o644}} {
		if err := writeFile(filepath.Join(dir, f.name), f.data, f.mode, force); err != nil {
			return Issued{}, fmt.Errorf("identity: issue %s: %w", gw, err)
		}
	}
	return out, nil
}

// ServerTLS is a node's side of the handshake with gateways. A peer must have
// a certificate of this CA that is valid now; that it is a gateway's is checked
// by the gate, which can tell it the reason in a close frame. hosts are names
// and addresses under which others reach the node.
//
// The node's certificate lives in memory: it is new at every start, and is
// renewed when two thirds of its time are over.
func (c *CA) ServerTLS(node string, hosts []string) (*tls.Config, error) {
	n := &nodeCertificate{ca: c, node: node, hosts: hosts}
	if _, err := n.get(nil); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.cert)
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{wire.ALPN},
		GetCertificate: n.get,
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      roots,
		// A resumed session would not look at the client's expiry again.
		SessionTicketsDisabled: true,
	}, nil
}

// nodeCertificate issues a node's certificate when it is needed.
type nodeCertificate struct {
	ca    *CA
	node  string
	hosts []string

	mu    sync.Mutex // guards the fields below
	cert  *tls.Certificate
	renew time.Time
}

func (n *nodeCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if n.cert != nil && now.Before(n.renew) {
		return n.cert, nil
	}
	cert, err := n.ca.issueNode(n.node, n.hosts, now)
	if err != nil {
		return nil, err
	}
	n.cert, n.renew = cert, now.Add(nodeValidity*2/3)
	return cert, nil
}

func (c *CA) issueNode(node string, hosts []string, now time.Time) (*tls.Certificate, error) {
	name := identity.NodeName(c.cluster, node)
	if _, err := identity.Parse(name.URL()); err != nil {
		return nil, fmt.Errorf("identity: node's certificate: %w", err)
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("identity: node's key: %w", err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: node},
		URIs:    []*url.URL{name.URL()},
		// Valid since the CA is: a gateway whose clock stands at its own
		// certificate's date must still accept a node that started yesterday.
		NotBefore:   c.cert.NotBefore,
		NotAfter:    now.Add(nodeValidity),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{identity.NodeServerName},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := c.sign(template, pub)
	if err != nil {
		return nil, fmt.Errorf("identity: node's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("identity: node's certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// writeFile puts data into file so that a crash leaves either all of it or
// what was there before. Without replace, an existing file is fs.ErrExist.
func writeFile(file string, data []byte, mode fs.FileMode, replace bool) error {
	dir := filepath.Dir(file)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(file)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	if replace {
		err = os.Rename(tmp.Name(), file)
	} else {
		err = os.Link(tmp.Name(), file) // unlike rename, fails if it exists
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
