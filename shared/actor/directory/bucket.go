package directory

import "math/bits"

// width is how many entries a group has: as many as tags fit in a word.
const width = 8

// maxSpare is how many empty groups a bucket keeps after removals; one, so that
// entries that come and go at the end of a group do not allocate each time.
const maxSpare = 1

// group is a few entries and the tags of their hashes: byte i of tags belongs
// to slots[i], and is 0 when that is empty.
type group[E Entry] struct {
	tags  uint64
	slots [width]E
}

// bucket is an unordered list of entries. They stand without gaps: only the
// last group has empty slots.
type bucket[E Entry] []group[E]

func (b bucket[E]) len() int {
	if len(b) == 0 {
		return 0
	}
	last := b[len(b)-1].tags
	return (len(b)-1)*width + (bits.Len64(last)+7)/8
}

func (b bucket[E]) at(i int) (e E, tag uint8) {
	g := &b[i/width]
	return g.slots[i%width], uint8(g.tags >> (i % width * 8))
}

func (b bucket[E]) set(i int, e E, tag uint8) {
	g := &b[i/width]
	g.slots[i%width] = e
	shift := i % width * 8
	g.tags = g.tags&^(0xff<<shift) | uint64(tag)<<shift
}

func (b bucket[E]) find(tag uint8, id string) (at int, ok bool) {
	for i := range b {
		g := &b[i]
		for same := equalBytes(g.tags, tag); same != 0; same &= same - 1 {
			slot := bits.TrailingZeros64(same) / 8
			if g.slots[slot].ID() == id {
				return i*width + slot, true
			}
		}
	}
	return 0, false
}

func (b *bucket[E]) add(tag uint8, e E) {
	n := b.len()
	if n == len(*b)*width {
		b.resize(len(*b) + 1)
	}
	b.set(n, e, tag)
}

// remove puts the last entry in the place of the one at i.
func (b *bucket[E]) remove(i int) {
	last := b.len() - 1
	e, tag := b.at(last)
	b.set(i, e, tag)
	var none E
	b.set(last, none, 0)
	if last%width == 0 {
		b.resize(last / width)
	}
}

// resize changes the number of groups and keeps the capacity near it.
func (b *bucket[E]) resize(groups int) {
	if groups <= cap(*b) && cap(*b) <= groups+maxSpare {
		*b = (*b)[:groups]
		return
	}
	// append would leave more room than the entries themselves may take.
	next := make(bucket[E], groups)
	copy(next, *b)
	*b = next
}

// equalBytes sets the highest bit of each byte of tags that equals tag. Adding
// 0x7f to seven bits never carries, so unlike the shorter ways it is exact.
func equalBytes(tags uint64, tag uint8) uint64 {
	const ones, low = 0x0101010101010101, 0x7f7f7f7f7f7f7f7f
	x := tags ^ ones*uint64(tag)
	return ^(x&low + low | x | low)
}
