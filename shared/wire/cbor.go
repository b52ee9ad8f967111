package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// CBOR major types (RFC 8949, 3.1). Of the others only the three items below
// occur in a message.
const (
	majorUint  = 0
	majorNeg   = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
)

// The initial bytes of false, true and a float64 (RFC 8949, 3.3). A float64 is
// never written shorter: one form is enough, and numbers are rare.
const (
	cborFalse   = 0xf4
	cborTrue    = 0xf5
	cborFloat64 = 0xfb

	floatSize = 1 + 8 // bytes of a float64 with its initial byte
)

const (
	maxUint32 = math.MaxUint32
	maxUint64 = math.MaxUint64
)

// appendHead writes a head in its shortest form (RFC 8949, 4.2.1).
func appendHead(dst []byte, major byte, arg uint64) []byte {
	m := major << 5
	switch {
	case arg < 24:
		return append(dst, m|byte(arg))
	case arg <= math.MaxUint8:
		return append(dst, m|24, byte(arg))
	case arg <= math.MaxUint16:
		return append(dst, m|25, byte(arg>>8), byte(arg))
	case arg <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, m|26), uint32(arg))
	default:
		return binary.BigEndian.AppendUint64(append(dst, m|27), arg)
	}
}

func appendUint(dst []byte, v uint64) []byte { return appendHead(dst, majorUint, v) }

func appendInt(dst []byte, v int64) []byte {
	if v < 0 {
		return appendHead(dst, majorNeg, uint64(^v))
	}
	return appendHead(dst, majorUint, uint64(v))
}

func appendArray(dst []byte, n int) []byte { return appendHead(dst, majorArray, uint64(n)) }

func appendBytes(dst, b []byte) []byte {
	return append(appendHead(dst, majorBytes, uint64(len(b))), b...)
}

func appendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, cborTrue)
	}
	return append(dst, cborFalse)
}

func appendFloat(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, cborFloat64), math.Float64bits(v))
}

// floatAt reads what appendFloat wrote; b holds at least floatSize bytes.
func floatAt(b []byte) float64 {
	return math.Float64frombits(binary.BigEndian.Uint64(b[1:floatSize]))
}

