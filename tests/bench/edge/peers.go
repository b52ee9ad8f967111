package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// moved is what it took to move the workload by some means: what
// tests/bench/edgepeers prints, and ours.
type moved struct {
	Readings  int64   `json:"readings"`
	Seconds   float64 `json:"seconds"`
	Wire      int64   `json:"wire_bytes"`
	ClientCPU float64 `json:"client_cpu_seconds"`
	ServerCPU float64 `json:"server_cpu_seconds"`
	Skipped   string  `json:"skipped"`
}

// means are the ways to move readings. Those of one kind are compared: a
// message as soon as there is something, or as much as fits.
type means struct {
	name, kind string
	move       func(ctx context.Context, o options, dir string) (moved, error)
}

const live, backlog = "live", "backlog"

// measurePeers moves the gateway's workload by every means, one after the
// other. Ours comes last in each kind, with encryption, which the others are
// spared.
func measurePeers(ctx context.Context, o options) ([]figure, error) {
	peers := filepath.Join(o.dir, "edgepeers")
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(root, "tests", "bench", "edgepeers"), "-o", peers, ".")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the peers: %w\n%s", err, out)
	}
	peer := func(which string) func(context.Context, options, string) (moved, error) {
		return func(ctx context.Context, o options, dir string) (moved, error) {
			return runPeer(ctx, peers, which, o, dir)
		}
	}
	all := []means{
		{"MQTT, JSON a reading", live, peer("mqtt-json")},
		{"Atrium, a frame of 100", live, moveLive},
		{"MQTT, SenML-CBOR + zstd", backlog, peer("mqtt-batch")},
		{"NATS leaf, SenML-CBOR + zstd", backlog, peer("nats-batch")},
		{"Atrium, large frames", backlog, moveBacklog},
	}
	var figures []figure
	took := map[string][]moved{}
	for i, m := range all {
		dir := filepath.Join(o.dir, fmt.Sprintf("peer-%d", i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		r, err := m.move(ctx, o, dir)
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		if r.Skipped != "" {
			figures = append(figures, figure{Name: m.name + ": " + strings.ReplaceAll(r.Skipped, "\n", " ")})
			continue
		}
		took[m.kind] = append(took[m.kind], r)
		figures = append(figures, r.figures(m.name)...)
	}
	for _, kind := range []string{live, backlog} {
		figures = append(figures, compare(kind, took[kind])...)
	}
	return figures, nil
}

func (m moved) bytesEach() float64   { return float64(m.Wire) / float64(m.Readings) }
func (m moved) gatewayEach() float64 { return m.ClientCPU / float64(m.Readings) * 1e9 }
func (m moved) serverEach() float64  { return m.ServerCPU / float64(m.Readings) * 1e9 }
func (m moved) cpuEach() float64     { return m.gatewayEach() + m.serverEach() }
func (m moved) rate() float64        { return float64(m.Readings) / m.Seconds }

func (m moved) figures(name string) []figure {
	return []figure{
		{Name: name + ": on the wire", Value: m.bytesEach(), Unit: "B/reading"},
		{Name: name + ": CPU, gateway", Value: m.gatewayEach(), Unit: "ns/reading"},
		{Name: name + ": CPU, server", Value: m.serverEach(), Unit: "ns/reading"},
		{Name: name + ": to durable", Value: m.rate() / 1e6, Unit: "M readings/s"},
	}
}

// compare sets ours, the last, against the best of the others in each regard.
// Where a ratio misses its aim, we lose.
func compare(kind string, all []moved) []figure {
	if len(all) < 2 {
		return nil
	}
	ours, best := all[len(all)-1], all[0]
	bytes, cpu, server, rate := best.bytesEach(), best.cpuEach(), best.serverEach(), best.rate()
	for _, p := range all[1 : len(all)-1] {
		bytes, cpu = min(bytes, p.bytesEach()), min(cpu, p.cpuEach())
		server, rate = min(server, p.serverEach()), max(rate, p.rate())
	}
	return []figure{
		{Name: kind + ": bytes, Atrium / best peer", Value: ours.bytesEach() / bytes, Unit: "x", Aim: "< 1"},
		{Name: kind + ": CPU of both sides, Atrium / best peer", Value: ours.cpuEach() / cpu, Unit: "x", Aim: "< 1"},
		{Name: kind + ": CPU of the server, Atrium / best peer", Value: ours.serverEach() / server, Unit: "x", Aim: "< 1"},
		{Name: kind + ": readings/s, Atrium / best peer", Value: ours.rate() / rate, Unit: "x", Aim: "> 1"},
	}
}

// peerLength is how long each means is given readings.
func (o options) peerLength() time.Duration {
	if o.short {
		return time.Second
	}
	return 10 * time.Second
}

func runPeer(ctx context.Context, program, which string, o options, dir string) (r moved, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = o.dir // downloaded in each run
	}
	cmd := exec.CommandContext(ctx, program, "-case", which, "-length", o.peerLength().String(), "-dir", dir, "-cache", filepath.Join(cache, "atrium-bench-mosquitto"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(out, &r)
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(out)), err
}
