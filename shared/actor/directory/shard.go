package directory

import (
	"math/bits"
	"slices"
	"sync"
)

// meanEntries is how many entries a bucket has on average once a shard has
// grown. More make the look-up longer, fewer make the buckets' own memory
// count: at this number it is two bytes an entry.
const meanEntries = 64

// shard is the entries of one part of all hashes, in buckets that are numbered
// by linear hashing: with L buckets, of which 2^k are the largest power of two,
// an entry is in the bucket that the lower k+1 bits of its hash name, or, while
// that one does not exist, k bits.
type shard[E Entry] struct {
	mu      sync.Mutex
	entries int
	buckets []bucket[E] // none before the first entry

	_ [24]byte // keeps the locks of two shards in two cache lines
}

func (s *shard[E]) get(hash uint32, id string) (e E, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == 0 {
		return e, false
	}
	b := s.bucket(hash)
	at, ok := b.find(hash, id)
	if ok {
		e = b.entries[at]
	}
	return e, ok
}

func (s *shard[E]) insert(hash uint32, id string, e E) (existing E, inserted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries > 0 {
		b := s.bucket(hash)
		if at, taken := b.find(hash, id); taken {
			return b.entries[at], false
		}
	}
	if s.entries == meanEntries*len(s.buckets) {
		s.split()
	}
	s.bucket(hash).add(hash, e)
	s.entries++
	return e, true
}

func (s *shard[E]) remove(hash uint32, id string, e E) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == 0 {
		return false
	}
	b := s.bucket(hash)
	at, ok := b.find(hash, id)
	if !ok || b.entries[at] != e {
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
		entries = append(entries, b.entries...)
	}
	return entries
}

func (s *shard[E]) bucket(hash uint32) *bucket[E] {
	n := uint32(len(s.buckets))
	mask := uint32(1)<<bits.Len32(n-1) - 1
	i := hash & mask
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
	if next == 0 {
		s.buckets = make([]bucket[E], 1)
		return
	}
	from := &s.buckets[origin(next)]
	bit := uint32(next - origin(next))
	moving := 0
	for _, h := range from.hashes {
		if h&bit != 0 {
			moving++
		}
	}
	old, stay, move := *from, newBucket[E](len(from.hashes)-moving), newBucket[E](moving)
	for i, h := range old.hashes {
		if h&bit != 0 {
			move.add(h, old.entries[i])
		} else {
			stay.add(h, old.entries[i])
		}
	}
	*from = stay
	s.buckets = append(s.buckets, move)
}

// merge undoes the newest split.
func (s *shard[E]) merge() {
	last := len(s.buckets) - 1
	from, to := s.buckets[last], &s.buckets[origin(last)]
	for i, h := range from.hashes {
		to.add(h, from.entries[i])
	}
	s.buckets[last] = bucket[E]{}
	s.buckets = s.buckets[:last]
	if cap(s.buckets) > 4*last {
		s.buckets = slices.Clone(s.buckets)
	}
}
