package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// The first byte of a key says what it holds; DESIGN.md lists them. Numbers in
// keys are big-endian, so that keys sort as the numbers do.
const (
	keyMeta       = 'm'
	keyRun        = 'r'
	keySchema     = 's'
	keyClock      = 'c'
	keySegment    = 'f'
	keyQuarantine = 'q'
	keyLedger     = 'x'
	keyBudget     = 'b'
	keyGone       = 'g'
)

// formatVersion is the layout of keys and values in the store.
const formatVersion = 1

// crcSize is the length of the CRC at the end of every value.
const crcSize = 4

// castagnoli is the polynomial of RFC 3720, appendix B.4; a read-only table.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errCorrupt is a value whose CRC or layout is wrong. It never leaves the
// package: what is corrupt becomes a gap.
var errCorrupt = errors.New("corrupt value")

// seal closes a value with the CRC of key and value: a value that a bad index
// returns under another key fails too.
func seal(key, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	return binary.BigEndian.AppendUint32(value, sum)
}

// unseal checks and removes the CRC.
func unseal(key, value []byte) ([]byte, error) {
	n := len(value) - crcSize
	if n < 0 {
		return nil, fmt.Errorf("%w: %d bytes", errCorrupt, len(value))
	}
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[:n])
	if binary.BigEndian.Uint32(value[n:]) != sum {
		return nil, fmt.Errorf("%w: wrong CRC", errCorrupt)
	}
	return value[:n:n], nil
}

func metaKey() []byte { return []byte{keyMeta} }

func budgetKey() []byte { return []byte{keyBudget} }

func goneKey(run id.Run) []byte { return append([]byte{keyGone}, run[:]...) }

func runKey(run id.Run) []byte { return append([]byte{keyRun}, run[:]...) }

func schemaKey(run id.Run, sid uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{keySchema}, run[:]...), sid)
}

func clockKey(run id.Run, clk uint32) []byte {
	return binary.BigEndian.AppendUint32(append([]byte{keyClock}, run[:]...), clk)
}

func quarantineKey(run id.Run, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{keyQuarantine}, run[:]...), seq)
}

func ledgerKey(c id.Command) []byte { return append([]byte{keyLedger}, c[:]...) }

// Lengths of keys with a layout.
const (
	runKeyLen     = 1 + len(id.Run{})
	segmentKeyLen = runKeyLen + 5*8 + 1
)

// The last byte of a segment's key: whether it holds a gap, and the class of
// its run, which is known then also if the run's record is lost.
const (
	segmentGap        = 1
	segmentClassShift = 1
)

// segment describes the items of one commit: sequences first to last of a run.
// All but bytes stands in its key, so that what a lost or dropped segment held
// is known without its value.
type segment struct {
	first, last   uint64
	readings      uint64
	gone          uint64 // of readings, those that no longer count: dropped, or acked before a merge
	tFirst, tLast int64  // milliseconds since boot
	bytes         int64  // of the value
	gap           bool   // it holds one gap frame, first to last
	grows         bool   // a quota gap of this process: it may take in its successor until it is sent
}

// held returns the readings that are neither acked nor dropped, while the
// segment is not acked.
func (s *segment) held() uint64 {
	if s.gap {
		return 0
	}
	return s.readings - s.gone
}

func (s *segment) key(run id.Run, class wire.Class) []byte {
	b := make([]byte, 0, segmentKeyLen)
	b = append(append(b, keySegment), run[:]...)
	b = binary.BigEndian.AppendUint64(b, s.first)
	b = binary.BigEndian.AppendUint64(b, s.last)
	b = binary.BigEndian.AppendUint64(b, s.readings)
	b = binary.BigEndian.AppendUint64(b, uint64(s.tFirst))
	b = binary.BigEndian.AppendUint64(b, uint64(s.tLast))
	flags := byte(class) << segmentClassShift
	if s.gap {
		flags |= segmentGap
	}
	return append(b, flags)
}

func parseSegmentKey(key []byte) (run id.Run, class wire.Class, s segment, err error) {
	if len(key) != segmentKeyLen || key[0] != keySegment {
		return run, class, s, fmt.Errorf("%w: segment key %x", errCorrupt, key)
	}
	copy(run[:], key[1:])
	n := key[runKeyLen:]
	s.first = binary.BigEndian.Uint64(n)
	s.last = binary.BigEndian.Uint64(n[8:])
	s.readings = binary.BigEndian.Uint64(n[16:])
	s.tFirst = int64(binary.BigEndian.Uint64(n[24:]))
	s.tLast = int64(binary.BigEndian.Uint64(n[32:]))
	s.gap = n[40]&segmentGap != 0
	class = wire.Class(n[40] >> segmentClassShift)
	if s.first == 0 || s.last < s.first || !known(class) {
		return run, class, s, fmt.Errorf("%w: segment key %x", errCorrupt, key)
	}
	return run, class, s, nil
}

// record is what the store keeps of a run beside its segments.
type record struct {
	ordinal uint64 // the gateway's runs in the order in which they were opened
	class   wire.Class
	state   wire.RunState
	boot    id.Boot
	first   uint64 // lowest sequence held; last + 1 when none is
	last    uint64 // highest committed sequence
}

const recordLen = 8 + 1 + 1 + len(id.Boot{}) + 8 + 8

func (r *record) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, r.ordinal)
	dst = append(dst, byte(r.class), byte(r.state))
	dst = append(dst, r.boot[:]...)
	dst = binary.BigEndian.AppendUint64(dst, r.first)
	return binary.BigEndian.AppendUint64(dst, r.last)
}

func parseRecord(b []byte) (r record, err error) {
	if len(b) != recordLen {
		return r, fmt.Errorf("%w: run record of %d bytes", errCorrupt, len(b))
	}
	r.ordinal = binary.BigEndian.Uint64(b)
	r.class, r.state = wire.Class(b[8]), wire.RunState(b[9])
	copy(r.boot[:], b[10:])
	r.first = binary.BigEndian.Uint64(b[26:])
	r.last = binary.BigEndian.Uint64(b[34:])
	if r.first == 0 || r.first-1 > r.last || r.state > wire.RunUnclean || !known(r.class) {
		return r, fmt.Errorf("%w: run record %x", errCorrupt, b)
	}
	return r, nil
}

// appendMeta writes the value of metaKey.
func appendMeta(dst []byte, board id.Board) []byte {
	return append(append(dst, formatVersion), board[:]...)
}
