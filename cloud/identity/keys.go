package identity

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// ResetKey is the key of QUIC's stateless resets (RFC 9000, 10.3): a node that
// was restarted, or that a balancer chose instead of another, answers packets
// of connections that it does not know, and their gateways dial at once instead
// of waiting for silence.
func (c *CA) ResetKey() ([32]byte, error) { return c.derive("atrium quic stateless reset") }

// TokenKey is the key of QUIC's address validation tokens (RFC 9000, 8.1): an
// address that was proven to one node of the cluster is proven to all.
func (c *CA) TokenKey() ([32]byte, error) { return c.derive("atrium quic address token") }

// derive makes a key from the CA's (RFC 5869): secret, and the same on each
// node and after each start.
func (c *CA) derive(purpose string) ([32]byte, error) {
	b, err := hkdf.Key(sha256.New, c.key.Seed(), nil, purpose, 32)
	if err != nil {
		return [32]byte{}, fmt.Errorf("identity: derive %q: %w", purpose, err)
	}
	return [32]byte(b), nil
}
