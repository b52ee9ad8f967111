// Package proc reads what benchmarks and fault trials need to know of running
// processes: their memory, processor time and written bytes from proc(5), and
// their metrics. It starts and ends none.
package proc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Memory is a process's, in bytes, from proc(5) status.
type Memory struct {
	RSS     int64 `json:"rss"`
	PeakRSS int64 `json:"peak_rss"`
	Anon    int64 `json:"anon"` // heap, stacks and the runtime's own
	File    int64 `json:"file"` // touched pages of the program and of mapped files, on whatever file system
}

// MemoryOf returns what memory a process has.
func MemoryOf(pid int) (Memory, error) {
	kib, err := kibibytes(fmt.Sprintf("/proc/%d/status", pid))
	return Memory{
		RSS: kib["VmRSS"] << 10, PeakRSS: kib["VmHWM"] << 10, Anon: kib["RssAnon"] << 10,
		File: (kib["RssFile"] + kib["RssShmem"]) << 10, // files on a tmpfs, such as an initial file system, are shared memory
	}, err
}

// Available returns how many bytes the kernel could give to programs: it counts
// as available what it could take back (MemAvailable in proc(5) meminfo).
func Available() (int64, error) {
	kib, err := kibibytes("/proc/meminfo")
	return kib["MemAvailable"] << 10, err
}

// kibibytes reads the lines of a file that are KEY: NUMBER kB.
func kibibytes(file string) (map[string]int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	kib := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		key, rest, _ := strings.Cut(line, ":")
		if n, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB"); ok {
			if kib[key], err = strconv.ParseInt(n, 10, 64); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return kib, nil
}

// ForgetPeak makes this process's peak begin now (proc(5), clear_refs), without
// what was measured before.
func ForgetPeak() error {
	debug.FreeOSMemory()
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// CPUOf returns the processor time that a process has taken, from proc(5)
// stat: fields 14 and 15, in ticks of USER_HZ, which Linux fixes at 100.
func CPUOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses and may hold blanks.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
	}
	var ticks int64
	for _, f := range []string{fields[user], fields[system]} {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// WrittenBy returns how many bytes a process has caused to be written to disks:
// write_bytes of proc(5) io.
func WrittenBy(pid int) (int64, error) {
	name := fmt.Sprintf("/proc/%d/io", pid)
	b, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "write_bytes:"); ok {
			return strconv.ParseInt(strings.TrimSpace(n), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no write_bytes", name)
}

// Counters are a process's metrics: by name the sum over all labels, and each
// sample with labels by what it is written as, NAME{LABEL="VALUE"}.
type Counters map[string]float64

// Of is for a metric that must be there.
func (c Counters) Of(name string) (float64, error) {
	v, ok := c[name]
	if !ok {
		return 0, fmt.Errorf("no metric %s", name)
	}
	return v, nil
}

// Scrape reads /metrics of a process in Prometheus's text format.
func Scrape(ctx context.Context, base string) (Counters, error) {
	b, err := Get(ctx, base+"/metrics")
	if err != nil {
		return nil, err
	}
	c, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s/metrics: %w", base, err)
	}
	return c, nil
}

func parse(text []byte) (Counters, error) {
	sums := Counters{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		name, _, labels := strings.Cut(line[:at], "{")
		sums[name] += v
		if labels {
			sums[line[:at]] = v
		}
	}
	return sums, nil
}

// Gathered reads the counters of a registry of this process.
func Gathered(reg prometheus.Gatherer) (Counters, error) {
	families, err := reg.Gather()
	if err != nil {
		return nil, err
	}
	sums := Counters{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			sums[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	return sums, nil
}

// Get returns what an HTTP address answers.
func Get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.200s", url, resp.Status, b)
	}
	return b, err
}
