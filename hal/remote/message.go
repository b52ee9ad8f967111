package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"periph.io/x/conn/v3/gpio"
)

type kind byte

const (
	kindOpen kind = iota + 1
	kindOpened
	kindTx
	kindData
	kindFailed
	kindOpenLines
	kindIn
	kindRead
	kindOut
)

// txHead is the size of a tx before the bytes to write.
const txHead = 5

// lineHead is the size of a request of a line before its pull or level.
const lineHead = 3

var errShort = errors.New("message too short")

// appendMessage frames a message whose body is given in parts.
func appendMessage(dst []byte, k kind, parts ...[]byte) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	dst = append(dst, byte(k))
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// appendOpen opens a bus with kindOpen, a GPIO chip with kindOpenLines.
func appendOpen(dst []byte, k kind, name string) []byte {
	return appendMessage(dst, k, []byte{Version}, []byte(name))
}

func parseOpen(b []byte) (k kind, name string, err error) {
	switch {
	case len(b) < 1 || kind(b[0]) != kindOpen && kind(b[0]) != kindOpenLines:
		return 0, "", errors.New("want open first")
	case len(b) < 3:
		return 0, "", errShort
	case b[1] != Version:
		return 0, "", fmt.Errorf("version %d is not spoken here, only %d", b[1], Version)
	case len(b)-2 > maxName:
		return 0, "", fmt.Errorf("bus name of %d bytes, at most %d", len(b)-2, maxName)
	case !utf8.Valid(b[2:]):
		return 0, "", errors.New("bus name is not UTF-8")
	}
	return kind(b[0]), string(b[2:]), nil
}

func appendTx(dst []byte, addr uint16, w []byte, n int) []byte {
	var head [txHead - 1]byte
	binary.BigEndian.PutUint16(head[0:], addr)
	binary.BigEndian.PutUint16(head[2:], uint16(n))
	return appendMessage(dst, kindTx, head[:], w)
}

// parseTx returns a transaction; w aliases b.
func parseTx(b []byte) (addr uint16, w []byte, n int, err error) {
	switch {
	case len(b) < 1 || kind(b[0]) != kindTx:
		return 0, nil, 0, errors.New("want tx")
	case len(b) < txHead:
		return 0, nil, 0, errShort
	}
	addr = binary.BigEndian.Uint16(b[1:])
	n = int(binary.BigEndian.Uint16(b[3:]))
	if w = b[txHead:]; n > MaxTransfer || len(w) > MaxTransfer {
		return 0, nil, 0, fmt.Errorf("transfer of %d + %d bytes, at most %d each", len(w), n, MaxTransfer)
	}
	return addr, w, n, nil
}

// lineRequest is a request of a line: kindIn with a pull, kindRead, or kindOut
// with a level.
type lineRequest struct {
	kind   kind
	offset uint16
	arg    byte // of kindRead none, and 0 here
}

// args says how many bytes of argument a request of a line has, and the largest
// that it may be: pulls are those of gpio.Pull, levels 0 and 1. ok is false for
// what is no request of a line.
func (k kind) args() (size int, most byte, ok bool) {
	switch k {
	case kindIn:
		return 1, byte(gpio.PullUp), true
	case kindOut:
		return 1, 1, true
	}
	return 0, 0, k == kindRead
}

func (q lineRequest) append(dst []byte) []byte {
	var body [3]byte
	binary.BigEndian.PutUint16(body[:], q.offset)
	body[2] = q.arg
	size, _, _ := q.kind.args()
	return appendMessage(dst, q.kind, body[:2+size])
}

func parseLine(b []byte) (lineRequest, error) {
	if len(b) < 1 {
		return lineRequest{}, errShort
	}
	q := lineRequest{kind: kind(b[0])}
	size, most, ok := q.kind.args()
	switch {
	case !ok:
		return lineRequest{}, errors.New("want in, read or out")
	case len(b) != lineHead+size:
		return lineRequest{}, fmt.Errorf("request of a line of %d bytes, want %d", len(b), lineHead+size)
	}
	q.offset = binary.BigEndian.Uint16(b[1:])
	if size > 0 {
		q.arg = b[lineHead]
	}
	if q.arg > most {
		return lineRequest{}, fmt.Errorf("pull or level %d, at most %d", q.arg, most)
	}
	return q, nil
}

// parseAnswer copies what was read into r, or returns the error that the bus
// gave as a *BusError. Any other error is one of the protocol.
func parseAnswer(b, r []byte) error {
	if len(b) < 1 {
		return errShort
	}
	switch kind(b[0]) {
	case kindData:
		if len(b)-1 != len(r) {
			return fmt.Errorf("answer of %d bytes to a read of %d", len(b)-1, len(r))
		}
		copy(r, b[1:])
		return nil
	case kindFailed:
		return &BusError{Text: clip(string(b[1:]))}
	}
	return fmt.Errorf("unexpected message kind %d", b[0])
}

// parseOpened returns nil or the server's refusal.
func parseOpened(b []byte) error {
	switch {
	case len(b) < 1 || kind(b[0]) != kindOpened:
		return errors.New("want opened first")
	case len(b) > 1:
		return fmt.Errorf("refused: %s", clip(string(b[1:])))
	}
	return nil
}

// BusError is an error of the far bus: its text, unchanged.
type BusError struct{ Text string }

func (e *BusError) Error() string { return e.Text }

// clip bounds a text and makes it printable UTF-8.
func clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "?")
}

// readMessage reads one message into buf, which it may grow up to MaxMessage,
// and returns the message and the buffer. begun is called once the length is
// there. io.EOF means that the peer closed between messages.
func readMessage(r io.Reader, buf []byte, begun func() error) (msg, grown []byte, err error) {
	if cap(buf) < 4 {
		buf = make([]byte, 64)
	}
	head := buf[:4]
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, buf, err
	}
	n := binary.BigEndian.Uint32(head)
	if n < 1 || n > MaxMessage {
		return nil, buf, fmt.Errorf("message of %d bytes, want 1 to %d", n, MaxMessage)
	}
	if begun != nil {
		if err := begun(); err != nil {
			return nil, buf, err
		}
	}
	if cap(buf) < int(n) {
		buf = make([]byte, n)
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, buf, err
	}
	return buf[:n], buf, nil
}
