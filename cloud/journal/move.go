package journal

import (
	"crypto/sha256"
	"fmt"
)

// AppendMark writes the body of a mark, []: its place is all that counts.
func AppendMark(dst []byte) []byte { return appendHead(dst, majorArray, 0) }

// Departure is the body of the record with which a site leaves a shard.
type Departure struct {
	To       int    // the shard that it goes to
	Revision uint64 // of the site's document in the catalog that says so
}

// Append writes [1, to, revision].
func (m Departure) Append(dst []byte) []byte {
	dst = appendUint(appendHead(dst, majorArray, 3), envelopeVersion)
	return appendUint(appendUint(dst, uint64(m.To)), m.Revision)
}

// ParseDeparture reads what Departure.Append wrote.
func ParseDeparture(body []byte) (Departure, error) {
	d := decoder{b: body}
	d.array(3, "departure")
	version(&d, "departure")
	m := Departure{To: d.shard("to"), Revision: d.uint("revision")}
	if err := d.end(); err != nil {
		return Departure{}, fmt.Errorf("journal: departure: %w", err)
	}
	return m, nil
}

// Arrival is the body of the record with which a site comes into a shard, with
// the state that it left another with.
type Arrival struct {
	From     int               // the shard that it comes from
	At       uint64            // the message of that shard's log with which it left
	Digest   [sha256.Size]byte // of its state then
	Revision uint64            // of the site's document in the catalog that says so
}

// Append writes [1, from, at, digest, revision].
func (m Arrival) Append(dst []byte) []byte {
	dst = appendUint(appendHead(dst, majorArray, 5), envelopeVersion)
	dst = appendUint(appendUint(dst, uint64(m.From)), m.At)
	dst = append(appendHead(dst, majorBytes, uint64(len(m.Digest))), m.Digest[:]...)
	return appendUint(dst, m.Revision)
}

// ParseArrival reads what Arrival.Append wrote.
func ParseArrival(body []byte) (Arrival, error) {
	d := decoder{b: body}
	d.array(5, "arrival")
	version(&d, "arrival")
	m := Arrival{From: d.shard("from"), At: d.uint("at")}
	if b := d.take(majorBytes, len(m.Digest), "digest"); d.err == nil && copy(m.Digest[:], b) != len(m.Digest) {
		d.fail("digest: %d bytes, want %d", len(b), len(m.Digest))
	}
	m.Revision = d.uint("revision")
	if err := d.end(); err != nil {
		return Arrival{}, fmt.Errorf("journal: arrival: %w", err)
	}
	return m, nil
}

func (d *decoder) shard(what string) int {
	n := d.uint(what)
	if d.err == nil && n >= MaxShards {
		d.fail("%s: shard %d, at most %d", what, n, MaxShards-1)
		return 0
	}
	return int(n)
}
