package snapshot

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A snapshot's file, numbers big-endian:
//
//	0   4  "ASNP"
//	4   1  version, 1
//	5   1  length of the ID
//	6   4  length of the data
//	10  4  CRC-32C (RFC 3720, 12.1) of all other bytes
//	14     the ID, then the data, then the end
const (
	magic      = "ASNP"
	version    = 1
	crcAt      = 10
	headerSize = 14
	maxFile    = headerSize + MaxID + MaxData
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFile appends the file of a snapshot to b.
func appendFile(b []byte, id string, data []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	b = append(b, version, byte(len(id)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, 0, 0, 0, 0)
	b = append(b, id...)
	b = append(b, data...)
	f := b[start:]
	binary.BigEndian.PutUint32(f[crcAt:], checksum(f))
	return b
}

// parseFile returns the data of an ID's file, which is a part of f. A file
// that another version of the program wrote is refused and is not ErrDamaged.
func parseFile(f []byte, id string) ([]byte, error) {
	if len(f) < headerSize || string(f[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: no header in %d bytes", ErrDamaged, len(f))
	}
	if v := f[len(magic)]; v != version {
		return nil, fmt.Errorf("the snapshot has version %d, this program reads %d", v, version)
	}
	body := headerSize + int(f[5])
	if want := uint64(body) + uint64(binary.BigEndian.Uint32(f[6:])); want != uint64(len(f)) {
		return nil, fmt.Errorf("%w: its header says %d bytes, it has %d", ErrDamaged, want, len(f))
	}
	if got, want := checksum(f), binary.BigEndian.Uint32(f[crcAt:]); got != want {
		return nil, fmt.Errorf("%w: checksum %08x, its header says %08x", ErrDamaged, got, want)
	}
	if of := f[headerSize:body]; string(of) != id {
		return nil, fmt.Errorf("%w: it is the snapshot of %q", ErrDamaged, of)
	}
	return f[body:], nil
}

func checksum(f []byte) uint32 {
	sum := crc32.Checksum(f[:crcAt], castagnoli)
	return crc32.Update(sum, castagnoli, f[headerSize:])
}
