package wire

import (
	"errors"
	"io"
)

// AppendItem writes a message as one item of a stream: a CBOR byte string.
func AppendItem(dst, msg []byte) []byte { return appendBytes(dst, msg) }

// ItemSize returns the size of an item that holds a message of n bytes.
func ItemSize(n int) int {
	var head [maxHead]byte
	return len(appendHead(head[:0], majorBytes, uint64(n))) + n
}

// maxHead is the longest CBOR head.
const maxHead = 9

// readerStart is the size of a reader's first buffer: an idle connection has
// three readers, and acks are small.
const readerStart = 64

// Reader takes messages off a stream. It holds no more memory than it has been
// sent, doubled, and never more than its limit and a head.
type Reader struct {
	r     io.Reader
	limit int
	buf   []byte
	start int // buf[start:end] is read, but not returned
	end   int
	err   error // of r, once buf is used up
}

// NewReader reads items of at most limit bytes from r.
func NewReader(r io.Reader, limit int) *Reader { return &Reader{r: r, limit: limit} }

// Next returns the next message, valid until the call after. It returns io.EOF
// at the end of the stream between items, io.ErrUnexpectedEOF within one, a
// *LimitError for an item over the limit, a malformed *Error for anything that
// is not a byte string, and the stream's own error otherwise. No error passes.
func (r *Reader) Next() ([]byte, error) {
	var size, head int
	for {
		major, arg, n := readHead(r.buf[r.start:r.end])
		if n < 0 || n > 0 && major != majorBytes {
			c := cursor{}
			c.fail(RejectMalformed, "item", "is not a byte string of definite, shortest length")
			return nil, c.err
		}
		if n > 0 {
			if arg > uint64(r.limit) {
				return nil, &LimitError{Size: arg, Limit: r.limit}
			}
			size, head = int(arg), n
			break
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	for r.end-r.start < head+size {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	msg := r.buf[r.start+head : r.start+head+size]
	r.start += head + size
	return msg, nil
}

// fill reads once, after making room behind what is held.
func (r *Reader) fill() error {
	if r.err != nil {
		if errors.Is(r.err, io.EOF) && r.end > r.start {
			return io.ErrUnexpectedEOF
		}
		return r.err
	}
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.end == len(r.buf) {
		size := min(max(2*len(r.buf), readerStart), r.limit+maxHead)
		grown := make([]byte, size)
		copy(grown, r.buf[:r.end])
		r.buf = grown
	}
	n, err := r.r.Read(r.buf[r.end:])
	r.end += n
	r.err = err
	return nil
}
