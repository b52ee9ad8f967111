package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/atrium-iot/atrium/shared/wire"
)

// blockVersion is the first byte of a block's value.
const blockVersion = 1

// maxHeader bounds what appendBlock writes before the columns.
const maxHeader = 1 + 10*binary.MaxVarintLen64

// crcSize is the length of the CRC-32C at the end of every value.
const crcSize = 4

// castagnoli is the table of CRC-32C, computed by hardware on amd64 and arm64.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// errCRC says that a value, or the key it was found under, is not what was
// written.
var errCRC = errors.New("wrong CRC-32C: the stored bytes have changed")

// seal appends the CRC-32C of the key and of dst[start:].
func seal(dst []byte, start int, key []byte) []byte {
	crc := crc32.Update(crc32.Checksum(key, castagnoli()), castagnoli(), dst[start:])
	return binary.BigEndian.AppendUint32(dst, crc)
}

// unseal checks what seal appended and returns the value without it.
func unseal(key, value []byte) ([]byte, error) {
	if len(value) < crcSize {
		return nil, fmt.Errorf("%d bytes, too short for a CRC: %w", len(value), errCRC)
	}
	body := value[:len(value)-crcSize]
	crc := crc32.Update(crc32.Checksum(key, castagnoli()), castagnoli(), body)
	if crc != binary.BigEndian.Uint32(value[len(body):]) {
		return nil, errCRC
	}
	return body, nil
}

// appendBlock writes a row's value: the version, then as varints n, first,
// utc0, to - from, uncertainty, source, grid, bind, boot, received, then the
// columns to the end. Device, schema, from, run and seq are in the key.
func appendBlock(dst []byte, r *Row) []byte {
	dst = append(dst, blockVersion)
	dst = binary.AppendUvarint(dst, uint64(r.N))
	dst = binary.AppendVarint(dst, r.First)
	dst = binary.AppendVarint(dst, r.UTC0)
	dst = binary.AppendUvarint(dst, uint64(r.To-r.From))
	dst = binary.AppendUvarint(dst, r.Uncertainty)
	dst = binary.AppendUvarint(dst, uint64(r.Source))
	dst = binary.AppendUvarint(dst, r.Grid)
	dst = binary.AppendUvarint(dst, r.Bind)
	dst = binary.AppendUvarint(dst, r.Boot)
	dst = binary.AppendVarint(dst, r.Received)
	return append(dst, r.Data...)
}

// parseBlock reads what appendBlock wrote into r, whose From is set. Data
// aliases b.
func parseBlock(b []byte, r *Row) error {
	if len(b) == 0 || b[0] != blockVersion {
		return fmt.Errorf("block: want version %d", blockVersion)
	}
	p := varints{b: b[1:]}
	n := p.uint()
	r.First = p.int()
	r.UTC0 = p.int()
	span := p.uint()
	r.Uncertainty = p.uint()
	source := p.uint()
	r.Grid = p.uint()
	r.Bind = p.uint()
	r.Boot = p.uint()
	r.Received = p.int()
	switch {
	case p.bad:
		return errors.New("block: truncated header")
	case n < 1 || n > wire.MaxRows:
		return fmt.Errorf("block: %d rows, want 1 to %d", n, wire.MaxRows)
	case source > uint64(wire.ClockWelcome):
		return fmt.Errorf("block: clock source %d", source)
	case span > math.MaxInt64 || r.From > 0 && int64(span) > math.MaxInt64-r.From:
		return fmt.Errorf("block: span of %d us", span)
	}
	r.N, r.Source, r.To, r.Data = int(n), wire.ClockSource(source), r.From+int64(span), p.b
	return nil
}

// varints reads a row of varints and remembers whether one was bad.
type varints struct {
	b   []byte
	bad bool
}

func (p *varints) uint() uint64 {
	v, n := binary.Uvarint(p.b)
	return v * uint64(p.skip(n))
}

func (p *varints) int() int64 {
	v, n := binary.Varint(p.b)
	return v * int64(p.skip(n))
}

// skip moves on by n bytes; it returns 0 if there was no varint, else 1.
func (p *varints) skip(n int) int {
	if n <= 0 || p.bad {
		p.bad = true
		return 0
	}
	p.b = p.b[n:]
	return 1
}
