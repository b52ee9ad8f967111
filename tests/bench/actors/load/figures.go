package load

import (
	"math"
	"runtime"
	"slices"
	"time"
)

// Figure names one measured quantity, with its unit.
type Figure string

// What workloads measure; each says in its Workload which of them.
const (
	PerSecond   Figure = "per_s"         // messages handled, questions answered or actors spawned a second
	P50         Figure = "p50_us"        // of a question, or until the last member has a broadcast
	P99         Figure = "p99_us"        //
	CPUNanos    Figure = "cpu_ns"        // of all cores, a message
	Allocations Figure = "allocs"        // a message
	HeapBytes   Figure = "heap_bytes"    // an actor: heap and stacks in use
	RSSMega     Figure = "rss_mb"        // resident memory of the process, 10^6 bytes
	GCMillis    Figure = "gc_ms"         // one full collection
	RefusalNano Figure = "refusal_ns"    // an offer to a full mailbox
	RSSGrowth   Figure = "rss_growth_mb" // while a mailbox was full, 2^20 bytes
	Cores       Figure = "cores"         // in use while a sender waited for room
)

// Figures are the outcome of one workload on one runtime.
type Figures map[Figure]float64

// measure runs f, which brings n messages to their actors.
func (fig Figures) measure(n int, f func()) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, begin := cpuTime(), time.Now()
	f()
	took := time.Since(begin)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	fig[PerSecond] = float64(n) / took.Seconds()
	fig[CPUNanos] = float64(cpu) / float64(n)
	fig[Allocations] = float64(after.Mallocs-before.Mallocs) / float64(n)
}

// latencies writes down the percentiles of nanoseconds. It sorts took.
func (fig Figures) latencies(took []uint32) {
	slices.Sort(took)
	fig[P50], fig[P99] = Percentile(took, 0.50), Percentile(took, 0.99)
}

// Nanos is d in the form in which latencies are kept: 4.3 seconds at most.
func Nanos(d time.Duration) uint32 { return uint32(min(d, math.MaxUint32)) }

// Percentile is the value at p of a sorted list, in microseconds.
func Percentile(sorted []uint32, p float64) float64 {
	return float64(sorted[int(float64(len(sorted)-1)*p)]) / 1000
}
