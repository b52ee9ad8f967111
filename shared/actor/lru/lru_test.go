package lru_test

import (
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
				case e != nil && (e.Owner != oldest || e.Used() != used[oldest] || !e.Queued()):
					t.Fatalf("%d of %d is the oldest, want %d of %d", e.Owner, e.Used(), oldest, used[oldest])
				}
			},
		})
	})
}
