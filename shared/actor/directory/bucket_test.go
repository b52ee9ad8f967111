package directory

import "testing"

type named interface{ ID() string }

type name string

func (n name) ID() string { return string(n) }

// TestAnEntryThatComesAndGoesDoesNotAllocate at any size of a bucket, while it
// grows and while it shrinks.
func TestAnEntryThatComesAndGoesDoesNotAllocate(t *testing.T) {
	var b bucket[named]
	comesAndGoes := func() {
		last := len(b.entries) - 1
		h, e := b.hashes[last], b.entries[last]
		b.remove(last)
		b.add(h, e)
	}
	check := func() {
		t.Helper()
		if n := testing.AllocsPerRun(1, comesAndGoes); n > 0 {
			t.Fatalf("in a bucket of %d: %v allocations", len(b.entries), n)
		}
	}
	for i := range 300 {
		b.add(uint32(i), name("a"))
		check()
	}
	for len(b.entries) > 1 {
		b.remove(0)
		check()
	}
}

// TestIDsOfOneHashAreToldApart by the IDs themselves: the hash only spares reading
// most of the others.
func TestIDsOfOneHashAreToldApart(t *testing.T) {
	var b bucket[named]
	for _, id := range []string{"a", "b", "c"} {
		if _, ok := b.find(7, id); ok {
			t.Errorf("%s was found before it was added", id)
		}
		b.add(7, name(id))
	}
	for i, id := range []string{"a", "b", "c"} {
		if at, ok := b.find(7, id); !ok || at != i {
			t.Errorf("%s was found at %d (%t), want %d", id, at, ok, i)
		}
	}
}
