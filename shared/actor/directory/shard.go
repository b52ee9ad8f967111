package directory

import (
	"hash/maphash"
	"slices"
	"sync"
)

// shard is the entries of one part of all hashes, side by side in the order in
// which they came, and the table that finds them.
type shard[E Entry] struct {
	mu      sync.Mutex
	entries []E
	table   table // none before the first entry

	_ [8]byte // keeps the locks of two shards in two cache lines
}

func (s *shard[E]) get(hash uint32, id string) (e E, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.find(hash, id)
	if ok {
		e = s.entries[s.table[at].index()]
	}
	return e, ok
}

func (s *shard[E]) insert(hash uint32, id string, e E) (existing E, inserted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, taken := s.find(hash, id); taken {
		return s.entries[s.table[at].index()], false
	}
	if len(s.entries) == cap(s.entries) {
		s.resize(roomFor(len(s.entries)))
	}
	s.table.put(slotOf(hash, len(s.entries)))
	s.entries = append(s.entries, e)
	return e, true
}

// remove puts the last entry in the place of the removed one.
func (s *shard[E]) remove(seed maphash.Seed, hash uint32, id string, e E) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.find(hash, id)
	if !ok {
		return false
	}
	i, last := s.table[at].index(), len(s.entries)-1
	if s.entries[i] != e {
		return false
	}
	s.table.free(at)
	if i != last {
		moved := s.entries[last]
		h := low(maphash.String(seed, moved.ID()))
		s.table.replace(slotOf(h, last), slotOf(h, i))
		s.entries[i] = moved
	}
	s.entries = slices.Delete(s.entries, last, last+1)
	if room := roomFor(last); cap(s.entries) >= 2*room {
		s.resize(room)
	}
	return true
}

func (s *shard[E]) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

func (s *shard[E]) appendTo(entries []E) []E {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(entries, s.entries...)
}

// find returns the place in the table of the entry that has an ID.
func (s *shard[E]) find(hash uint32, id string) (at int, ok bool) {
	if len(s.entries) == 0 {
		return 0, false
	}
	for at = s.table.home(hash); s.table[at] != 0; at = s.table.next(at) {
		if p := s.table[at]; p.hash() == hash && s.entries[p.index()].ID() == id {
			return at, true
		}
	}
	return 0, false
}

// roomFor is the room that n entries are given when what they have is full, or
// twice as much as this: a quarter is left for others to come, so that each is
// moved about four times in the life of a shard, and entries that come and go
// do not allocate.
func roomFor(n int) int { return n + n/4 + 4 }

// resize moves all to room for so many entries, and for what the allocator would
// round up to. It reads none of them: the table knows their hashes.
func (s *shard[E]) resize(room int) {
	s.entries = append(slices.Grow([]E(nil), room), s.entries...)
	next := make(table, slotsFor(cap(s.entries)))
	for _, p := range s.table {
		if p != 0 {
			next.put(p)
		}
	}
	s.table = next
}

// slotsFor is the size of the table of so much room: at least a fifth of it is
// free, beyond which searches would become long.
func slotsFor(room int) int { return room + room/4 + 1 }
