package identity

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// ResetKey is the key of QUIC's stateless resets (RFC 9000, 10.3): a node that
// was restarted answers packets of connections that it no longer knows, and
// their gateways dial at once instead of waiting for silence. It is derived
// from the CA's key, so that it is secret and the same after each start.
func (c *CA) ResetKey() ([32]byte, error) {
	b, err := hkdf.Key(sha256.New, c.key.Seed(), nil, "atrium quic stateless reset", 32)
	if err != nil {
		return [32]byte{}, fmt.Errorf("identity: reset key: %w", err)
	}
	return [32]byte(b), nil
}
