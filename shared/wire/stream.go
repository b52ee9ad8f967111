package wire

import (
	"errors"
	"io"
	"math/bits"
	"sync"
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

// readerKeep is what a reader keeps of a buffer that has grown: a live frame
// fits, and the next one finds it there.
const readerKeep = 4 << 10

// Reader takes messages off a stream. It holds no more memory than it has been
// sent at once, doubled, and never more than its limit and a head.
type Reader struct {
	r     io.Reader
	limit int
	spare *Spare // nil: none
	lent  int    // the size of the buffer that was given to spare last
	buf   []byte
	start int // buf[start:end] is read, but not returned
	end   int
	err   error // of r, once buf is used up
}

// NewReader reads items of at most limit bytes from r. It keeps its buffer.
func NewReader(r io.Reader, limit int) *Reader { return &Reader{r: r, limit: limit} }

// Spare is buffers that many readers share: one that waits between two messages
// lends its large buffer to the others, so that a thousand that each once took
// a backlog hold little (I5). The zero value is ready.
type Spare struct {
	bySize [maxBufferBits + 1]sync.Pool // of *[]byte, by bits.Len of their size
}

// maxBufferBits is for MaxFrame and MaxControl with a head; larger buffers are
// not shared.
const maxBufferBits = 19

// NewReader is NewReader of this package, but the reader shares its buffer.
func (s *Spare) NewReader(r io.Reader, limit int) *Reader {
	return &Reader{r: r, limit: limit, spare: s}
}

// take returns a buffer of a size.
func (s *Spare) take(size int) []byte {
	if n := bits.Len(uint(size)); s != nil && n <= maxBufferBits {
		if b, ok := s.bySize[n].Get().(*[]byte); ok && len(*b) == size {
			return *b
		}
	}
	return make([]byte, size)
}

// give takes a buffer that nobody uses any more.
func (s *Spare) give(b []byte) {
	if n := bits.Len(uint(len(b))); s != nil && n <= maxBufferBits && len(b) > readerKeep {
		s.bySize[n].Put(&b)
	}
}

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
	if r.end == 0 && len(r.buf) > readerKeep && r.spare != nil {
		r.spare.give(r.buf)
		r.lent, r.buf = len(r.buf), nil
	}
	if r.end == len(r.buf) {
		size := max(2*len(r.buf), readerStart)
		if r.end > 0 { // a message begins: the ones before were as large, most likely
			size = max(size, r.lent)
		}
		grown := r.spare.take(min(size, r.limit+maxHead))
		copy(grown, r.buf)
		r.spare.give(r.buf)
		r.buf = grown
	}
	n, err := r.r.Read(r.buf[r.end:])
	r.end += n
	r.err = err
	return nil
}
