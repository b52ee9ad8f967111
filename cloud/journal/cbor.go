package journal

import "fmt"

// The major types of RFC 8949, section 3.1, that an envelope is made of.
const (
	majorUint  = 0
	majorBytes = 2
	majorText  = 3
	majorArray = 4
)

// maxHead is the size of the largest head: the initial byte and a uint64.
const maxHead = 9

// appendHead writes a head in its shortest form (RFC 8949, 4.2.1).
func appendHead(dst []byte, major byte, n uint64) []byte {
	m := major << 5
	switch {
	case n < 24:
		return append(dst, m|byte(n))
	case n <= 0xff:
		return append(dst, m|24, byte(n))
	case n <= 0xffff:
		return append(dst, m|25, byte(n>>8), byte(n))
	case n <= 0xffffffff:
		return append(dst, m|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, m|27, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32),
		byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func headSize(n uint64) int {
	switch {
	case n < 24:
		return 1
	case n <= 0xff:
		return 2
	case n <= 0xffff:
		return 3
	case n <= 0xffffffff:
		return 5
	}
	return maxHead
}

func appendUint(dst []byte, n uint64) []byte { return appendHead(dst, majorUint, n) }

func appendText(dst []byte, s string) []byte {
	return append(appendHead(dst, majorText, uint64(len(s))), s...)
}

// decoder reads heads in their shortest form only. After the first error every
// read returns zero and err stays what it was.
type decoder struct {
	b   []byte
	at  int
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = &ParseError{d.at, fmt.Sprintf(format, args...)}
	}
}

func (d *decoder) head(major byte, what string) uint64 {
	if d.err != nil {
		return 0
	}
	rest := d.b[d.at:]
	if len(rest) == 0 {
		d.fail("%s: the message ends here", what)
		return 0
	}
	if rest[0]>>5 != major {
		d.fail("%s: major type %d, want %d", what, rest[0]>>5, major)
		return 0
	}
	info := rest[0] & 31
	if info < 24 {
		d.at++
		return uint64(info)
	}
	if info > 27 {
		d.fail("%s: want a definite length", what)
		return 0
	}
	size := 1 << (info - 24)
	if len(rest) < 1+size {
		d.fail("%s: the message ends within its head", what)
		return 0
	}
	var n uint64
	for _, c := range rest[1 : 1+size] {
		n = n<<8 | uint64(c)
	}
	if headSize(n) != 1+size {
		d.fail("%s: %d is not in its shortest form", what, n)
		return 0
	}
	d.at += 1 + size
	return n
}

func (d *decoder) uint(what string) uint64 { return d.head(majorUint, what) }

// array demands an array of exactly n items.
func (d *decoder) array(n uint64, what string) {
	if got := d.head(majorArray, what); d.err == nil && got != n {
		d.fail("%s: %d items, want %d", what, got, n)
	}
}

// take returns the bytes of a string of at most limit bytes; they alias b.
func (d *decoder) take(major byte, limit int, what string) []byte {
	n := d.head(major, what)
	if d.err != nil {
		return nil
	}
	if n > uint64(limit) {
		d.fail("%s: %d bytes, at most %d are allowed", what, n, limit)
		return nil
	}
	if n > uint64(len(d.b)-d.at) {
		d.fail("%s: %d bytes, the message has %d left", what, n, len(d.b)-d.at)
		return nil
	}
	s := d.b[d.at : d.at+int(n) : d.at+int(n)]
	d.at += int(n)
	return s
}

// demand fails with err at what was read last, unless err is nil.
func (d *decoder) demand(err error) {
	if err != nil {
		d.fail("%v", err)
	}
}

// end demands that nothing is left.
func (d *decoder) end() error {
	if d.err == nil && d.at != len(d.b) {
		d.fail("%d bytes follow the end", len(d.b)-d.at)
	}
	return d.err
}
