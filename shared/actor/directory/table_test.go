package directory

import (
	"fmt"
	"hash/maphash"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type named interface{ ID() string }

type device struct{ id string }

func (d *device) ID() string { return d.id }

// TestATableFindsWhatItHolds compares it with a list, as full as it gets, with
// hashes that crowd at both ends, so that searches run over the end.
func TestATableFindsWhatItHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := rapid.IntRange(1, 40).Draw(t, "room")
		places := make(table, slotsFor(room))
		var held []slot
		hash := rapid.SampledFrom([]uint32{0, 1, 1 << 31, 1<<32 - 2, 1<<32 - 1})
		for i := range rapid.IntRange(0, 200).Draw(t, "steps") {
			if len(held) < room {
				s := slotOf(hash.Draw(t, "hash"), i)
				places.put(s)
				held = append(held, s)
			} else {
				gone := rapid.IntRange(0, len(held)-1).Draw(t, "gone")
				places.free(placeOf(t, places, held[gone]))
				held = slices.Delete(held, gone, gone+1)
			}
			for _, s := range held {
				placeOf(t, places, s)
			}
		}
		taken := 0
		for _, s := range places {
			if s != 0 {
				taken++
			}
		}
		if taken != len(held) {
			t.Fatalf("%d places are taken, want %d", taken, len(held))
		}
	})
}

// placeOf searches as a shard does: up to the first free place.
func placeOf(t *rapid.T, places table, s slot) int {
	i := places.home(s.hash())
	for ; places[i] != s; i = places.next(i) {
		if places[i] == 0 {
			t.Fatalf("hash %x, index %d is lost", s.hash(), s.index())
		}
	}
	return i
}

// TestAnEntryThatComesAndGoesDoesNotAllocate at any size of a shard, while it
// grows and while it shrinks.
func TestAnEntryThatComesAndGoesDoesNotAllocate(t *testing.T) {
	var s shard[named]
	seed := maphash.MakeSeed()
	all := make([]*device, 600)
	for i := range all {
		all[i] = &device{fmt.Sprint("device-", i)}
	}
	insert := func(e *device) { s.insert(low(maphash.String(seed, e.id)), e.id, e) }
	remove := func(e *device) { s.remove(seed, low(maphash.String(seed, e.id)), e.id, e) }
	check := func(e *device) {
		t.Helper()
		if n := testing.AllocsPerRun(1, func() { remove(e); insert(e) }); n > 0 {
			t.Fatalf("in a shard of %d: %v allocations", len(s.entries), n)
		}
	}
	for _, e := range all {
		insert(e)
		check(e)
	}
	for i, e := range all[:len(all)-1] {
		remove(e)
		check(all[i+1])
	}
}

// TestIDsOfOneHashAreToldApart by the IDs themselves: the hash only spares reading
// most of the others.
func TestIDsOfOneHashAreToldApart(t *testing.T) {
	var s shard[named]
	seed := maphash.MakeSeed()
	first, second := twoOfOneHash(seed)
	hash := low(maphash.String(seed, first.id))
	if _, ok := s.insert(hash, first.id, first); !ok {
		t.Fatal("the first was not inserted")
	}
	if _, ok := s.get(hash, second.id); ok {
		t.Error("the second was found before it was there")
	}
	if _, ok := s.insert(hash, second.id, second); !ok {
		t.Error("the second was not inserted")
	}
	if !s.remove(seed, hash, first.id, first) {
		t.Error("the first was not removed")
	}
	if e, ok := s.get(hash, second.id); !ok || e != named(second) {
		t.Errorf("the second: %v, %t", e, ok)
	}
	if _, ok := s.get(hash, first.id); ok {
		t.Error("the first was found after it was removed")
	}
}

// twoOfOneHash tries IDs until two meet: of 2^32 hashes, after about 80,000.
func twoOfOneHash(seed maphash.Seed) (first, second *device) {
	seen := map[uint32]string{}
	for i := 0; ; i++ {
		id := fmt.Sprint("device-", i)
		hash := low(maphash.String(seed, id))
		if other, met := seen[hash]; met {
			return &device{other}, &device{id}
		}
		seen[hash] = id
	}
}

// TestAnIDThatChangesIsABug that is seen where its entry would be lost.
func TestAnIDThatChangesIsABug(t *testing.T) {
	var s shard[named]
	seed := maphash.MakeSeed()
	first, last := &device{"a"}, &device{"b"}
	for _, e := range []*device{first, last} {
		s.insert(low(maphash.String(seed, e.id)), e.id, e)
	}
	last.id = "c"
	defer func() {
		if recover() == nil {
			t.Error("the entry was lost without a word")
		}
	}()
	s.remove(seed, low(maphash.String(seed, first.id)), first.id, first)
}
