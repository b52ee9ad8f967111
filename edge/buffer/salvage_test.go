package buffer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"
)

// logOf is a log of transactions as Badger writes them, and where each of its
// entries begins.
func logOf(transactions int) (data []byte, begins []int) {
	data = make([]byte, logHead)
	add := func(meta byte, key, value string) {
		begins = append(begins, len(data))
		e := []byte{meta, 0}
		for _, v := range []int{len(key), len(value), 0} {
			e = binary.AppendUvarint(e, uint64(v))
		}
		e = append(append(e, key...), value...)
		data = append(data, binary.BigEndian.AppendUint32(e, crc32.Checksum(e, castagnoli))...)
	}
	for i := range transactions {
		add(logTxn, fmt.Sprintf("f%d", i), "segment")
		add(logTxn, fmt.Sprintf("r%d", i), "record")
		add(logFin, "!badger!txn", fmt.Sprint(i))
	}
	return data, begins
}

// held lists the keys of a log's entries.
func held(data []byte) (keys []string) {
	for at := logHead; at < len(data); {
		e, size := parseLogEntry(data[at:])
		if size == 0 {
			return keys
		}
		n, _ := binary.Uvarint(e.rest[1:])
		keys = append(keys, string(e.rest[4:4+n]))
		at += size
	}
	return keys
}

func TestASoundLogAndATornEndAreLeftAlone(t *testing.T) {
	data, _ := logOf(3)
	for n := range len(data) {
		if out, damaged := salvageLog(append(data[:n:n], make([]byte, 50)...)); out != nil || damaged != 0 {
			t.Fatalf("cut at %d: %d places, %q", n, damaged, held(out))
		}
	}
}

// I1: wherever a byte changes, all other entries stay, but for those of a
// transaction at the end that has none.
func TestAByteInALogCostsItsEntry(t *testing.T) {
	data, begins := logOf(4)
	for at := logHead; at < len(data); at++ {
		hit := 0
		for hit+1 < len(begins) && begins[hit+1] <= at {
			hit++
		}
		for _, to := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			bad := append(bytes.Clone(data), make([]byte, 64)...)
			if bad[at] == to {
				continue
			}
			bad[at] = to
			out, damaged := salvageLog(bad)
			if hit == len(begins)-1 { // the very end: as after a crash
				if damaged != 0 {
					t.Fatalf("byte %d is %#x: %d places", at, to, damaged)
				}
				continue
			}
			if damaged != 1 || len(out) != len(bad) {
				t.Fatalf("byte %d is %#x: %d places, %d bytes of %d", at, to, damaged, len(out), len(bad))
			}
			var want []string
			for i := range begins {
				if txn := i / 3; i != hit && i%3 < 2 {
					want = append(want, fmt.Sprintf("%c%d", "fr"[i%3], txn))
				}
			}
			if got := held(out); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("byte %d is %#x: %q, want %q", at, to, got, want)
			}
		}
	}
}

// What a transaction without its end held was never acked.
func TestATransactionWithoutItsEndIsNotMadeTrue(t *testing.T) {
	data, begins := logOf(3)
	torn := append(data[:begins[8]:begins[8]], make([]byte, 64)...)
	torn[begins[0]+5] ^= 1
	out, damaged := salvageLog(torn)
	if got := fmt.Sprint(held(out)); damaged != 1 || got != "[r0 f1 r1]" {
		t.Errorf("%d places, %s", damaged, got)
	}
}
