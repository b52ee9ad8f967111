package wire

import "github.com/atrium-iot/atrium/shared/id"

// Peek returns the kind of a message without reading further. A kind that this
// package does not know is returned as it is. The error is a *VersionError or
// a malformed *Error.
func Peek(b []byte) (Kind, error) {
	_, k, err := peek(b)
	return k, err
}

// PeekSeq returns the run and the sequences of a frame (first == last) or gap
// without checking the rest, the CRC included: what a reject needs to name. A
// sequenced kind that this package does not know is read as a frame.
func PeekSeq(b []byte) (run id.Run, first, last uint64, err error) {
	c, k, err := peek(b)
	if err != nil {
		return id.Run{}, 0, 0, err
	}
	if k >= firstUnsequenced {
		c.fail(RejectUnsupportedKind, "kind", "%s has no sequence", k)
	}
	c.fixed("run", run[:])
	first = c.uint("seq")
	last = first
	if k == KindGap {
		last = c.uint("b")
	}
	if c.err == nil && (first == 0 || last < first) {
		c.fail(RejectMalformed, "seq", "range %d to %d", first, last)
	}
	if c.err != nil {
		return id.Run{}, 0, 0, c.err
	}
	return run, first, last, nil
}

func peek(b []byte) (cursor, Kind, error) {
	c := cursor{b: b}
	c.head(majorArray, "message")
	version := c.uint("version")
	if c.err == nil && version != Version {
		c.err = &VersionError{Got: version}
	}
	k := c.uintIn("kind", 0, 255)
	return c, Kind(k), c.err
}
