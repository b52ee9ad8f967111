// Command demo measures the first two minutes: from `make demo` to the first
// live value, the memory of everything that the demonstration runs, and how a
// backlog drains while live values keep coming. It prints a table, or JSON with
// --json, and judges nothing. docs/BENCHMARKS.md says what was seen.
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
	"strings"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// options are the command line.
type options struct {
	cut  time.Duration
	age  time.Duration // of the demonstration when its memory is read
	dir  string        // where the processes write
	root string        // of the repository
	bin  string
}

// report is what was measured.
type report struct {
	Start   *start   `json:"start,omitempty"`
	Backlog *backlog `json:"backlog,omitempty"`
}

func main() {
	var o options
	flag.DurationVar(&o.cut, "cut", 10*time.Minute, "how long the link is cut before the backlog drains; 0 leaves that part out")
	flag.DurationVar(&o.age, "age", time.Minute, "how old the demonstration is when its memory is read: snapshots and compactions have begun after a minute")
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, asJSON bool) (err error) {
	if o.dir, err = os.MkdirTemp("", "atrium-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	if o.bin, err = line.Build(ctx); err != nil {
		return err
	}
	o.root = filepath.Dir(filepath.Dir(o.bin))
	// `make demo` on a built tree is what is measured: build it first.
	if out, err := exec.CommandContext(ctx, filepath.Join(o.root, "scripts", "demo"), "--help").CombinedOutput(); err != nil {
		return fmt.Errorf("scripts/demo: %w\n%s", err, out)
	}
	var r report
	if r.Start, err = measureStart(ctx, o); err != nil {
		return err
	}
	if o.cut > 0 {
		if r.Backlog, err = measureBacklog(ctx, o); err != nil {
			return err
		}
	}
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Print(r)
	return nil
}

func (r report) String() string {
	var b strings.Builder
	if s := r.Start; s != nil {
		fmt.Fprintf(&b, "from make demo to the first live value  %.2f s\n", s.FirstValue.Seconds())
		fmt.Fprintf(&b, "memory of all processes after %-10v %.0f MB (proportional set size)\n", s.Age, float64(s.Memory)/1e6)
		for _, p := range s.Processes {
			fmt.Fprintf(&b, "  %-14s %6.1f MB\n", p.Name, float64(p.Memory)/1e6)
		}
	}
	if l := r.Backlog; l != nil {
		fmt.Fprintf(&b, "link cut for %v at %.0f readings/s: a backlog of %d readings\n", l.Cut, l.Rate, l.Readings)
		fmt.Fprintf(&b, "  reconnected after the link healed     %.2f s\n", l.Reconnect.Seconds())
		fmt.Fprintf(&b, "  drained, from the reconnection        %.2f s\n", l.Drain.Seconds())
		fmt.Fprintf(&b, "  oldest newest value meanwhile         %.2f s\n", l.Age.Seconds())
	}
	return b.String()
}
