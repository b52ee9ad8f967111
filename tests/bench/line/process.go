package main

import (
	"bufio"
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

// memory is a process's, in bytes, from proc(5) status.
type memory struct {
	RSS     int64 `json:"rss"`
	PeakRSS int64 `json:"peak_rss"`
	Anon    int64 `json:"anon"` // heap, stacks and the runtime's own
	File    int64 `json:"file"` // touched pages of the program and of mapped files
}

func memoryOf(pid int) (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	kib := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		key, rest, _ := strings.Cut(line, ":")
		if n, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB"); ok {
			if kib[key], err = strconv.ParseInt(n, 10, 64); err != nil {
				return memory{}, fmt.Errorf("/proc/%d/status: %w", pid, err)
			}
		}
	}
	return memory{RSS: kib["VmRSS"] << 10, PeakRSS: kib["VmHWM"] << 10, Anon: kib["RssAnon"] << 10, File: kib["RssFile"] << 10}, nil
}

// forgetPeak makes this process's peak begin now (proc(5), clear_refs), without
// what was measured before.
func forgetPeak() error {
	debug.FreeOSMemory()
	return os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// cpuOf returns the processor time that a process has taken, from proc(5)
// stat: fields 14 and 15, in ticks of USER_HZ, which Linux fixes at 100.
func cpuOf(pid int) (time.Duration, error) {
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

// counters are a process's metrics: the sum over all labels by name.
type counters map[string]float64

// scrape reads /metrics in Prometheus's text format.
func scrape(ctx context.Context, base string) (counters, error) {
	b, err := get(ctx, base+"/metrics")
	if err != nil {
		return nil, err
	}
	sums := counters{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("%s/metrics: %q: %w", base, line, err)
		}
		name, _, _ := strings.Cut(line[:at], "{")
		sums[name] += v
	}
	return sums, lines.Err()
}

// gathered reads the counters of a registry of this process.
func gathered(reg prometheus.Gatherer) (counters, error) {
	families, err := reg.Gather()
	if err != nil {
		return nil, err
	}
	sums := counters{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			sums[f.GetName()] += m.GetCounter().GetValue()
		}
	}
	return sums, nil
}

func get(ctx context.Context, url string) ([]byte, error) {
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
		err = fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return b, err
}
