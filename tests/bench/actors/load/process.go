package load

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rss is the resident memory of this process in bytes, 0 where there is no
// proc(5) to say it.
func rss() int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// cpuTime is what this process has used of all cores.
func cpuTime() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// settle gives back what nothing uses, so that memory read next is in use. The
// second collection frees what the first one only took out of the pools.
func settle() {
	runtime.GC()
	debug.FreeOSMemory()
}

// InUse is the heap and the stacks in use, in bytes, when all garbage is
// collected. Stacks count, since they are where a runtime with a goroutine for
// each actor keeps it.
func InUse() int64 {
	settle()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
