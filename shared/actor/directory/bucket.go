package directory

import "slices"

// step is by how many entries the room of a bucket grows: the less, the less is
// unused, and the more often it is copied.
const step = 8

// bucket is an unordered list of entries and the hashes of their IDs, apart, so
// that a look-up reads a few cache lines of hashes and then the entry.
type bucket[E Entry] struct {
	hashes  []uint32
	entries []E
}

// newBucket makes an empty bucket with room for some entries, and for what the
// allocator would round up to; append alone would leave more.
func newBucket[E Entry](room int) bucket[E] {
	entries := slices.Grow([]E(nil), room)
	return bucket[E]{slices.Grow([]uint32(nil), cap(entries)), entries}
}

func (b *bucket[E]) find(hash uint32, id string) (at int, ok bool) {
	for i, h := range b.hashes {
		if h == hash && b.entries[i].ID() == id {
			return i, true
		}
	}
	return 0, false
}

func (b *bucket[E]) add(hash uint32, e E) {
	if len(b.entries) == cap(b.entries) {
		b.resize(len(b.entries) + step)
	}
	b.hashes, b.entries = append(b.hashes, hash), append(b.entries, e)
}

// remove puts the last entry in the place of the one at i. The room shrinks only
// by more than it grows by, a quarter being more than the allocator rounds up:
// entries that come and go do not allocate each time.
func (b *bucket[E]) remove(i int) {
	last := len(b.entries) - 1
	b.hashes[i], b.entries[i] = b.hashes[last], b.entries[last]
	b.hashes, b.entries = b.hashes[:last], slices.Delete(b.entries, last, last+1)
	if cap(b.entries) >= last+last/4+2*step {
		b.resize(last)
	}
}

func (b *bucket[E]) resize(room int) {
	next := newBucket[E](room)
	next.hashes, next.entries = append(next.hashes, b.hashes...), append(next.entries, b.entries...)
	*b = next
}
