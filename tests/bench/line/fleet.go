package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/proc"
)

// fleet is the gateways of a load, which share a registry by their names.
type fleet struct {
	reg      *prometheus.Registry
	gateways []*generator
}

func (f *fleet) add(ctx context.Context, l *line.Line, dir string, c loadCase, n int) error {
	named := prometheus.WrapRegistererWith(prometheus.Labels{"gateway": fmt.Sprint(n)}, f.reg)
	g, err := newGenerator(ctx, l, dir, c, n, named)
	f.gateways = append(f.gateways, g)
	return err
}

func (f *fleet) close(ctx context.Context) error {
	var err error
	for _, g := range f.gateways {
		err = errors.Join(err, g.close(ctx))
	}
	return err
}

// watch reads what was acked and applied at the beginning and the end of the
// measured time.
func (f *fleet) watch(ctx context.Context, l *line.Line, length time.Duration) (throughput, error) {
	if err := sleep(ctx, warmUp); err != nil {
		return throughput{}, err
	}
	before, err := f.look(ctx, l)
	if err != nil {
		return throughput{}, err
	}
	if err := sleep(ctx, length); err != nil {
		return throughput{}, err
	}
	after, err := f.look(ctx, l)
	if err != nil {
		return throughput{}, err
	}
	for _, g := range f.gateways {
		if s := g.buf.Stats(); s.Acked == 0 || len(dropped(s)) > 0 {
			return throughput{}, fmt.Errorf("the load is not clean: %d sampled, %d acked, dropped %v", s.Sampled, s.Acked, dropped(s))
		}
	}
	used, err := proc.MemoryOf(os.Getpid())
	if err != nil {
		return throughput{}, err
	}
	seconds := after.at.Sub(before.at).Seconds()
	sent := after.uplink["atrium_uplink_sent_bytes_total"] - before.uplink["atrium_uplink_sent_bytes_total"]
	frames := after.uplink["atrium_uplink_sent_frames_total"] - before.uplink["atrium_uplink_sent_frames_total"]
	return throughput{
		Seconds: seconds,
		Durable: float64(after.acked-before.acked) / seconds,
		Applied: (after.applied - before.applied) / seconds,
		Frames:  frames / seconds, BytesPerReading: sent / float64(after.acked-before.acked),
		EdgeCPU:     100 * (after.edgeCPU - before.edgeCPU).Seconds() / seconds,
		EdgePeakRSS: used.PeakRSS, EdgeAnon: used.Anon,
		CloudCPU: 100 * (after.cloudCPU - before.cloudCPU).Seconds() / seconds,
	}, nil
}

func dropped(s buffer.Stats) map[string]uint64 {
	out := map[string]uint64{}
	for reason, d := range s.Dropped {
		if d.Readings > 0 {
			out[reason.String()] = d.Readings
		}
	}
	return out
}

// loadMoment is the progress of a load.
type loadMoment struct {
	at                time.Time
	acked             uint64
	applied           float64
	uplink            proc.Counters
	edgeCPU, cloudCPU time.Duration
}

func (f *fleet) look(ctx context.Context, l *line.Line) (m loadMoment, err error) {
	cloud, err := proc.Scrape(ctx, l.Cloud.URL())
	if err != nil {
		return m, err
	}
	m.at, m.acked, m.applied = time.Now(), 0, cloud["atrium_site_readings_total"]
	for _, g := range f.gateways {
		m.acked += g.buf.Stats().Acked
	}
	if m.uplink, err = proc.Gathered(f.reg); err != nil {
		return m, err
	}
	if m.edgeCPU, err = proc.CPUOf(os.Getpid()); err != nil {
		return m, err
	}
	m.cloudCPU, err = proc.CPUOf(l.Cloud.PID())
	return m, err
}
