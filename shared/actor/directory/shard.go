package directory

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"sync"
)

// meanEntries is how many entries a bucket has on average once a shard has
// grown. More make the look-up longer, fewer make the buckets' own memory
// count: at this number it is under two bytes an entry.
const meanEntries = 48

// shard is the entries of one part of all hashes, in buckets that are numbered
// by linear hashing: with L buckets, of which 2^k are the largest power of two,
// an entry is in the bucket that the lower k+1 bits of its hash name, or, while
// that one does not exist, k bits.
type shard[E Entry] struct {
	mu      sync.Mutex
	entries int
	buckets []bucket[E] // never empty
	seed    maphash.Seed

	_ [16]byte // keeps the locks of two shards in two cache lines
}

func (s *shard[E]) open(seed maphash.Seed) {
	s.seed = seed
	s.buckets = make([]bucket[E], 1)
}

func (s *shard[E]) get(h hash, id string) (e E, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := *s.bucket(h)
	at, ok := b.find(h.tag(), id)
	if ok {
		e, _ = b.at(at)
	}
	return e, ok
}

func (s *shard[E]) insert(h hash, id string, e E) (existing E, inserted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bucket(h)
	if at, taken := b.find(h.tag(), id); taken {
		existing, _ = b.at(at)
		return existing, false
	}
	if s.entries == meanEntries*len(s.buckets) {
		s.split()
		b = s.bucket(h)
	}
	b.add(h.tag(), e)
	s.entries++
	return e, true
}

func (s *shard[E]) remove(h hash, id string, e E) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bucket(h)
	at, ok := b.find(h.tag(), id)
	if !ok {
		return false
	}
	if have, _ := b.at(at); have != e {
		return false
	}
	b.remove(at)
	s.entries--
	// Half of what split goes by, so that they do not take turns.
	if s.entries < meanEntries/2*(len(s.buckets)-1) {
		s.merge()
	}
	return true
}

func (s *shard[E]) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries
}

func (s *shard[E]) appendTo(entries []E) []E {
	s.mu.Lock()
	defer s.mu.Unlock()
	entries = slices.Grow(entries, s.entries)
	for _, b := range s.buckets {
		for i := range b.len() {
			e, _ := b.at(i)
			entries = append(entries, e)
		}
	}
	return entries
}

func (s *shard[E]) bucket(h hash) *bucket[E] {
	n := uint(len(s.buckets))
	mask := uint(1)<<bits.Len(n-1) - 1
	i := h.bucket() & mask
	if i >= n {
		i &= mask >> 1
	}
	return &s.buckets[i]
}

// origin is the bucket that bucket i splits from: i without its highest bit.
func origin(i int) int { return i &^ (1 << (bits.Len(uint(i)) - 1)) }

// split adds a bucket and moves to it what belongs there.
func (s *shard[E]) split() {
	next := len(s.buckets)
	from := &s.buckets[origin(next)]
	bit := uint(next - origin(next))
	var to bucket[E]
	for i := from.len() - 1; i >= 0; i-- {
		e, tag := from.at(i)
		if hashOf(s.seed, e.ID()).bucket()&bit != 0 {
			to.add(tag, e)
			from.remove(i)
		}
	}
	s.buckets = append(s.buckets, to)
}

// merge undoes the newest split.
func (s *shard[E]) merge() {
	last := len(s.buckets) - 1
	from, to := s.buckets[last], &s.buckets[origin(last)]
	for i := range from.len() {
		e, tag := from.at(i)
		to.add(tag, e)
	}
	s.buckets[last] = nil
	s.buckets = s.buckets[:last]
	if cap(s.buckets) > 4*last {
		s.buckets = slices.Clone(s.buckets)
	}
}
