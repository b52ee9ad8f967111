package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/atrium-iot/atrium/simulator/link"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/proc"
)

const (
	agentSensors = 20
	// agentSettle is left out: start-up, the first heap, and the events of the
	// devices that were found, which leave the disk 10 s after they were acked.
	agentSettle = 20 * time.Second
)

// measureAgent runs the real agent with 20 devices of five points at 1 Hz
// against a cloud node, each a process, and reads what the agent takes.
func measureAgent(ctx context.Context, o options) (_ []figure, err error) {
	settle, length := agentSettle, o.agent
	if o.short {
		settle, length = time.Second, 3*time.Second
	}
	dir := filepath.Join(o.dir, "agent")
	library := filepath.Join(dir, "profiles")
	if err := widerProfile(library); err != nil {
		return nil, err
	}
	bin, err := o.programs(ctx)
	if err != nil {
		return nil, err
	}
	l, err := line.Start(ctx, line.Config{Bin: bin, Dir: dir, Gateways: []line.Gateway{
		{Site: site, Mode: "spill", Sensors: agentSensors, Climate: true, Keys: "profiles: " + library},
	}})
	if l != nil {
		defer func() { err = errors.Join(err, l.Stop()) }()
	}
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, settle); err != nil {
		return nil, err
	}
	before, err := lookAtAgent(ctx, l.Sites[0])
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, length); err != nil {
		return nil, err
	}
	after, err := lookAtAgent(ctx, l.Sites[0])
	if err != nil {
		return nil, err
	}
	return after.since(before)
}

// widerProfile puts the profile of five points into a folder.
func widerProfile(dir string) error {
	text, err := line.WideProfile()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "wider.yaml"), text, 0o600)
}

// agentMoment is what the agent has taken so far.
type agentMoment struct {
	at      time.Time
	cpu     time.Duration
	written int64
	memory  proc.Memory
	metrics proc.Counters
	link    link.State
}

func lookAtAgent(ctx context.Context, s *line.Site) (m agentMoment, err error) {
	pid := s.Gateway.PID()
	m.at = time.Now()
	var errs [5]error
	m.cpu, errs[0] = proc.CPUOf(pid)
	m.written, errs[1] = proc.WrittenBy(pid)
	m.memory, errs[2] = proc.MemoryOf(pid)
	m.metrics, errs[3] = proc.Scrape(ctx, s.Gateway.URL())
	m.link, errs[4] = s.LinkState(ctx)
	return m, errors.Join(errs[:]...)
}

func (m agentMoment) since(b agentMoment) ([]figure, error) {
	seconds := m.at.Sub(b.at).Seconds()
	grew := func(name string) float64 { return m.metrics[name] - b.metrics[name] }
	readings := grew("atrium_buffer_sampled_readings_total")
	if want := agentSensors * line.WidePoints * seconds; readings < 0.9*want {
		return nil, fmt.Errorf("%.0f readings in %.1f s, want %.0f: the line stands still", readings, seconds, want)
	}
	const day = 24 * 60 * 60
	const mb = 1e6
	return []figure{
		{Name: "RSS", Value: float64(m.memory.RSS) / mb, Unit: "MB", Aim: "<= 45"},
		{Name: "RSS, peak", Value: float64(m.memory.PeakRSS) / mb, Unit: "MB"},
		{Name: "RSS, anonymous", Value: float64(m.memory.Anon) / mb, Unit: "MB"},
		{Name: "CPU", Value: 100 * (m.cpu - b.cpu).Seconds() / seconds, Unit: "% of a core", Aim: "<= 2"},
		{Name: "written to disk", Value: float64(m.written-b.written) / seconds * day / mb, Unit: "MB/day", Aim: "<= 1"},
		{Name: "readings", Value: readings / seconds, Unit: "/s"},
		{Name: "sent, messages", Value: grew("atrium_uplink_sent_bytes_total") / readings, Unit: "B/reading"},
		{Name: "sent, UDP", Value: float64(m.link.Up.Bytes-b.link.Up.Bytes) / readings, Unit: "B/reading"},
	}, nil
}
