// Command line measures the whole line on real processes and this machine's
// disk: what a reading costs on the wire, how long it takes to its twin, what
// memory a gateway with 20 devices needs, how many readings a second become
// durable and applied, and how large the gateway's program is. It prints
// tables, or JSON with --json. docs/BENCHMARKS.md says how each figure is
// taken and what was seen.
//
// It judges nothing: machines are noisy, so no figure makes it fail.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	seconds int
	runs    int
	only    []string
	dir     string // where the processes write: the disk that is measured
	bin     string // folder with the programs, built if empty
}

// report is everything that was measured; a part that was left out is absent.
type report struct {
	Go         string       `json:"go"`
	OS         string       `json:"os"`
	Arch       string       `json:"arch"`
	Cores      int          `json:"cores"`
	LoadBefore string       `json:"load_before"`
	LoadAfter  string       `json:"load_after"`
	Live       []live       `json:"live,omitempty"`
	Throughput []throughput `json:"throughput,omitempty"`
	Sizes      []size       `json:"sizes,omitempty"`
}

var parts = []string{"live", "throughput", "size"}

func main() {
	var o options
	seconds := flag.Int("seconds", 30, "how long each running line is measured")
	flag.IntVar(&o.runs, "runs", 1, "how often all of it is measured, in turn; tables show medians")
	asJSON := flag.Bool("json", false, "print JSON instead of tables")
	only := flag.String("only", strings.Join(parts, ","), "what to measure")
	flag.StringVar(&o.dir, "dir", "", "measure the disk of this folder (default: the temporary folder's)")
	flag.StringVar(&o.bin, "bin", "", "folder with the programs (default: build them)")
	flag.Parse()
	o.seconds, o.only = *seconds, strings.Split(*only, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "line:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, asJSON bool) (err error) {
	for _, part := range o.only {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("--only %s: want some of %s", part, strings.Join(parts, ","))
		}
	}
	if o.seconds < 1 || o.runs < 1 {
		return fmt.Errorf("--seconds %d --runs %d: want at least 1", o.seconds, o.runs)
	}
	if o.dir, err = os.MkdirTemp(o.dir, "atrium-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	r, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if !asJSON {
		return printTables(r)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(r)
}

func measure(ctx context.Context, o options) (*report, error) {
	r := &report{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), LoadBefore: loadAverage()}
	want := func(part string) bool { return slices.Contains(o.only, part) }
	if o.bin == "" && (want("live") || want("throughput")) {
		o.bin = filepath.Join(o.dir, "bin")
		if err := build(ctx, o.bin); err != nil {
			return nil, err
		}
	}
	for range o.runs {
		if want("live") {
			if err := r.addLive(ctx, o); err != nil {
				return nil, err
			}
		}
		if want("throughput") {
			if err := r.addThroughput(ctx, o); err != nil {
				return nil, err
			}
		}
	}
	if want("size") {
		var err error
		if r.Sizes, err = measureSizes(ctx, o); err != nil {
			return nil, fmt.Errorf("size: %w", err)
		}
	}
	r.LoadAfter = loadAverage()
	return r, nil
}

func (r *report) addLive(ctx context.Context, o options) error {
	for _, mode := range liveModes {
		l, err := measureLive(ctx, o, mode, time.Duration(o.seconds)*time.Second)
		if err != nil {
			return fmt.Errorf("live %s: %w", mode, err)
		}
		r.Live = append(r.Live, l)
	}
	return nil
}

func (r *report) addThroughput(ctx context.Context, o options) error {
	for _, c := range loadCases {
		t, err := measureThroughput(ctx, o, c, time.Duration(o.seconds)*time.Second)
		if err != nil {
			return fmt.Errorf("throughput %s: %w", c.name, err)
		}
		r.Throughput = append(r.Throughput, t)
	}
	return nil
}

// programs are what a running line needs.
var programs = []string{"./edge/cmd/atrium-edge", "./simulator/cmd/atrium-sim", "./cloud/cmd/atrium-cloud", "./cloud/cmd/atrium"}

func build(ctx context.Context, folder string) error {
	return goTool(ctx, nil, append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", folder + "/"}, programs...)...)
}

func goTool(ctx context.Context, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// loadAverage is what else ran: the first three numbers of proc(5) loadavg.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}
