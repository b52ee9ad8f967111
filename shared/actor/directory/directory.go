// Package directory knows which IDs live on a node: a set of entries by string
// ID, made for a million of them.
//
// An ID is kept only in its entry, and is read there when it must be compared.
// Beyond the entry itself a directory takes 18 to 22 bytes for each that is a
// pointer and 26 to 35 for each that is an interface, however many there are.
//
// An entry comes in like this: the hash of its ID chooses one of a fixed number
// of shards, each with a lock of its own. The shard appends the entry to a dense
// slice, and writes half of the hash and the place in the slice into a table
// without pointers. So a look-up reads no entry but its own, growth reads none
// at all, and the garbage collector finds entries in about the order in which
// they were made, as they lie in memory. A shard grows by itself, a small part of
// the whole, so nobody waits for a table of a million to be copied; the last
// entry takes the place of one that goes, and deletion leaves nothing behind.
package directory

import (
	"hash/maphash"
	"iter"
)

// Entry is what a directory holds: a pointer, or an interface that holds one.
// ID must give the same string for as long as the entry is in the directory; it
// is called under a lock, so it must not call the directory.
type Entry interface {
	comparable
	ID() string
}

// shardCount is far above the number of cores of a node, so that two goroutines
// seldom meet in one shard; an empty directory takes 4 KiB for them. With more,
// neighbours in a shard would lie farther apart in memory: with 256 a garbage
// collection of a million takes half as long again.
const (
	shardCount = 1 << shardBits
	shardBits  = 6
)

// Directory is a set of entries, of which no two have the same ID. It is safe
// for concurrent use. Make one with New.
type Directory[E Entry] struct {
	seed   maphash.Seed
	shards [shardCount]shard[E]
}

// New makes an empty directory. Each has its own seed, so that nobody can
// choose IDs that meet in one place.
func New[E Entry]() *Directory[E] {
	return &Directory[E]{seed: maphash.MakeSeed()}
}

// Get returns the entry of an ID.
func (d *Directory[E]) Get(id string) (e E, ok bool) {
	s, hash := d.place(id)
	return s.get(hash, id)
}

// Insert adds e unless its ID is taken, in one step: it returns e and true, or
// the entry that has the ID and false.
func (d *Directory[E]) Insert(e E) (existing E, inserted bool) {
	id := e.ID()
	s, hash := d.place(id)
	return s.insert(hash, id, e)
}

// Remove takes e out. It is false, and changes nothing, when e is not there,
// also when another entry has its ID.
func (d *Directory[E]) Remove(e E) bool {
	id := e.ID()
	s, hash := d.place(id)
	return s.remove(d.seed, hash, id, e)
}

// Len counts the entries, shard by shard: it is exact when nothing changes
// meanwhile.
func (d *Directory[E]) Len() int {
	n := 0
	for i := range d.shards {
		n += d.shards[i].len()
	}
	return n
}

// All goes over the entries in no order. It copies one shard at a time, so the
// loop may insert and remove; an entry that is there throughout is seen once,
// one that comes or goes meanwhile once or not at all.
func (d *Directory[E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		var entries []E
		for i := range d.shards {
			entries = d.shards[i].appendTo(entries[:0])
			for _, e := range entries {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// place is the shard of an ID, by the highest bits of its hash, and the lowest
// bits, by which the shard knows it.
func (d *Directory[E]) place(id string) (s *shard[E], hash uint32) {
	h := maphash.String(d.seed, id)
	return &d.shards[h>>(64-shardBits)], low(h)
}

func low(hash uint64) uint32 { return uint32(hash) }
