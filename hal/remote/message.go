package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

type kind byte

const (
	kindOpen kind = iota + 1
	kindOpened
	kindTx
	kindData
	kindFailed
)

// txHead is the size of a tx before the bytes to write.
const txHead = 5

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

func appendOpen(dst []byte, bus string) []byte {
	return appendMessage(dst, kindOpen, []byte{Version}, []byte(bus))
}

func parseOpen(b []byte) (bus string, err error) {
	switch {
	case len(b) < 1 || kind(b[0]) != kindOpen:
		return "", errors.New("want open first")
	case len(b) < 3:
		return "", errShort
	case b[1] != Version:
		return "", fmt.Errorf("version %d is not spoken here, only %d", b[1], Version)
	case len(b)-2 > maxName:
		return "", fmt.Errorf("bus name of %d bytes, at most %d", len(b)-2, maxName)
	case !utf8.Valid(b[2:]):
		return "", errors.New("bus name is not UTF-8")
	}
	return string(b[2:]), nil
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
