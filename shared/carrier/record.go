package carrier

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/atrium-iot/atrium/shared/wire"
)

// Over TCP the connection is a sequence of records (PROTOCOL.md, Over TCP): a
// head of one byte for the stream and three for the length, then the payload.
const (
	recordHead = 4
	// maxRecord makes head and payload fill a TLS record (RFC 8446, 5.1). It
	// is also the most that an urgent record waits for another's end.
	maxRecord = 16<<10 - recordHead
)

// The streams of a TCP connection, the most urgent first. Records of stream 0
// are about the connection itself.
const (
	streamConn = iota
	streamControl
	streamLive
	streamBacklog
	streams
)

// laneStream is the stream of a lane.
func laneStream(l wire.Lane) int {
	if l == wire.LaneBacklog {
		return streamBacklog
	}
	return streamLive
}

// window is how many bytes of a stream may be on their way or unread: one
// message of any size. windowStep is how much must be read before the other
// side is told of more: so often, too, it hears that we live.
const (
	window     = wire.MaxFrame
	windowStep = maxRecord
)

// The first byte of a record of stream 0.
const (
	opClose  = 0 // then a close code, and a text to the end
	opPing   = 1 // then 8 bytes
	opPong   = 2 // then the ping's
	opWindow = 3 // then a stream, and 8 bytes: its bytes that may be sent in all
)

var errRecord = errors.New("a record that does not exist")

// appendRecord writes a record's head and payload.
func appendRecord(dst []byte, stream int, payload ...byte) []byte {
	return append(appendHead(dst, stream, len(payload)), payload...)
}

func appendHead(dst []byte, stream, size int) []byte {
	return append(dst, byte(stream), byte(size>>16), byte(size>>8), byte(size))
}

// parseHead reads a record's head.
func parseHead(b [recordHead]byte) (stream, size int, err error) {
	stream, size = int(b[0]), int(b[1])<<16|int(b[2])<<8|int(b[3])
	if stream >= streams || size == 0 || size > maxRecord {
		return 0, 0, fmt.Errorf("%w: stream %d, %d bytes", errRecord, stream, size)
	}
	return stream, size, nil
}

// notice is a record of stream 0.
type notice struct {
	op     byte
	stream int    // of a window
	number uint64 // of a ping, a pong or a window
	code   wire.CloseCode
	text   string
}

func (n notice) append(dst []byte) []byte {
	switch n.op {
	case opClose:
		text := n.text[:min(len(n.text), wire.MaxText)]
		return appendRecord(dst, streamConn, append([]byte{opClose, byte(n.code)}, text...)...)
	case opWindow:
		return appendRecord(dst, streamConn, binary.BigEndian.AppendUint64([]byte{opWindow, byte(n.stream)}, n.number)...)
	}
	return appendRecord(dst, streamConn, binary.BigEndian.AppendUint64([]byte{n.op}, n.number)...)
}

// parseNotice reads what append wrote, without its head.
func parseNotice(b []byte) (notice, error) {
	switch {
	case b[0] == opClose && len(b) >= 2 && len(b) <= 2+wire.MaxText:
		return notice{op: opClose, code: wire.CloseCode(b[1]), text: string(b[2:])}, nil
	case (b[0] == opPing || b[0] == opPong) && len(b) == 9:
		return notice{op: b[0], number: binary.BigEndian.Uint64(b[1:])}, nil
	case b[0] == opWindow && len(b) == 10 && b[1] > streamConn && b[1] < streams:
		return notice{op: opWindow, stream: int(b[1]), number: binary.BigEndian.Uint64(b[2:])}, nil
	}
	return notice{}, fmt.Errorf("%w: %d bytes on stream 0 that begin with %d", errRecord, len(b), b[0])
}
