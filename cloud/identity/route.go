package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/atrium-iot/atrium/shared/identity"
)

// RouteTLS is a node's side, dialling and accepting, of the connections among
// the cluster's nodes. Both ends present a node's certificate of this CA, and
// each refuses any other: of a gateway, or of another cluster. Which host was
// dialled does not matter.
func (c *CA) RouteTLS(node string) (*tls.Config, error) {
	n := &nodeCertificate{ca: c, node: node}
	if _, err := n.get(nil); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.cert)
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: n.get,
		// Presented whatever CAs the other asks for: both sides then say why.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return n.get(nil) },
		ClientAuth:           tls.RequireAndVerifyClientCert,
		ClientCAs:            roots,
		RootCAs:              roots,
		ServerName:           identity.NodeServerName,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return errors.New("identity: the other node has no certificate")
			}
			_, err := identity.NodeOf(cs.PeerCertificates[0], c.cluster)
			return err
		},
		// A resumed session would not look at the other's expiry again.
		SessionTicketsDisabled: true,
	}, nil
}
