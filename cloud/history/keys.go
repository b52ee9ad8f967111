package history

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/atrium-iot/atrium/shared/id"
)

// The first byte of every key; DESIGN.md has the layout.
const (
	keyFormat   = 'f'
	keyPosition = 'p'
	keyHole     = 'h'
	keyAdopted  = 'o'
	keySeries   = 's'
	keySpan     = 'w'
	keyRow      = 'r'
	keyLedger   = 'l'
	keyDead     = 'x'
	keyWindow   = 'v'
	keyAlarm    = 'a'
)

// seriesID names a series in keys. It is a hash and not a counter, so that
// writing after a restart needs no memory of what was handed out before.
type seriesID [16]byte

func seriesOf(d id.Device, schema id.Schema) seriesID {
	name := make([]byte, 0, 2*id.MaxName+2+len(schema))
	name = append(append(name, d.String()...), 0)
	sum := sha256.Sum256(append(name, schema[:]...))
	return seriesID(sum[:16])
}

const (
	rowPrefix  = 1 + len(seriesID{})
	rowKeySize = rowPrefix + 8 + len(id.Run{}) + 8 + 4
)

// appendRowKey writes r, series, t0, run, seq, sid. t0 sorts as a signed
// number; sid parts the blocks of a frame that has two sids for one series.
func appendRowKey(dst []byte, s seriesID, r *Row) []byte {
	dst = append(append(dst, keyRow), s[:]...)
	dst = appendTime(dst, r.From)
	dst = append(dst, r.Run[:]...)
	dst = binary.BigEndian.AppendUint64(dst, r.Seq)
	return binary.BigEndian.AppendUint32(dst, r.SID)
}

func parseRowKey(key []byte, r *Row) error {
	if len(key) != rowKeySize || key[0] != keyRow {
		return fmt.Errorf("row key of %d bytes, want %d", len(key), rowKeySize)
	}
	b := key[rowPrefix:]
	r.From = timeOf(b)
	copy(r.Run[:], b[8:])
	r.Seq = binary.BigEndian.Uint64(b[16:])
	r.SID = binary.BigEndian.Uint32(b[24:])
	return nil
}

const signBit = 1 << 63

func appendTime(dst []byte, us int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(us)^signBit)
}

func timeOf(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ signBit) }

// named is kind, name, 0: names hold no zero byte.
func named(kind byte, name string) []byte {
	return append(append([]byte{kind}, name...), 0)
}

func seriesKey(d id.Device, schema id.Schema) []byte {
	return append(named(keySeries, d.String()), schema[:]...)
}

func spanKey(s seriesID) []byte { return append([]byte{keySpan}, s[:]...) }

func positionKey(shard int) []byte {
	return binary.BigEndian.AppendUint16([]byte{keyPosition}, uint16(shard))
}

func holeKey(shard int) []byte {
	return binary.BigEndian.AppendUint16([]byte{keyHole}, uint16(shard))
}

// adoptedKey is of a site, and of the shard that it came from.
func adoptedKey(site id.Site, from int) []byte {
	return binary.BigEndian.AppendUint16(named(keyAdopted, string(site)), uint16(from))
}

// ledgerKey sorts a site's entries by shard and journal position.
func ledgerKey(site id.Site, shard int, at At) []byte {
	return appendAt(named(keyLedger, string(site)), shard, at)
}

// alarmKey sorts a site's entries as ledgerKey does.
func alarmKey(site id.Site, shard int, at At) []byte {
	return appendAt(named(keyAlarm, string(site)), shard, at)
}

// deadKey sorts a shard's dead letters by position: that is the order in which
// they are given up.
func deadKey(shard int, at At) []byte { return appendAt([]byte{keyDead}, shard, at) }

// deadShard is the prefix of a shard's dead letters.
func deadShard(shard int) []byte {
	return binary.BigEndian.AppendUint16([]byte{keyDead}, uint16(shard))
}

func appendAt(dst []byte, shard int, at At) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(shard))
	dst = binary.BigEndian.AppendUint64(dst, at.Seq)
	dst = binary.BigEndian.AppendUint32(dst, at.Index)
	return binary.BigEndian.AppendUint32(dst, at.N)
}

// placeOf says in an error which record made the value under a key that ends
// as appendAt ends it.
func placeOf(key []byte) string {
	if len(key) < atSize {
		return fmt.Sprintf("a key of %d bytes", len(key))
	}
	b := key[len(key)-atSize:]
	return fmt.Sprintf("shard %d, record %d/%d, number %d",
		binary.BigEndian.Uint16(b), binary.BigEndian.Uint64(b[2:]), binary.BigEndian.Uint32(b[10:]), binary.BigEndian.Uint32(b[14:]))
}

// atSize is how many bytes appendAt writes.
const atSize = 2 + 8 + 4 + 4
