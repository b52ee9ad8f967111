// Command reader prints the readings in a file of Atrium's lane messages as SenML (RFC 8428),
// a pack for each. It is written from shared/wire/PROTOCOL.md alone: it shows whether that suffices.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log"
	"math"
	"math/big"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/ugorji/go/codec"
)

const maxContent, maxRows, maxPoints = 256 << 10, 65536, 31 // else a few bytes unfold to any size

type reader map[string][]any // the schemas and clocks so far, by kind, run and sid or clk

func require(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf(format, args...))
	}
}

// decode reads an item of CBOR into v, integers as int64, and returns what is behind it.
func decode(data []byte, v any) (rest []byte) {
	options := codec.DecodeOptions{SignedInteger: true}
	d := codec.NewDecoderBytes(data, &codec.CborHandle{BasicHandle: codec.BasicHandle{DecodeOptions: options}})
	d.MustDecode(v)
	return data[d.NumBytesRead():]
}

// next reads a message. Wrong is what require, MustDecode, or Go's own checks panicked with.
func (r reader) next(data []byte) (found []any, rest []byte, wrong any) {
	defer func() { wrong = recover() }()
	message, m := []byte(nil), []any(nil)
	rest = decode(data, &message)
	decode(message, &m)
	kind, end, table := m[1].(int64), len(message)-5, crc32.MakeTable(crc32.Castagnoli)
	require(m[0] == int64(1) && (kind <= 3 || kind >= 18 && kind <= 20 || kind >= 128), "version %d, kind %d", m[0], kind)
	require(kind > 3 || crc32.Checksum(message[:end], table) == binary.BigEndian.Uint32(message[end+1:]), "a wrong CRC")
	switch kind {
	case 1, 3:
		found = r.frame(m)
	case 19, 20:
		r[fmt.Sprint(kind, m[2], m[3])] = m
	}
	return found, rest, nil
}

func (r reader) frame(m []any) (found []any) {
	blocks, ok := m[7].([]any)
	if !ok { // packed
		d, _ := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxContent), zstd.WithDecoderMaxWindow(maxContent))
		unpacked, err := d.DecodeAll(m[7].([]byte), nil)
		require(err == nil, "%v", err)
		decode(unpacked, &blocks)
	}
	for _, item := range blocks {
		b, tick, points := item.([]any), int64(0), [][]any(nil)
		schema, clock := r[fmt.Sprint(19, m[2], b[0])], r[fmt.Sprint(20, m[2], m[4])]
		require(schema != nil && clock != nil, "no schema %d or no clock %d before it", b[0], m[4])
		decode(schema[8].([]byte), &[]any{nil, nil, nil, &tick, &points})
		n, c := b[1].(int64), columns{data: b[3].([]byte)}
		require(n <= maxRows && len(points) <= maxPoints && len(found) <= maxRows*maxPoints, "beyond the limits")
		first := b[2].(int64) + m[5].(int64)*1_000_000/tick
		times, quality := c.column(n, true, schema[6].(int64)), c.column(n, false, 0)
		for p, point := range points {
			name := fmt.Sprint(schema[4], "/", point[0])
			for i, v := range c.column(n, false, 0) {
				if quality[i]>>(2*p)&3 != 2 { // 2 is bad
					key, value := reading(point, v, c.texts)
					at := json.Number(fmt.Sprintf("%de-6", clock[5].(int64)+(first+times[i])*tick/1000))
					found = append(found, map[string]any{"n": name, "u": point[1], "t": at, key: value})
				}
			}
		}
		require(c.at == 8*len(c.data), "%d bytes behind the columns", len(c.data)-c.at/8)
	}
	return found
}

func reading(point []any, v int64, texts []string) (key string, value any) {
	switch float := math.Float64frombits(uint64(v)); point[2].(int64) {
	case 1:
		return "vb", v != 0
	case 3:
		require(!math.IsNaN(float) && !math.IsInf(float, 0), "%v is %g", point[0], float)
		return "v", float
	case 4:
		return "vs", texts[v]
	}
	scaled := new(big.Int).Mul(big.NewInt(v), big.NewInt(point[3].(int64)))
	return "v", json.Number(fmt.Sprintf("%de%d", scaled, point[4]))
}

type columns struct { // of a block, read from the most significant bit of each byte on
	data  []byte
	at    int      // in bits
	texts []string // of the last column of texts
}

func (c *columns) bits(n uint64) (u uint64) {
	for ; n > 0; n, c.at = n-1, c.at+1 {
		u = u<<1 | uint64(c.data[c.at/8]>>(7-c.at%8)&1)
	}
	return u
}

func (c *columns) varint() uint64 {
	u, n := binary.Uvarint(c.data[c.at/8:])
	require(n > 0, "no varint at byte %d of the columns", c.at/8)
	c.at += 8 * n
	return u
}

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
func (c *columns) rice(k uint64) int64 {
	for q := uint64(0); q < 24; q++ {
		if k == 31 || c.bits(1) == 0 { // with k = 31 there are no bits
			return unzigzag(q<<k | c.bits(k%31))
		}
	}
	return unzigzag(c.bits(64))
}

// column reads n integers. Times have their series' grid and no base.
func (c *columns) column(n int64, times bool, grid int64) []int64 {
	codec, k, now := c.bits(3), c.bits(5), int64(0)
	if codec == 7 { // text: the strings, then a column of indexes
		c.texts = nil
		for range c.varint() {
			length := c.varint()
			c.texts = append(c.texts, string(c.data[c.at/8:][:length]))
			c.at += 8 * int(length)
		}
		codec, k = c.bits(3), c.bits(5)
	}
	if !times && (codec > 0 || k == 1) {
		now = unzigzag(c.varint())
	}
	v, base, level, slope := make([]int64, n), now, 256*now, int64(0)
	until, zeros, width := uint64(0), uint64(0), uint64(0)
	for i := range v {
		switch {
		case codec == 3 && (i > 0 || !times): // line
			now = base + int64(i)*grid + c.rice(k)
		case codec == 4 && uint64(i) == until: // runs
			if i > 0 {
				now += unzigzag(c.varint())
			}
			until += c.varint()
		case i == 0 || codec == 4: // the base, or the run goes on
		case codec == 1: // delta
			now += c.rice(k)
		case codec == 2: // delta2
			slope += c.rice(k)
			now += slope
		case codec == 5: // varint
			now += unzigzag(c.varint())
		case codec == 6 && k > 0: // trend
			p := level + slope
			now = (p+128)>>8 + c.rice(k)
			level, slope = p+(256*now-p)>>1, slope+(256*now-p)>>3
		case codec == 6 && c.bits(1) == 1: // xor
			if c.bits(1) == 1 {
				zeros, width = c.bits(5), c.bits(6)+1
			}
			now ^= int64(c.bits(width) << (64 - zeros - width))
		}
		v[i] = now
	}
	c.at = (c.at + 7) / 8 * 8 // behind the filling
	return v
}

func main() {
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	r, out, status := reader{}, json.NewEncoder(os.Stdout), 0
	for rest := data; len(rest) > 0; {
		found, behind, wrong := r.next(rest)
		if wrong != nil {
			log.Printf("message at byte %d: %v", len(data)-len(rest), wrong)
			status = 1
		}
		for _, reading := range found {
			out.Encode([]any{reading})
		}
		rest = behind
	}
	os.Exit(status)
}
