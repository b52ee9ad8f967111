package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

type fault string // what is wrong with a message: require panics with it, next recovers it

func require(ok bool, format string, args ...any) {
	if !ok {
		panic(fault(fmt.Sprintf(format, args...)))
	}
}

var codecs = [...]string{"constant", "delta", "delta2", "line", "runs", "varint", "xor", "text", "trend"}

type columns struct { // of a block, read from the most significant bit of each byte on
	data []byte
	at   int            // in bits
	used map[string]int // how often each codec was met
}

func (c *columns) bits(n int) (u uint64) {
	require(n <= 8*len(c.data)-c.at, "the columns end too early, after %d bytes", len(c.data))
	for ; n > 0; n, c.at = n-1, c.at+1 {
		u = u<<1 | uint64(c.data[c.at/8]>>(7-c.at%8)&1)
	}
	return u
}

func (c *columns) varint() uint64 {
	u, n := binary.Uvarint(c.data[c.at/8:])
	require(n == 1 || n > 1 && c.data[c.at/8+n-1] != 0, "not a varint at byte %d of the columns", c.at/8)
	c.at += 8 * n
	return u
}

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

func (c *columns) rice(k int) int64 {
	q := uint64(0)
	for k < 31 && q < 24 && c.bits(1) == 1 {
		q++
	}
	if q < 24 {
		return unzigzag(q<<k | c.bits(k%31))
	}
	u := c.bits(64)
	require(u>>k >= 24, "an escape for %d with k %d", u, k)
	return unzigzag(u)
}

// column reads n integers. Times have their series' grid and no base.
func (c *columns) column(n int, times bool, grid int64) []int64 {
	codec, k, base := codecs[c.bits(3)], int(c.bits(5)), int64(0)
	if codec == "xor" && k > 0 {
		codec = "trend"
	}
	c.used[codec]++
	rice := codec == "delta" || codec == "delta2" || codec == "line" || codec == "trend" && k < 31
	require(codec != "text" && (k == 0 || rice || codec == "constant" && k == 1 && !times), "codec %s with k %d", codec, k)
	if !times && (codec != "constant" || k == 1) {
		base = unzigzag(c.varint())
		require(codec != "constant" || base != 0, "a constant 0 that has a base")
	}
	v, now, level, slope := make([]int64, n), base, 256*base, int64(0)
	run, zeros, width := uint64(0), 0, 0
	for i := range v {
		switch {
		case codec == "line" && (i > 0 || !times):
			now = base + int64(i)*grid + c.rice(k)
		case codec == "runs":
			if step := int64(0); run == 0 {
				if i > 0 {
					step = unzigzag(c.varint())
				}
				now, run = now+step, c.varint()
				require(run >= 1 && run <= uint64(n-i) && (step == 0) == (i == 0), "run of %d after a step of %d, %d left", run, step, n-i)
			}
			run--
		case i == 0 || codec == "constant": // the base
		case codec == "delta":
			now += c.rice(k)
		case codec == "delta2":
			slope += c.rice(k)
			now += slope
		case codec == "varint":
			now += unzigzag(c.varint())
		case codec == "trend":
			p := level + slope
			now = (p+128)>>8 + c.rice(k)
			e := 256*now - p
			level, slope = p+e>>1, slope+e>>3
		case c.bits(1) == 1: // xor, and not 0
			if c.bits(1) == 1 {
				zeros, width = int(c.bits(5)), int(c.bits(6))+1
			}
			require(width > 0 && zeros+width <= 64, "a window of %d bits behind %d", width, zeros)
			now ^= int64(c.bits(width) << (64 - zeros - width))
		}
		v[i] = now
	}
	require(c.bits(-c.at&7) == 0, "filling that is not zeros before byte %d of the columns", c.at/8)
	return v
}

// texts reads a column of texts: its strings, and each row's index into them.
func (c *columns) texts(n int) (texts []string, indexes []int64) {
	require(c.bits(8) == 7<<5, "numbers where texts are due")
	c.used["text"]++
	for count := c.varint(); uint64(len(texts)) < count; {
		length := int(min(c.varint(), maxString+1))
		require(length <= min(maxString, len(c.data)-c.at/8) && len(texts) < maxStrings, "strings beyond a limit")
		text := string(c.data[c.at/8:][:length])
		require(utf8.ValidString(text) && !slices.Contains(texts, text), "%q is not UTF-8, or not new", text)
		texts, c.at = append(texts, text), c.at+8*length
	}
	indexes, next := c.column(n, false, 0), int64(0)
	for _, x := range indexes {
		require(x >= 0 && x <= next, "string %d is named where %d is next", x, next)
		next = max(next, x+1)
	}
	require(next == int64(len(texts)), "%d strings are named, there are %d", next, len(texts))
	return texts, indexes
}