// clip makes a text of at most MaxText bytes of UTF-8 of any text.
func clip(s string) string {
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	n := min(len(s), MaxText)
	for n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// appendStart opens a message: the array of n items, the version, the kind.
func appendStart(dst []byte, n int, k Kind) []byte {
	return appendUint(appendUint(appendArray(dst, n), Version), uint64(k))
}

// cursor reads CBOR from the front of b. The first failure sticks: later reads
// return zero values, so that a parser checks once, at its end or before a
// loop whose length it has read.
type cursor struct {
	b   []byte
	off int
	err error
}

// open checks a message's array length, version and kind.
func open(b []byte, n int, want Kind) cursor {
	c, length := openAny(b, want)
	if c.err == nil && length != uint64(n) {
		c.fail(RejectMalformed, "message", "has %d items, want %d", length, n)
	}
	return c
}

// openAny is open for a message of any length, which it returns.
func openAny(b []byte, want Kind) (cursor, uint64) {
	c := cursor{b: b}
	length := c.head(majorArray, "message")
	version := c.uint("version")
	if c.err == nil && version != Version {
		c.err = &VersionError{Got: version}
	}
	kind := c.uint("kind")
	if c.err == nil && kind != uint64(want) {
		c.fail(RejectUnsupportedKind, "kind", "is %d, want %d (%s)", kind, uint8(want), want)
	}
	return c, length
}

// skipDepth bounds how deep arrays nest in an item that nobody knows.
const skipDepth = 4

// skip reads an item of whatever it is that occurs in messages: integers, byte
// strings, texts and arrays of them.
func (c *cursor) skip(at string, depth int) {
	major, arg := c.any(at)
	switch {
	case c.err != nil || major <= majorNeg:
	case major <= majorText:
		c.take(at, arg, MaxControl)
	case major > majorArray || depth == 0:
		c.fail(RejectMalformed, at, "has CBOR type %d, or arrays nested deeper than %d", major, skipDepth)
	default:
		for range arg { // ends with the input at the latest
			if c.skip(at, depth-1); c.err != nil {
				return
			}
		}
	}
}

func (c *cursor) fail(reason RejectReason, at, format string, args ...any) {
	if c.err == nil {
		c.err = &Error{Reason: reason, At: at, Err: fmt.Errorf(format, args...)}
	}
}

// end fails if bytes are left, and returns the first failure.
func (c *cursor) end() error {
	if c.err == nil && c.off != len(c.b) {
		c.fail(RejectMalformed, "end", "%d bytes after the message", len(c.b)-c.off)
	}
	return c.err
}

// any reads one head of whatever type.
func (c *cursor) any(at string) (major byte, arg uint64) {
	if c.err != nil {
		return 0, 0
	}
	major, arg, n := readHead(c.b[c.off:])
	switch {
	case n == 0:
		c.fail(RejectMalformed, at, "truncated at byte %d", len(c.b))
	case n < 0:
		c.fail(RejectMalformed, at, "head at byte %d is not in the shortest definite form", c.off)
	default:
		c.off += n
		return major, arg
	}
	return 0, 0
}

// readHead returns the length of the head at the front of b: 0 if b ends
// inside it, negative if it is indefinite, reserved or not the shortest.
func readHead(b []byte) (major byte, arg uint64, n int) {
	if len(b) == 0 {
		return 0, 0, 0
	}
	major, info := b[0]>>5, b[0]&31
	if info < 24 {
		return major, uint64(info), 1
	}
	if info > 27 {
		return 0, 0, -1
	}
	size := 1 << (info - 24)
	if len(b) < 1+size {
		return 0, 0, 0
	}
	for _, x := range b[1 : 1+size] {
		arg = arg<<8 | uint64(x)
	}
	least := uint64(24)
	if size > 1 {
		least = 1 << (4 * size)
	}
	if arg < least {
		return 0, 0, -1
	}
	return major, arg, 1 + size
}

func (c *cursor) head(want byte, at string) uint64 {
	major, arg := c.any(at)
	if c.err == nil && major != want {
		c.fail(RejectMalformed, at, "has CBOR type %d, want %d", major, want)
		return 0
	}
	return arg
}

func (c *cursor) uint(at string) uint64 { return c.head(majorUint, at) }

// uintIn reads an unsigned integer from least to most.
func (c *cursor) uintIn(at string, least, most uint64) uint64 {
	v := c.uint(at)
	if c.err == nil && (v < least || v > most) {
		c.fail(RejectMalformed, at, "is %d, want %d to %d", v, least, most)
		return 0
	}
	return v
}

func (c *cursor) int(at string) int64 {
	major, arg := c.any(at)
	switch {
	case c.err != nil:
	case major > majorNeg:
		c.fail(RejectMalformed, at, "has CBOR type %d, want an integer", major)
	case arg > math.MaxInt64:
		c.fail(RejectMalformed, at, "does not fit 64 bits")
	case major == majorNeg:
		return ^int64(arg)
	default:
		return int64(arg)
	}
	return 0
}

// array reads an array's length, which must be least to most.
func (c *cursor) array(at string, least, most int) int {
	n := c.head(majorArray, at)
	switch {
	case c.err != nil:
		return 0
	case n > uint64(most):
		c.fail(RejectLimit, at, "has %d items, at most %d are allowed", n, most)
		return 0
	case n < uint64(least):
		c.fail(RejectMalformed, at, "has %d items, want at least %d", n, least)
		return 0
	case n > uint64(len(c.b)-c.off):
		c.fail(RejectMalformed, at, "has %d items in %d bytes", n, len(c.b)-c.off)
		return 0
	}
	return int(n)
}

// tuple reads the head of an array of exactly n items.
func (c *cursor) tuple(at string, n int) {
	if got := c.head(majorArray, at); c.err == nil && got != uint64(n) {
		c.fail(RejectMalformed, at, "has %d items, want %d", got, n)
	}
}

// bytes returns a byte string of at most limit bytes, aliasing the input.
func (c *cursor) bytes(at string, limit int) []byte {
	return c.take(at, c.head(majorBytes, at), limit)
}

// text returns a copy of a text of at most limit bytes of UTF-8.
func (c *cursor) text(at string, limit int) string {
	b := c.take(at, c.head(majorText, at), limit)
	if c.err == nil && !utf8.Valid(b) {
		c.fail(RejectMalformed, at, "is not UTF-8")
		return ""
	}
	return string(b)
}

func (c *cursor) take(at string, n uint64, limit int) []byte {
	left := len(c.b) - c.off
	switch {
	case c.err != nil:
		return nil
	case n > uint64(limit):
		c.fail(RejectLimit, at, "has %d bytes, at most %d are allowed", n, limit)
		return nil
	case n > uint64(left):
		c.fail(RejectMalformed, at, "has %d bytes, %d are left", n, left)
		return nil
	}
	b := c.b[c.off : c.off+int(n) : c.off+int(n)]
	c.off += int(n)
	return b
}

// fixed copies a byte string of exactly len(dst) bytes.
func (c *cursor) fixed(at string, dst []byte) {
	n := c.head(majorBytes, at)
	if c.err == nil && n != uint64(len(dst)) {
		c.fail(RejectMalformed, at, "has %d bytes, want %d", n, len(dst))
	}
	copy(dst, c.take(at, n, len(dst)))
}
