package directory_test

import (
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/atrium-iot/atrium/shared/actor/directory"
)

const million = 1_000_000

// named is what a directory of the runtime holds: an interface, because actors
// of different messages are of different types.
type named interface{ ID() string }

func entries(n int) []*entry {
	all := make([]*entry, n)
	for i := range all {
		all[i] = &entry{id: "site-" + strconv.Itoa(i/1000) + "/device-" + strconv.Itoa(i)}
	}
	return all
}

func pointer(e *entry) *entry { return e }
func boxed(e *entry) named    { return e }

// memory is what a directory takes beyond its entries, in bytes for each: full,
// and after nine of ten have gone.
func memory[E directory.Entry](all []*entry, of func(*entry) E) (full, rest float64) {
	before := heap()
	d := directory.New[E]()
	for _, e := range all {
		d.Insert(of(e))
	}
	full = float64(heap()-before) / float64(len(all))
	gone := all[len(all)/10:]
	for _, e := range gone {
		d.Remove(of(e))
	}
	rest = float64(heap()-before) / float64(len(all)-len(gone))
	runtime.KeepAlive(d)
	runtime.KeepAlive(all)
	return full, rest
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkMemory reports the bytes of an entry at a million.
func BenchmarkMemory(b *testing.B) {
	all := entries(million)
	for b.Loop() {
		full, _ := memory(all, pointer)
		b.ReportMetric(full, "B/pointer")
		full, _ = memory(all, boxed)
		b.ReportMetric(full, "B/interface")
	}
}

func BenchmarkInsertPointer(b *testing.B)   { benchInsert(b, pointer) }
func BenchmarkInsertInterface(b *testing.B) { benchInsert(b, boxed) }

// benchInsert grows a directory to a million from two goroutines, again and
// again; ns/op is of one Insert.
func benchInsert[E directory.Entry](b *testing.B, of func(*entry) E) {
	all := entries(million)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		d := directory.New[E]()
		n := min(million, b.N-done)
		inTwo(n, func(i int) { d.Insert(of(all[i])) })
		done += n
	}
}

func BenchmarkGetPointer(b *testing.B)   { benchGet(b, pointer) }
func BenchmarkGetInterface(b *testing.B) { benchGet(b, boxed) }

// benchGet asks for IDs of a million in no order, so that neither the directory
// nor the entry is in a cache.
func benchGet[E directory.Entry](b *testing.B, of func(*entry) E) {
	all := entries(million)
	d := directory.New[E]()
	for _, e := range all {
		d.Insert(of(e))
	}
	const step = 611_953 // a prime: each entry once before any twice
	var missing atomic.Int64
	b.ResetTimer()
	inTwo(b.N, func(i int) {
		if _, ok := d.Get(all[i*step%million].id); !ok {
			missing.Add(1)
		}
	})
	if missing.Load() > 0 {
		b.Fatal("an entry is missing")
	}
}

func BenchmarkInsertAndRemove(b *testing.B) {
	all := entries(million)
	d := directory.New[named]()
	for _, e := range all {
		d.Insert(e)
	}
	b.ReportAllocs()
	b.ResetTimer()
	inTwo(b.N, func(i int) {
		e := all[i%million]
		d.Remove(e)
		d.Insert(e)
	})
}

// BenchmarkCollection is a full garbage collection over a million entries that
// only a directory holds.
func BenchmarkCollection(b *testing.B) {
	d := directory.New[named]()
	for _, e := range entries(million) {
		d.Insert(e)
	}
	for b.Loop() {
		runtime.GC()
	}
	runtime.KeepAlive(d)
}

// inTwo calls f with 0 to n-1 from two goroutines.
func inTwo(n int, f func(i int)) {
	var both sync.WaitGroup
	for _, from := range []int{0, n / 2} {
		to := n / 2
		if from > 0 {
			to = n
		}
		both.Go(func() {
			for i := from; i < to; i++ {
				f(i)
			}
		})
	}
	both.Wait()
}
