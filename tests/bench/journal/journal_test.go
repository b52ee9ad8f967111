package journal_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
)

const (
	gateways = 64
	inFlight = 256 // frames that wait for their ack, of all gateways together
	syncs    = 50  // enough for a median beside the figures
)

// BenchmarkAppendToDurable measures a frame's way from the gate's Append to
// its done, fsynced, through the real server on this machine's disk; one
// operation is one frame. fsync-p50-ms is what the disk takes for 4 KiB alone.
//
//	go test -run '^$' -bench AppendToDurable -benchtime 20000x ./tests/bench/journal
func BenchmarkAppendToDurable(b *testing.B) {
	for _, c := range []struct {
		bytes    int
		inFlight int
	}{
		{600, 1}, // a live frame of one idle gateway: the disk's latency alone
		{600, inFlight},
		{8 << 10, inFlight},
		{64 << 10, inFlight}, // whole segments of a backlog
	} {
		b.Run(fmt.Sprintf("frame=%dB/inflight=%d", c.bytes, c.inFlight), func(b *testing.B) {
			appendToDurable(b, c.bytes, c.inFlight)
		})
	}
}

func appendToDurable(b *testing.B, size, inFlight int) {
	dir := b.TempDir()
	c := open(b, dir)
	records := make([]journal.Record, gateways)
	for i := range records {
		name := fmt.Sprintf("hq/gw-%d", i)
		records[i] = journal.Record{Kind: journal.KindFrame, Origin: name, Site: "hq", Body: make([]byte, size)}
	}
	window := make(chan struct{}, inFlight)
	took := make([]time.Duration, b.N)
	var wg sync.WaitGroup

	b.SetBytes(int64(size))
	b.ResetTimer()
	start := time.Now()
	for i := range b.N {
		window <- struct{}{}
		wg.Add(1)
		rec, at := records[i%gateways], time.Now()
		done := func(_ uint64, err error) {
			if err != nil {
				b.Error(err)
			}
			took[i] = time.Since(at)
			<-window
			wg.Done()
		}
		if err := c.Append(0, rec.Origin, rec, done); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	elapsed := time.Since(start)
	b.StopTimer()

	b.ReportMetric(float64(b.N)/elapsed.Seconds(), "frames/s")
	b.ReportMetric(percentile(took, 50), "p50-ms")
	b.ReportMetric(percentile(took, 99), "p99-ms")
	b.ReportMetric(percentile(fsyncs(b, dir), 50), "fsync-p50-ms")
}

func open(b *testing.B, dir string) *journal.Coalescer {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	s, err := journal.StartServer(journal.ServerConfig{Dir: filepath.Join(dir, "store"), Name: "n1", MaxStore: 16 << 30}, log)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	l, err := journal.OpenLog(b.Context(), s, 0, journal.LogConfig{MaxBytes: s.LogBytes(1)}, log, nil)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := l.PublishBarrier(b.Context(), 0, journal.Barrier{Incarnation: 1, Epoch: 1, Owner: "n1"}); err != nil {
		b.Fatal(err)
	}
	c := journal.NewCoalescer([]journal.Publisher{l}, journal.CoalescerConfig{}, log, nil)
	b.Cleanup(func() {
		if err := c.Close(b.Context()); err != nil && b.Context().Err() == nil {
			b.Error(err)
		}
	})
	return c
}

// fsyncs returns how long the disk takes to make 4 KiB durable.
func fsyncs(b *testing.B, dir string) []time.Duration {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	took := make([]time.Duration, syncs)
	for i := range took {
		start := time.Now()
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(start)
	}
	return took
}

// percentile returns the p-th of d in milliseconds.
func percentile(d []time.Duration, p int) float64 {
	sorted := slices.Sorted(slices.Values(d))
	return float64(sorted[(len(sorted)-1)*p/100]) / float64(time.Millisecond)
}
