package lru_test

import (
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor/lru"
)

// The oracle is a list of all entries and when they were used.
func TestOldestIsTheLeastRecentlyUsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const things = 12
		var q lru.Queue[int]
		entries := make([]lru.Entry[int], things)
		used := map[int]int64{}
		now := int64(0)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				i := rapid.IntRange(0, things-1).Draw(t, "i")
				if _, in := used[i]; in {
					return
				}
				now++
				entries[i].Owner = i
				q.Add(&entries[i], now)
				used[i] = now
			},
			"remove": func(t *rapid.T) {
				i := rapid.IntRange(0, things-1).Draw(t, "i")
				q.Remove(&entries[i])
				delete(used, i)
			},
			"touch": func(t *rapid.T) {
				i := rapid.IntRange(0, things-1).Draw(t, "i")
				if _, in := used[i]; in {
					now++
					entries[i].Touch(now)
					used[i] = now
				}
			},
			"": func(t *rapid.T) {
				if q.Len() != len(used) {
					t.Fatalf("%d entries, want %d", q.Len(), len(used))
				}
				oldest := -1
				for i, at := range used {
					if oldest < 0 || at < used[oldest] {
						oldest = i
					}
					if q.Next() > at {
						t.Fatalf("Next is %d, %d was used at %d", q.Next(), i, at)
					}
				}
				switch e := q.Oldest(); {
				case e == nil && oldest >= 0:
					t.Fatalf("no oldest, want %d", oldest)
				case e != nil && (e.Owner != oldest || e.Used() != used[oldest]):
					t.Fatalf("%d of %d is the oldest, want %d of %d", e.Owner, e.Used(), oldest, used[oldest])
				}
			},
		})
	})
}

// Thousands that come and go leave no room behind.
func TestAQueueGivesBackTheRoomOfThoseThatLeft(t *testing.T) {
	const things = 1 << 17
	entries := make([]lru.Entry[int], things)
	var q lru.Queue[int]
	before := heap()
	for i := range entries {
		q.Add(&entries[i], int64(i))
	}
	full := heap() - before
	for q.Len() > 10 {
		q.Remove(q.Oldest())
	}
	if left := heap() - before; left > full/100 {
		t.Errorf("%d bytes are left of %d", left, full)
	}
	for i := things - 10; i < things; i++ {
		if e := q.Oldest(); e != &entries[i] {
			t.Fatalf("not %d is the oldest", i)
		}
		q.Remove(&entries[i])
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
