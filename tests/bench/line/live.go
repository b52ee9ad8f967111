package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/simulator/link"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/proc"
)

const (
	site    = "bench"
	devices = 20
	points  = 3 // of a BME280
	// settle is left out before measuring: handshake, first frames, start-up's
	// garbage.
	settle = 5 * time.Second
)

// liveModes are when the gateway's frames become durable.
var liveModes = []buffer.Mode{buffer.Spill, buffer.Always}

// live is one gateway with 20 devices at 1 Hz.
type live struct {
	Mode             string      `json:"mode"`
	Seconds          float64     `json:"seconds"`
	Readings         float64     `json:"readings"`
	Frames           float64     `json:"frames"`
	ReadingsPerFrame float64     `json:"readings_per_frame"`
	MessageBytes     float64     `json:"message_bytes_per_reading"` // on the lane's stream, schemas and clocks included
	UDPUp            float64     `json:"udp_up_bytes_per_reading"`  // datagrams' payload, gateway to cloud
	UDPDown          float64     `json:"udp_down_bytes_per_reading"`
	Edge             proc.Memory `json:"edge_memory"`
	EdgeCPU          float64     `json:"edge_cpu_percent"` // of one core
	Twin             spread      `json:"sample_to_twin"`
	Poll             spread      `json:"poll_interval"` // the resolution of sample_to_twin
	Fsync            spread      `json:"fsync_4k"`
}

// measureLive raises a line, lets it run and reads its counters.
func measureLive(ctx context.Context, o options, mode buffer.Mode, length time.Duration) (out live, err error) {
	dir, err := os.MkdirTemp(o.dir, "live-")
	if err != nil {
		return out, err
	}
	l, err := line.Start(ctx, line.Config{Bin: o.bin, Dir: dir, Gateways: []line.Gateway{
		{Site: site, Mode: mode.String(), Sensors: devices, Climate: true},
	}})
	if l != nil {
		defer func() { err = errors.Join(err, l.Stop()) }()
	}
	if err != nil {
		return live{}, err
	}
	if err := sleep(ctx, settle); err != nil {
		return live{}, err
	}
	before, err := look(ctx, l)
	if err != nil {
		return live{}, err
	}
	seen, err := watchTwins(ctx, l.Cloud.URL(), length)
	if err != nil {
		return live{}, err
	}
	after, err := look(ctx, l)
	if err != nil {
		return live{}, err
	}
	out = after.since(before)
	if out.Readings == 0 || out.Frames == 0 {
		return live{}, fmt.Errorf("%v readings in %v frames: the line stands still", out.Readings, out.Frames)
	}
	out.Mode = mode.String()
	if out.Edge, err = proc.MemoryOf(l.Sites[0].Gateway.PID()); err != nil {
		return live{}, err
	}
	if out.Twin, out.Poll, err = seen.latencies(ctx, l.Cloud.URL()); err != nil {
		return live{}, err
	}
	took, err := fsyncTimes(dir)
	out.Fsync = spreadOf(took)
	return out, err
}

// moment is the counters of a running line.
type moment struct {
	at   time.Time
	edge proc.Counters
	cpu  time.Duration
	link link.State
}

func look(ctx context.Context, l *line.Line) (m moment, err error) {
	s := l.Sites[0]
	if m.edge, err = proc.Scrape(ctx, s.Gateway.URL()); err != nil {
		return m, err
	}
	if m.cpu, err = proc.CPUOf(s.Gateway.PID()); err != nil {
		return m, err
	}
	b, err := proc.Get(ctx, s.LinkURL()+"/state")
	if err != nil {
		return m, err
	}
	m.at = time.Now()
	if err := json.Unmarshal(b, &m.link); err != nil {
		return m, fmt.Errorf("link: %w", err)
	}
	return m, nil
}

func (m moment) since(b moment) live {
	grew := func(name string) float64 { return m.edge[name] - b.edge[name] }
	readings := grew("atrium_buffer_sampled_readings_total")
	frames := grew("atrium_uplink_sent_frames_total")
	seconds := m.at.Sub(b.at).Seconds()
	return live{
		Seconds: seconds, Readings: readings, Frames: frames, ReadingsPerFrame: readings / frames,
		MessageBytes: grew("atrium_uplink_sent_bytes_total") / readings,
		UDPUp:        float64(m.link.Up.Bytes-b.link.Up.Bytes) / readings,
		UDPDown:      float64(m.link.Down.Bytes-b.link.Down.Bytes) / readings,
		EdgeCPU:      100 * (m.cpu - b.cpu).Seconds() / seconds,
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
