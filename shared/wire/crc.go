package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// crcSize is the encoded size of the CRC: a byte string's head and 4 bytes.
const crcSize = 5

// castagnoli is the polynomial of RFC 3720, appendix B.4; a read-only table.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendCRC closes the message that begins at dst[start].
func appendCRC(dst []byte, start int) []byte {
	sum := crc32.Checksum(dst[start:], castagnoli)
	return binary.BigEndian.AppendUint32(append(dst, majorBytes<<5|4), sum)
}

// checkCRC returns b without the CRC at its end.
func checkCRC(b []byte) ([]byte, error) {
	n := len(b) - crcSize
	if n < 0 || b[n] != majorBytes<<5|4 {
		return nil, &Error{RejectCRC, "crc", fmt.Errorf("not at the end of %d bytes", len(b))}
	}
	want, got := binary.BigEndian.Uint32(b[n+1:]), crc32.Checksum(b[:n], castagnoli)
	if want != got {
		return nil, &Error{RejectCRC, "crc", fmt.Errorf("is %08x, the bytes have %08x", want, got)}
	}
	return b[:n], nil
}
