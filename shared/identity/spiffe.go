// Package identity is what both tiers must agree on about who is who: the
// SPIFFE names in certificates, and a gateway's side of TLS.
// It makes no certificate and keeps no key of a CA: that is cloud/identity. A
// certificate comes in, a name or the reason why there is none goes out.
package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/atrium-iot/atrium/shared/id"
)

// NodeServerName is a DNS name that every node's certificate carries besides
// its own. Gateways ask for it instead of the host that they dialled, so that a
// node may be reached by any address; that it is a node of the right cluster is
// said by its SPIFFE name. "internal" is ICANN's domain for private use.
const NodeServerName = "node.atrium.internal"

// maxCluster bounds a cluster's id, in bytes: ids that we make have 16, and a
// SPIFFE trust domain may have 255 (SPIFFE-ID, 2.1).
const maxCluster = 255

// ErrNoIdentity is in the chain of every error for a certificate that does not
// carry exactly one Atrium name.
var ErrNoIdentity = errors.New("certificate without an Atrium identity")

// Kind tells gateways' names from nodes'.
type Kind uint8

// The kinds of names that a certificate may carry.
const (
	KindGateway Kind = iota + 1
	KindNode
)

// String returns the word that names the kind in a SPIFFE path.
func (k Kind) String() string {
	switch k {
	case KindGateway:
		return "gateway"
	case KindNode:
		return "node"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Name is who a certificate says that its holder is.
type Name struct {
	Cluster string // the trust domain
	Kind    Kind
	Gateway id.Gateway // of KindGateway
	Node    string     // of KindNode
}

// GatewayName names a gateway of a cluster.
func GatewayName(cluster string, gw id.Gateway) Name {
	return Name{Cluster: cluster, Kind: KindGateway, Gateway: gw}
}

// NodeName names a node of a cluster.
func NodeName(cluster, node string) Name {
	return Name{Cluster: cluster, Kind: KindNode, Node: node}
}

// URL returns spiffe://CLUSTER/gateway/SITE/GATEWAY or spiffe://CLUSTER/node/NODE.
func (n Name) URL() *url.URL {
	u := &url.URL{Scheme: "spiffe", Host: n.Cluster, Path: "/" + n.Kind.String() + "/" + n.Node}
	if n.Kind == KindGateway {
		u.Path = "/" + n.Kind.String() + "/" + n.Gateway.String()
	}
	return u
}

// String returns the URL as text.
func (n Name) String() string { return n.URL().String() }

// Parse reads what Name.URL wrote and nothing else: no port, user, query,
// fragment or escaped path.
func Parse(u *url.URL) (Name, error) {
	n, err := parse(u)
	if err != nil {
		return Name{}, fmt.Errorf("identity %q: %w", u.String(), err)
	}
	if n.String() != u.String() {
		return Name{}, fmt.Errorf("identity %q: want exactly %q", u.String(), n.String())
	}
	return n, nil
}

func parse(u *url.URL) (Name, error) {
	if u.Scheme != "spiffe" {
		return Name{}, fmt.Errorf("want the scheme spiffe")
	}
	if err := checkCluster(u.Host); err != nil {
		return Name{}, err
	}
	kind, rest, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	switch kind {
	case "gateway":
		gw, err := id.ParseGateway(rest)
		if err != nil {
			return Name{}, err
		}
		return GatewayName(u.Host, gw), nil
	case "node":
		if _, err := id.ParseSite(rest); err != nil { // a node's name has a site's grammar
			return Name{}, fmt.Errorf("node name %q: want lower-case letters, digits and inner hyphens", rest)
		}
		return NodeName(u.Host, rest), nil
	}
	return Name{}, fmt.Errorf("want the path /gateway/SITE/GATEWAY or /node/NODE")
}

func checkCluster(s string) error {
	if s == "" || len(s) > maxCluster {
		return fmt.Errorf("cluster id of %d characters: want 1 to %d", len(s), maxCluster)
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			continue
		}
		return fmt.Errorf("cluster id %q: character %d: want a-z, 0-9, '.', '-' or '_'", s, i+1)
	}
	return nil
}

// Of returns the one name that a certificate carries. It does not look at
// signatures or validity: TLS has done that.
func Of(cert *x509.Certificate) (Name, error) {
	if len(cert.URIs) != 1 {
		return Name{}, fmt.Errorf("%w: it has %d URI names, want one (SPIFFE X.509-SVID, 2)", ErrNoIdentity, len(cert.URIs))
	}
	n, err := Parse(cert.URIs[0])
	if err != nil {
		return Name{}, fmt.Errorf("%w: %w", ErrNoIdentity, err)
	}
	return n, nil
}

// GatewayOf returns the gateway that a certificate names, if it is one of
// cluster.
func GatewayOf(cert *x509.Certificate, cluster string) (id.Gateway, error) {
	n, err := Of(cert)
	if err != nil {
		return id.Gateway{}, err
	}
	if n.Cluster != cluster {
		return id.Gateway{}, fmt.Errorf("certificate of %s: another cluster, want %s", n, cluster)
	}
	if n.Kind != KindGateway {
		return id.Gateway{}, fmt.Errorf("certificate of %s: a %s's, want a gateway's", n, n.Kind)
	}
	return n.Gateway, nil
}

// NodeOf returns the node that a certificate names, if it is one of cluster.
func NodeOf(cert *x509.Certificate, cluster string) (string, error) {
	n, err := Of(cert)
	if err != nil {
		return "", err
	}
	if n.Cluster != cluster {
		return "", fmt.Errorf("certificate of %s: another cluster, want %s", n, cluster)
	}
	if n.Kind != KindNode {
		return "", fmt.Errorf("certificate of %s: a %s's, want a node's", n, n.Kind)
	}
	return n.Node, nil
}
