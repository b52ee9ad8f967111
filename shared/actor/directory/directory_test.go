package directory_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor/directory"
)

type entry struct{ id string }

func (e *entry) ID() string { return e.id }

// TestADirectoryIsAMap compares it with Go's map, while it grows and shrinks
// many times.
func TestADirectoryIsAMap(t *testing.T) {
	ids := make([]string, 10_000)
	for i := range ids {
		ids[i] = fmt.Sprint("device-", i)
	}
	rapid.Check(t, func(t *rapid.T) {
		d, oracle := directory.New[named](), map[string]*entry{}
		some := func(t *rapid.T) (from, n int) {
			n = rapid.SampledFrom([]int{1, 10, 100, 3000}).Draw(t, "n")
			return rapid.IntRange(0, len(ids)-1).Draw(t, "from"), n
		}
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				from, n := some(t)
				for i := range n {
					e := &entry{ids[(from+i)%len(ids)]}
					have, taken := oracle[e.id]
					if !taken {
						have, oracle[e.id] = e, e
					}
					if got, inserted := d.Insert(e); got != named(have) || inserted == taken {
						t.Fatalf("Insert of %s: %t, want %t", e.id, inserted, !taken)
					}
				}
			},
			"remove": func(t *rapid.T) {
				from, n := some(t)
				for i := range n {
					id := ids[(from+i)%len(ids)]
					if d.Remove(&entry{id}) {
						t.Fatalf("another entry removed %s", id)
					}
					e, there := oracle[id]
					if there && !d.Remove(e) {
						t.Fatalf("%s was not removed", id)
					}
					delete(oracle, id)
				}
			},
			"": func(t *rapid.T) {
				if n := d.Len(); n != len(oracle) {
					t.Fatalf("Len is %d, want %d", n, len(oracle))
				}
			},
		})
		same(t, d, oracle, ids)
	})
}

func same(t *rapid.T, d *directory.Directory[named], oracle map[string]*entry, ids []string) {
	for _, id := range ids {
		want, there := oracle[id]
		if got, ok := d.Get(id); ok != there || there && got != named(want) {
			t.Fatalf("Get of %s: %v, %t", id, got, ok)
		}
	}
	seen := 0
	for e := range d.All() {
		if seen++; oracle[e.ID()] != e {
			t.Fatalf("All has %s", e.ID())
		}
	}
	if seen != len(oracle) {
		t.Fatalf("All has %d, want %d", seen, len(oracle))
	}
}

func TestOnlyItsEntryFreesAnID(t *testing.T) {
	d := directory.New[*entry]()
	first, second := &entry{"a"}, &entry{"a"}
	d.Insert(first)
	if have, ok := d.Insert(second); ok || have != first {
		t.Errorf("a taken ID: %v, %t", have, ok)
	}
	if d.Remove(second) {
		t.Error("an entry that is not there was removed")
	}
	if have, ok := d.Get("a"); !ok || have != first {
		t.Errorf("the ID has %v, %t, want the first entry", have, ok)
	}
	if !d.Remove(first) || d.Remove(first) {
		t.Error("an entry is removed once")
	}
}

func TestALoopOverAllMayChangeTheDirectory(t *testing.T) {
	d := directory.New[*entry]()
	for _, e := range entries(10_000) {
		d.Insert(e)
	}
	seen := 0
	for e := range d.All() {
		seen++
		d.Remove(e)
		d.Insert(&entry{e.id})
		d.Remove(e)
	}
	if seen != 10_000 || d.Len() != 10_000 {
		t.Errorf("seen %d of 10,000, %d left", seen, d.Len())
	}
	for range d.All() {
		break
	}
}

// TestOneOfManyGetsAnID is what makes a name unique on a node: of goroutines
// that insert the same ID at once, one succeeds and the others learn which.
func TestOneOfManyGetsAnID(t *testing.T) {
	const ids, goroutines = 5_000, 4
	d := directory.New[*entry]()
	winners := make([][]*entry, goroutines)
	var inserted atomic.Int64
	var all sync.WaitGroup
	for g := range goroutines {
		all.Go(func() {
			for _, e := range entries(ids) {
				have, ok := d.Insert(e)
				if ok {
					inserted.Add(1)
				}
				if got, _ := d.Get(e.id); got != have {
					t.Errorf("%s: Get and Insert differ", e.id)
				}
				winners[g] = append(winners[g], have)
			}
		})
	}
	all.Wait()
	if n := inserted.Load(); n != ids || d.Len() != ids {
		t.Errorf("%d were inserted and %d are there, want %d", n, d.Len(), ids)
	}
	for _, w := range winners[1:] {
		if !slices.Equal(w, winners[0]) {
			t.Error("goroutines saw different entries")
		}
	}
}

// TestGrowthAndShrinkingLoseNothing goes through many sizes of every shard.
func TestGrowthAndShrinkingLoseNothing(t *testing.T) {
	all := entries(200_000)
	d := directory.New[*entry]()
	for _, e := range all {
		d.Insert(e)
	}
	want := func(from, to int, there bool) {
		for _, e := range all[from:to] {
			if have, ok := d.Get(e.id); ok != there || there && have != e {
				t.Fatalf("Get of %s: %t, want %t", e.id, ok, there)
			}
		}
	}
	want(0, len(all), true)
	for _, e := range all[1000:] {
		if !d.Remove(e) {
			t.Fatalf("%s was not removed", e.id)
		}
	}
	want(0, 1000, true)
	want(1000, len(all), false)
}

// TestMemoryOfAnEntry holds what the package comment says, and after most have
// gone at most twice as much.
func TestMemoryOfAnEntry(t *testing.T) {
	all := entries(200_000)
	full, rest := memory(all, pointer)
	t.Logf("a pointer: %.1f B an entry, of the tenth that is left %.1f B", full, rest)
	if full > 23 || rest > 46 {
		t.Errorf("a pointer takes %.1f B, and %.1f B after removals", full, rest)
	}
	full, rest = memory(all, boxed)
	t.Logf("an interface: %.1f B an entry, of the tenth that is left %.1f B", full, rest)
	if full > 36 || rest > 72 {
		t.Errorf("an interface takes %.1f B, and %.1f B after removals", full, rest)
	}
}
