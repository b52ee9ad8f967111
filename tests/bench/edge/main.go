// Command edge measures the edge's data path on this machine's disk and
// loopback: what a reading costs in the codec, what the agent takes, how long
// commands take while a backlog drains over a slow link, how fast a large
// backlog drains, what a gateway costs its gate, and what other means take for
// the same readings (tests/bench/edgepeers). -only chooses sections; the
// figures come as a table, as Markdown or as JSON, beside what is aimed at.
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
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// options are the command line.
type options struct {
	only  []string
	short bool
	agent time.Duration // how long the agent is watched
	dir   string        // where the buffer and the journal write: the disk that is measured
	bin   string        // folder with the programs, built if empty
}

// programs returns the folder with the programs.
func (o options) programs(ctx context.Context) (string, error) {
	if o.bin != "" {
		return o.bin, nil
	}
	return line.Build(ctx)
}

// section is one part of the measurement.
type section struct {
	name    string
	measure func(ctx context.Context, o options) ([]figure, error)
}

// figure is one measured value and what is aimed at; an aim of "" is none.
type figure struct {
	Section string  `json:"section"`
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Aim     string  `json:"aim,omitempty"`
}

// report is everything that was measured.
type report struct {
	Go         string   `json:"go"`
	OS         string   `json:"os"`
	Arch       string   `json:"arch"`
	Cores      int      `json:"cores"`
	Short      bool     `json:"short"`
	LoadBefore string   `json:"load_before"`
	LoadAfter  string   `json:"load_after"`
	Markdown   bool     `json:"-"`
	Figures    []figure `json:"figures"`
}

func main() {
	sections := []section{
		{"wire", measureWire},
		{"agent", measureAgent},
		{"commands", measureCommands},
		{"drain", measureDrain},
		{"peers", measurePeers},
		{"gate", measureGate}, // last: its clients leave a large heap behind
	}
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	var o options
	only := flag.String("only", strings.Join(names, ","), "what to measure")
	flag.BoolVar(&o.short, "short", false, "less of everything: whether it runs, not how fast")
	flag.DurationVar(&o.agent, "agent", time.Minute, "how long the agent is watched: a page of 4 KiB in a minute is 5.9 MB written a day")
	flag.StringVar(&o.dir, "dir", "", "measure the disk of this folder (default: the temporary folder's)")
	flag.StringVar(&o.bin, "bin", "", "folder with the programs (default: build them)")
	gate := flag.String("gate", "", "be a gate that writes into this folder: how this program starts itself")
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	markdown := flag.Bool("markdown", false, "print the table as docs/BENCHMARKS.md has it")
	flag.Parse()
	o.only = strings.Split(*only, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	do := func() error { return run(ctx, o, sections, *asJSON, *markdown) }
	if *gate != "" {
		do = func() error { return serveGate(ctx, *gate) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "edge:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, sections []section, asJSON, markdown bool) error {
	for _, name := range o.only {
		if !slices.ContainsFunc(sections, func(s section) bool { return s.name == name }) {
			return fmt.Errorf("--only %s: no such section", name)
		}
	}
	var failed error
	r := report{Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Short: o.short, LoadBefore: load(), Markdown: markdown}
	for _, s := range sections {
		if !slices.Contains(o.only, s.name) {
			continue
		}
		figures, err := s.in(ctx, o)
		if err != nil { // the other sections are worth their minutes
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
		}
		for _, f := range figures {
			f.Section = s.name
			r.Figures = append(r.Figures, f)
		}
	}
	r.LoadAfter = load()
	if asJSON {
		return errors.Join(failed, json.NewEncoder(os.Stdout).Encode(r))
	}
	return errors.Join(failed, printTable(os.Stdout, &r))
}

// in measures in a folder of its own, which it removes.
func (s section) in(ctx context.Context, o options) (_ []figure, err error) {
	if o.dir, err = os.MkdirTemp(o.dir, "atrium-bench-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	return s.measure(ctx, o)
}

// load is how busy the machine is with other things, as uptime(1) shows it.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(b))[:3], " ")
}
