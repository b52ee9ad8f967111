package wire

import (
	"crypto/sha256"
	"fmt"

	"github.com/atrium-iot/atrium/shared/id"
)

// Schema says which series a sid is within its run, before the sid's first use
// on a connection.
type Schema struct {
	Run    id.Run
	SID    uint32 // from 1
	Device id.Device
	Hash   id.Schema // HashBody(Body); checked by ParseSchema
	Grid   uint64    // the expected spacing of rows in ticks, 0 if unknown
	Digest [32]byte  // of the profile, comments and timings included
	Body   []byte    // the columns as Body.Append wrote them. Aliases the parsed input
}

const schemaItems = 9

// HashBody names a body: the first 16 bytes of its SHA-256.
func HashBody(body []byte) id.Schema {
	sum := sha256.Sum256(body)
	return id.Schema(sum[:16])
}

// Append writes the message.
func (m *Schema) Append(dst []byte) []byte {
	dst = appendStart(dst, schemaItems, KindSchema)
	dst = appendBytes(dst, m.Run[:])
	dst = appendUint(dst, uint64(m.SID))
	dst = appendText(dst, m.Device.String())
	dst = appendBytes(dst, m.Hash[:])
	dst = appendUint(dst, m.Grid)
	dst = appendBytes(dst, m.Digest[:])
	return appendBytes(dst, m.Body)
}

// ParseSchema reads what Append wrote and checks the hash. The body is
// ParseBody's to judge.
func ParseSchema(b []byte) (Schema, error) {
	var m Schema
	c := open(b, schemaItems, KindSchema)
	c.fixed("run", m.Run[:])
	m.SID = uint32(c.uintIn("sid", 1, maxUint32))
	m.Device = c.device()
	c.fixed("hash", m.Hash[:])
	m.Grid = c.uint("grid")
	c.fixed("digest", m.Digest[:])
	m.Body = c.bytes("body", MaxBody)
	if err := c.end(); err != nil {
		return Schema{}, err
	}
	if got := HashBody(m.Body); got != m.Hash {
		return Schema{}, &Error{RejectMalformed, "hash", fmt.Errorf("is %s, the body has %s", m.Hash, got)}
	}
	return m, nil
}

func (c *cursor) device() id.Device {
	s := c.text("device", 2*id.MaxName+1)
	if c.err != nil {
		return id.Device{}
	}
	d, err := id.ParseDevice(s)
	if err != nil {
		c.err = &Error{RejectMalformed, "device", err}
	}
	return d
}
