package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/proc"
)

// loadCase is how the line is loaded.
type loadCase struct {
	name     string
	mode     buffer.Mode
	gateways int
	// live cuts a frame of each second of a gateway's devices, 100 readings,
	// as sampling at 1 Hz does; otherwise frames are as large as a backlog's.
	live bool
}

var loadCases = []loadCase{
	{"1 gateway, spill, large frames", buffer.Spill, 1, false},
	{"1 gateway, always, large frames", buffer.Always, 1, false},
	{"16 gateways, spill, live frames", buffer.Spill, 16, true},
}

const (
	// window is how many readings of a gateway may wait for their ack: a few
	// MB of large frames, so that the line always has work.
	window = 8_000_000
	// liveWindow is the same in live frames: 200 of them.
	liveWindow = 20_000
	// linger is the least that cuts frames by itself.
	linger = time.Millisecond
	// warmUp is left out before measuring.
	warmUp = 3 * time.Second
	// cycle is the rows of a device that are generated; they are sent again
	// and again, with times that go on.
	cycle = 1000
	// uptime is how long the generator's kernel claims to run: its rows of
	// 1 Hz are that old at most, as a backlog's are, and none is in the future.
	uptime = 10 * 365 * 24 * time.Hour
	// lookEvery is how often a generator with a full window looks again.
	lookEvery = 2 * time.Millisecond
)

// throughput is gateways that send as fast as the line takes it: buffer and
// uplink are the real ones in this process, the cloud node is a process.
type throughput struct {
	Case            string  `json:"case"`
	Seconds         float64 `json:"seconds"`
	Durable         float64 `json:"durable_readings_per_second"` // acked: fsynced in the journal
	Applied         float64 `json:"applied_readings_per_second"` // by twins, and fsynced in history
	Frames          float64 `json:"frames_per_second"`
	BytesPerReading float64 `json:"message_bytes_per_reading"`
	EdgeCPU         float64 `json:"edge_cpu_percent"` // of one core: all gateways, the generator included
	EdgeAnon        int64   `json:"edge_anon"`        // at the end
	EdgePeakRSS     int64   `json:"edge_peak_rss"`
	CloudCPU        float64 `json:"cloud_cpu_percent"`
	Fsync           spread  `json:"fsync_4k"`
}

func measureThroughput(ctx context.Context, o options, c loadCase, length time.Duration) (out throughput, err error) {
	dir, err := os.MkdirTemp(o.dir, "load-")
	if err != nil {
		return out, err
	}
	l, err := line.Start(ctx, line.Config{Bin: o.bin, Dir: dir})
	if l != nil {
		defer func() { err = errors.Join(err, l.Stop()) }()
	}
	if err != nil {
		return out, err
	}
	f := fleet{reg: prometheus.NewRegistry()}
	defer func() { err = errors.Join(err, f.close(context.WithoutCancel(ctx))) }()
	for i := range c.gateways {
		if err := f.add(ctx, l, dir, c, i+1); err != nil {
			return out, err
		}
	}
	if err := proc.ForgetPeak(); err != nil {
		return out, err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	group, running := errgroup.WithContext(running)
	for _, g := range f.gateways {
		group.Go(func() error { return g.uplink.Run(running) })
		group.Go(func() error { return g.run(running) })
	}
	out, err = f.watch(ctx, l, length)
	stop()
	if err := errors.Join(err, group.Wait()); err != nil {
		return out, err
	}
	out.Case = c.name
	took, err := fsyncTimes(dir)
	out.Fsync = spreadOf(took)
	return out, err
}
