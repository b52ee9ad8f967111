package uplink

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// segments returns the size of the packets that control messages ask the kernel
// to cut (udp(7), UDP_SEGMENT), 0 if none does, and the others.
func segments(oob []byte) (size int, rest []byte) {
	for left := oob; len(left) > 0; {
		head, body, next, err := unix.ParseOneSocketControlMessage(left)
		if err != nil {
			return 0, oob
		}
		if head.Level == unix.IPPROTO_UDP && head.Type == unix.UDP_SEGMENT && len(body) >= 2 {
			before := len(oob) - len(left)
			return int(binary.NativeEndian.Uint16(body)), append(oob[:before:before], next...)
		}
		left = next
	}
	return 0, oob
}

// segmentsOf asks for packets of size bytes.
func segmentsOf(size uint16) []byte {
	const length = 2
	b := make([]byte, unix.CmsgSpace(length))
	head := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	head.Level, head.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	head.SetLen(unix.CmsgLen(length))
	binary.NativeEndian.PutUint16(b[unix.CmsgSpace(0):], size)
	return b
}
