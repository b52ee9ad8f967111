package directory

// slot is a place of a table: 32 bits of a hash, and below them one more than
// the index of the entry. Zero is a free place.
type slot uint64

func slotOf(hash uint32, index int) slot {
	return slot(hash)<<32 | slot(uint32(index)+1)
}

func (s slot) hash() uint32 { return uint32(s >> 32) }
func (s slot) index() int   { return int(uint32(s) - 1) }

// table says at which index the entry of a hash lies. It holds no pointer, so
// the garbage collector passes it by, and all of the hash that is needed to move
// to a table of another size. Places are found by linear probing (D. Knuth, The
// Art of Computer Programming 3, section 6.4, algorithms L and R); one at least
// is always free.
type table []slot

// home is where the search for a hash begins. Higher hashes begin later, in a
// table of any size (D. Lemire, Fast random integer generation in an interval,
// 2019): to fill a larger table from a smaller one goes through both from front
// to back.
func (t table) home(hash uint32) int {
	return int(uint64(hash) * uint64(len(t)) >> 32)
}

func (t table) next(i int) int {
	if i++; i < len(t) {
		return i
	}
	return 0
}

func (t table) put(s slot) {
	i := t.home(s.hash())
	for t[i] != 0 {
		i = t.next(i)
	}
	t[i] = s
}

// replace puts s in the place of old, which has the same hash.
func (t table) replace(old, s slot) {
	i := t.home(old.hash())
	for t[i] != old {
		if t[i] == 0 {
			panic("BUG: directory: the ID of an entry has changed")
		}
		i = t.next(i)
	}
	t[i] = s
}

// free empties the place i, and moves back whoever is after it only because it
// was taken.
func (t table) free(i int) {
	for j := t.next(i); t[j] != 0; j = t.next(j) {
		if t.distance(t.home(t[j].hash()), j) >= t.distance(i, j) {
			t[i] = t[j]
			i = j
		}
	}
	t[i] = 0
}

// distance is how many steps of next lead from i to j.
func (t table) distance(i, j int) int {
	if j < i {
		j += len(t)
	}
	return j - i
}
