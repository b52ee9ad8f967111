package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ugorji/go/codec"
)

// vector is a block's columns, derived from PROTOCOL.md by hand, and the values
// that they say. The grid is 10 ticks; times 7f is a row at each.
type vector struct {
	name, times, quality, values string
	kind, mantissa, exponent     int
	want                         []any // nil: without a value
}

func vectors() []vector {
	return []vector{
		{"protocol_example", "60 c0", "00", "00", 0, 1, 0, []any{0.0, 0.0, 0.0}},
		{"protocol_text", "7f", "00", "e0 02 03 6f6666 02 6f6e 60 00 60", 4, 1, 0, []any{"off", "on", "off"}},
		{"constant", "7f", "00", "01 54", 0, 1, 0, []any{42.0, 42.0, 42.0}},
		{"scaled", "7f", "00", "01 c8 01", 0, 625, -4, []any{6.25, 6.25, 6.25}},
		{"delta", "7f", "00", "21 0a 94", 0, 1, 0, []any{5.0, 6.0, 4.0}},
		{"delta_of_no_bits", "7f", "00", "3f 0a", 0, 1, 0, []any{5.0, 5.0, 5.0}},
		{"delta_escaped", "7f", "00", "20 00 ffffff 0000000000000018 00", 0, 1, 0, []any{0.0, 12.0, 12.0}},
		{"delta2", "7f", "00", "40 02 f6", 0, 1, 0, []any{1.0, 3.0, 6.0}},
		{"line", "7f", "00", "62 14 09 80", 0, 1, 0, []any{10.0, 11.0, 8.0}},
		{"runs", "7f", "00", "80 0e 02 04 01", 0, 1, 0, []any{7.0, 7.0, 9.0}},
		{"varint", "7f", "00", "a0 02 ce0f d10f", 0, 1, 0, []any{1.0, 1000.0, -1.0}},
		{"trend", "7f", "00", "c1 02 98", 0, 1, 0, []any{1.0, 2.0, 4.0}},
		{"xor", "7f", "00", "c0 80808080808080f87f c267ffd7ffc0", 3, 1, 0, []any{1.5, 2.5, 2.5, 1.5}},
		{"boolean", "7f", "00", "80 00 01 02 02", 1, 1, 0, []any{false, true, true}},
		{"counter", "7f", "00", "3f 82808080808080 10", 2, 1, 0, []any{float64(1<<52 + 1), float64(1<<52 + 1), float64(1<<52 + 1)}},
		{"one_text", "7f", "00", "e0 01 01 78 00", 4, 1, 0, []any{"x", "x", "x"}},
		{"bad_in_between", "60 c0", "80 00 01 04 01 03 01", "80 0a 02 02 01", 0, 1, 0, []any{5.0, nil, 6.0}},
		{"bad_text_first", "7f", "80 04 01 03 02", "e0 02 00 01 61 60 00 6c", 4, 1, 0, []any{nil, "a", "a"}},
		{"out_of_range", "7f", "01 02", "00", 0, 1, 0, []any{0.0, 0.0, 0.0}},
		{"times_by_delta", "22 f8 40", "00", "00", 0, 1, 0, []any{0.0, 0.0, 0.0}},
		{"times_by_delta2", "40 60", "00", "00", 0, 1, 0, []any{0.0, 0.0, 0.0}},
		{"times_by_runs", "80 01 02 02", "00", "00", 0, 1, 0, []any{0.0, 0.0, 0.0}},
		{"times_by_varint", "a0 14 02", "00", "00", 0, 1, 0, []any{0.0, 0.0, 0.0}},
	}
}

// list is an array that is written as CBOR.
type list []any

func cbor(t testing.TB, v any) (b []byte) {
	if err := codec.NewEncoderBytes(&b, &codec.CborHandle{}).Encode(v); err != nil {
		t.Fatal(err)
	}
	return b
}

func bytesOf(t testing.TB, spaced string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(spaced, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sealed is a message with its CRC behind its items.
func sealed(t testing.TB, items ...any) []byte {
	m := cbor(t, append(items, make([]byte, 4)))
	binary.BigEndian.PutUint32(m[len(m)-4:], crc32.Checksum(m[:len(m)-5], crc32.MakeTable(crc32.Castagnoli)))
	return m
}

func schema(t testing.TB, run []byte, sid int, v vector) []byte {
	unit := map[int]string{0: "m", 1: "1", 2: "1", 3: "Cel"}[v.kind]
	body := cbor(t, list{1, "test.hand", 1, 1_000_000, []list{{v.name, unit, v.kind, v.mantissa, v.exponent}}})
	sum := sha256.Sum256(body)
	return cbor(t, list{1, 19, run, sid, "hq/hand", sum[:16], 10, make([]byte, 32), body})
}

// byHand is a file with the vectors in a frame of one run and a packed frame of
// another, and the messages that carry no readings. frames is where the first of
// those with a CRC begins.
func byHand(t testing.TB) (data []byte, frames int) {
	said := [][]byte{cbor(t, list{1, 18, 2}), cbor(t, list{1, 130, list{"of a later version"}})}
	runs := [][]byte{bytesOf(t, "0102030405060708"), bytesOf(t, "ff02030405060708")}
	var blocks []list
	for i, run := range runs {
		said = append(said, cbor(t, list{1, 20, run, i + 7, make([]byte, 16), 1_700_000_000_000_000 + i, 1000, i}))
		for j, v := range vectors() {
			said = append(said, schema(t, run, j+1, v))
			if i == 0 {
				blocks = append(blocks, list{j + 1, len(v.want), j - 5, bytesOf(t, v.times+v.quality+v.values)})
			}
		}
	}
	for _, m := range said {
		data = append(data, cbor(t, m)...)
	}
	frames = len(data)
	e, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(data,
		cbor(t, sealed(t, 1, 1, runs[0], 1, 7, 5000, 0, blocks)),
		cbor(t, sealed(t, 1, 2, runs[0], 2, 9, 1, 12, 5100, 5200)),
		cbor(t, sealed(t, 1, 3, runs[1], 1, 8, 7000, 3, e.EncodeAll(cbor(t, blocks), nil)))), frames
}
