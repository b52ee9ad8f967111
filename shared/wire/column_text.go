package wire

import (
	"encoding/binary"
	"slices"
	"unicode/utf8"
)

// appendTexts writes a text column: the strings that v uses, in the order of
// their first use, then v as a column of indexes into them.
func appendTexts(dst []byte, v []int64, texts []string) []byte {
	place := make([]int64, len(texts)) // in what is written, from 1
	used := make([]int64, 0, len(texts))
	index := make([]int64, len(v))
	for i, x := range v {
		if place[x] == 0 {
			used = append(used, x)
			place[x] = int64(len(used))
		}
		index[i] = place[x] - 1
	}
	dst = append(dst, codecText<<paramBits)
	dst = binary.AppendUvarint(dst, uint64(len(used)))
	for _, x := range used {
		dst = binary.AppendUvarint(dst, uint64(len(texts[x])))
		dst = append(dst, texts[x]...)
	}
	return appendValues(dst, index)
}

// parseTexts reads a text column into out and texts, which it returns.
func parseTexts(c *cursor, out []int64, texts []string) []string {
	const at = "text column"
	if c.err == nil && (c.off == len(c.b) || c.b[c.off] != codecText<<paramBits) {
		c.fail(RejectMalformed, at, "does not begin with %#02x", codecText<<paramBits)
	}
	if c.err != nil {
		return texts
	}
	c.off++
	n := c.varint(at)
	switch {
	case c.err != nil:
		return texts
	case n == 0:
		c.fail(RejectMalformed, at, "has no strings")
		return texts
	case n > MaxTexts:
		c.fail(RejectLimit, at, "has %d strings, at most %d are allowed", n, MaxTexts)
		return texts
	}
	texts = parseStrings(c, at, int(n), texts[:0])
	parseValues(c, at, out)
	if c.err == nil {
		checkFirstUse(c, at, out, int64(n))
	}
	return texts
}

// fewTexts is up to where strings are compared with each other rather than
// looked up.
const fewTexts = 8

// parseStrings appends n strings, all different, to texts. It takes memory
// only for what is there.
func parseStrings(c *cursor, at string, n int, texts []string) []string {
	var seen map[string]struct{}
	for i := range n {
		b := c.take(at, c.varint(at), MaxString)
		if c.err == nil && !utf8.Valid(b) {
			c.fail(RejectMalformed, at, "has a string that is not UTF-8, number %d", i)
		}
		if c.err != nil {
			return texts
		}
		s := string(b)
		twice := false
		if n <= fewTexts {
			twice = slices.Contains(texts, s)
		} else {
			if seen == nil {
				seen = make(map[string]struct{})
			}
			_, twice = seen[s]
			seen[s] = struct{}{}
		}
		if twice {
			c.fail(RejectMalformed, at, "has %q twice", s)
			return texts
		}
		texts = append(texts, s)
	}
	return texts
}

// checkFirstUse fails unless v names each of n strings, the first time in
// their order: so no index is beyond them.
func checkFirstUse(c *cursor, at string, v []int64, n int64) {
	next := int64(0)
	for row, x := range v {
		switch {
		case x < 0 || x > next || x >= n:
			c.fail(RejectMalformed, at, "names string %d at row %d, want 0 to %d", x, row, min(next, n-1))
			return
		case x == next:
			next++
		}
	}
	if next < n {
		c.fail(RejectMalformed, at, "names %d of %d strings", next, n)
	}
}
