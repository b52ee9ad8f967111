package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
	"github.com/atrium-iot/atrium/tests/proc"
)

const (
	// fleetSites, of a gateway each, with fleetDevices devices that are read
	// fleetRate times a second: what two cores carry beside six nodes.
	fleetSites   = 16
	fleetDevices = 20
	fleetRate    = 2
	// settles is how long gateways take to find the nodes that have their sites.
	settles = 20 * time.Second
)

// work is what readings cost a number of nodes together.
type work struct {
	Nodes     int     `json:"nodes"`
	Rate      float64 `json:"readings_per_second"`
	CPU       float64 `json:"cpu_us"`           // of all nodes, a reading
	AtRest    float64 `json:"cpu_us_at_rest"`   // of that, what they take without a gateway
	Elsewhere float64 `json:"frames_elsewhere"` // of all frames, those that entered at a node that does not apply them, at least
	Requests  float64 `json:"requests_between"` // of one node to another, a reading
}

// place is nodes that gateways may come to.
type place struct {
	nodes []*process.Process
	gate  string // of one of them; it tells gateways of better ones
	data  string // folder with the authority
	stop  func() error
}

// works measures a node alone, three core nodes, and these with three workers.
func works(ctx context.Context, bin, dir string, steady time.Duration) (all []work, err error) {
	for _, n := range []int{1, nodes.Cores, 2 * nodes.Cores} {
		w, err := workOf(ctx, bin, filepath.Join(dir, fmt.Sprintf("work-%d", n)), n, steady)
		if err != nil {
			return all, fmt.Errorf("work of %d nodes: %w", n, err)
		}
		all = append(all, w)
	}
	return all, nil
}

func workOf(ctx context.Context, bin, dir string, n int, steady time.Duration) (w work, err error) {
	p, err := raisePlace(ctx, bin, dir, n)
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	rest, err := p.during(ctx, steady)
	if err != nil {
		return w, err
	}
	end, err := p.fleet(ctx, bin, dir)
	if err != nil {
		return w, err
	}
	defer func() { err = errors.Join(err, end()) }()
	if err := line.Pause(ctx, settles); err != nil {
		return w, err
	}
	busy, err := p.during(ctx, steady)
	if err != nil {
		return w, err
	}
	return workFrom(n, steady, rest, busy)
}

// raisePlace runs a node alone, or three core nodes and workers.
func raisePlace(ctx context.Context, bin, dir string, n int) (*place, error) {
	if n == 1 {
		l, err := line.Start(ctx, line.Config{Bin: bin, Dir: dir})
		if err != nil {
			return nil, errors.Join(err, l.Stop())
		}
		return &place{[]*process.Process{l.Cloud}, l.Gate, l.Data(), l.Stop}, nil
	}
	c, err := nodes.New(ctx, bin, dir)
	if err != nil {
		return nil, err
	}
	for i := range n {
		if _, err := c.Add(i >= nodes.Cores); err != nil {
			return nil, err
		}
	}
	if err := nodes.Start(ctx, c.All...); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	p := &place{gate: c.All[0].Gate, data: c.All[0].Data, stop: c.Stop}
	for _, one := range c.All {
		p.nodes = append(p.nodes, one.Process)
	}
	return p, nil
}

// fleet runs gateways until end is called.
func (p *place) fleet(ctx context.Context, bin, dir string) (end func() error, err error) {
	ids := filepath.Join(dir, "identities")
	args := []string{"issue", "gateway"}
	for i := range fleetSites {
		args = append(args, fmt.Sprintf("site-%d/gw-1", i+1))
	}
	args = append(args, "--data", p.data, "--out", ids)
	if out, err := exec.CommandContext(ctx, filepath.Join(bin, "atrium-cloud"), args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("identities: %w\n%s", err, out)
	}
	f := process.New(process.Config{Name: "fleet", Log: filepath.Join(dir, "fleet.log"), Args: []string{
		filepath.Join(bin, "atrium-sim"), "fleet", "--cloud", p.gate, "--identities", ids, "--state", filepath.Join(dir, "fleet"),
		"--devices", fmt.Sprint(fleetDevices), "--rate", fmt.Sprint(fleetRate),
	}})
	return f.Stop, f.Start(ctx)
}

// sum is what one node did in a while.
type sum struct {
	cpu                        time.Duration
	readings, frames, requests float64
}

// during returns what each node does in a span of time.
func (p *place) during(ctx context.Context, span time.Duration) ([]sum, error) {
	before, err := p.now(ctx)
	if err != nil {
		return nil, err
	}
	if err := line.Pause(ctx, span); err != nil {
		return nil, err
	}
	after, err := p.now(ctx)
	for i, b := range before {
		if err == nil {
			a := &after[i]
			a.cpu -= b.cpu
			a.readings, a.frames, a.requests = a.readings-b.readings, a.frames-b.frames, a.requests-b.requests
		}
	}
	return after, err
}

func (p *place) now(ctx context.Context) (all []sum, err error) {
	for _, n := range p.nodes {
		cpu, err := proc.CPUOf(n.PID())
		if err != nil {
			return nil, err
		}
		m, err := proc.Scrape(ctx, n.URL())
		if err != nil {
			return nil, err
		}
		all = append(all, sum{
			cpu: cpu, readings: m["atrium_site_readings_total"], frames: m["atrium_gate_frames_total"],
			requests: m["atrium_peer_forwarded_total"] + m["atrium_transport_exchange_seconds_count"],
		})
	}
	return all, nil
}

// workFrom divides by the readings. Of frames it is known how many entered at a
// node, and of readings how many were applied there: with gateways that are all
// alike, where the shares differ frames went from one node to another.
func workFrom(n int, span time.Duration, rest, busy []sum) (work, error) {
	var all, idle sum
	for i := range busy {
		all.cpu += busy[i].cpu
		all.readings += busy[i].readings
		all.frames += busy[i].frames
		all.requests += busy[i].requests
		idle.cpu += rest[i].cpu
	}
	if all.readings == 0 || all.frames == 0 {
		return work{}, errors.New("no reading came")
	}
	apart := 0.0
	for _, s := range busy {
		apart += math.Abs(s.frames/all.frames-s.readings/all.readings) / 2
	}
	return work{
		Nodes: n, Rate: all.readings / span.Seconds(),
		CPU: float64(all.cpu.Microseconds()) / all.readings, AtRest: float64(idle.cpu.Microseconds()) / all.readings,
		Elsewhere: apart, Requests: all.requests / all.readings,
	}, nil
}
