package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/tests/bench/actors/load"
)

// report is everything that was measured.
type report struct {
	Go         string `json:"go"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Cores      int    `json:"cores"`
	Scale      string `json:"scale"`
	LoadBefore string `json:"load_before"`
	LoadAfter  string `json:"load_after"`
	// Figures of each run by program, "runtime/workload". A runtime that does
	// not offer what a workload needs has none.
	Figures map[string][]load.Figures `json:"figures"`
}

// protoModule is where proto.actor's adapter is, from the repository's root.
const protoModule = "tests/bench/protoactor"

// measure runs the plan. A run goes through all of it, so that what slows the
// machine down for a while does so for every runtime.
func measure(ctx context.Context, o options) (r *report, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "atrium-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	proto := filepath.Join(dir, "protoactor")
	if o.proto {
		if err := buildProto(ctx, proto); err != nil {
			return nil, err
		}
	}
	r = &report{
		Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(),
		Scale: "full", LoadBefore: loadAverage(), Figures: map[string][]load.Figures{},
	}
	if o.short {
		r.Scale = "short"
	}
	for i := range o.runs {
		for _, program := range plan(o) {
			args := []string{self, childCommand}
			if strings.HasPrefix(program, "proto") {
				args = []string{proto}
			}
			args = append(args, "-program", program, "-scale", r.Scale)
			if o.profile != "" && strings.HasPrefix(program, "atrium") {
				args = append(args, "-cpuprofile", filepath.Join(o.profile, fmt.Sprintf("%s.%d.prof", strings.ReplaceAll(program, "/", "."), i)))
			}
			fig, err := child(ctx, args)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", program, err)
			}
			if fig != nil {
				r.Figures[program] = append(r.Figures[program], fig)
			}
		}
	}
	r.LoadAfter = loadAverage()
	return r, nil
}

// buildProto builds in the module's own folder, with its own go.sum.
func buildProto(ctx context.Context, to string) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("where the repository is: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, ".")
	cmd.Dir = filepath.Join(strings.TrimSpace(string(root)), protoModule)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s (-proto=false leaves it out): %w\n%s", protoModule, err, out)
	}
	return nil
}

// child runs one program as a process. Its figures are nil when its runtime
// does not offer what the workload needs.
func child(ctx context.Context, args []string) (load.Figures, error) {
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == load.ExitUnserved:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w\n%s", err, problems.Bytes())
	}
	var fig load.Figures
	if err := json.Unmarshal(out.Bytes(), &fig); err != nil {
		return nil, fmt.Errorf("figures: %w", err)
	}
	return fig, nil
}

// median of a figure over the runs of a program, NaN if it has none.
func (r *report) median(program string, f load.Figure) float64 {
	var values []float64
	for _, fig := range r.Figures[program] {
		if v, ok := fig[f]; ok {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	switch n := len(values); {
	case n == 0:
		return math.NaN()
	case n%2 == 1:
		return values[n/2]
	default:
		return (values[n/2-1] + values[n/2]) / 2
	}
}

// compare fills in a row.
func (r *report) compare(one row) compared {
	in := func(program string) float64 { return r.median(program, one.figure) / one.per }
	c := compared{
		row: one, ours: in(one.program()), limit: in(one.limitProgram()), typed: math.NaN(), proto: math.NaN(),
		beside: map[string]float64{},
	}
	c.cpu = [2]float64{math.NaN(), math.NaN()}
	if one.figure == load.PerSecond {
		c.cpu = [2]float64{r.median(one.program(), load.CPUNanos), r.median(one.limitProgram(), load.CPUNanos)}
	}
	if one.typed {
		c.typed = in(one.typedProgram())
	}
	for _, name := range protos {
		if v := in(one.of(name)); math.IsNaN(c.proto) || one.better(v, c.proto) {
			c.proto = v
		}
	}
	for _, name := range others {
		c.beside[name] = in(one.of(name))
	}
	return c
}

// loadAverage is what else ran: the first three numbers of proc(5) loadavg.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}
