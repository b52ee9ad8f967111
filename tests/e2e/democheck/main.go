// Command democheck raises one cloud node, two boards and two gateways in two
// sites as real processes, cuts and heals a link, kills and restarts both
// gateways and the cloud node, waits for the drain and verifies: every number
// that a simulated counter handed out is in the cloud's history once, in a gap
// with a reason, or uncommitted at a crash. Its exit status tells.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

func main() {
	bin := flag.String("bin", "bin/host", "folder with the programs")
	edge := flag.String("edge", "", "command that runs the gateways' agent instead of the folder's, such as \"qemu-arm-static bin/linux-armv6/atrium-edge\"")
	keep := flag.Bool("keep", false, "keep the working folder, its logs and data")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, line.Config{Bin: *bin, Edge: strings.Fields(*edge)}, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo-check:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, cfg line.Config, keep bool) (err error) {
	dir, err := os.MkdirTemp("", "atrium-demo-")
	if err != nil {
		return err
	}
	begin := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("%5.1fs  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
	say("raising one cloud node, two boards, two links, two gateways in %s", dir)
	cfg.Dir = dir
	cfg.Gateways = []line.Gateway{
		{Site: "hq", Mode: "always", Counters: 4, Sensors: 8},
		{Site: "lab", Mode: "spill", Counters: 4, Sensors: 8},
	}
	l, err := line.Start(ctx, cfg)
	defer func() {
		err = errors.Join(err, l.Stop())
		if err != nil || keep {
			say("logs and data are kept in %s", dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	if err != nil {
		return err
	}
	if err := disturb(ctx, l, say); err != nil {
		return err
	}
	say("stopping the gateways; they drain what they hold")
	if err := l.StopGateways(); err != nil {
		return err
	}
	return verify(ctx, l, say)
}

// verify compares and prints. Nothing here fills a buffer, so that a gap is a
// fault even if it is declared.
func verify(ctx context.Context, l *line.Line, say func(string, ...any)) error {
	report, text, err := l.Verify(ctx, "15s")
	say("%s", strings.TrimSpace(text))
	switch {
	case err != nil:
		return err
	case report.Gaps != 0:
		return fmt.Errorf("verify: %d readings are in gaps, and no buffer was full", report.Gaps)
	case report.Sampled == 0:
		return errors.New("verify: nothing was sampled")
	}
	return nil
}

// step is one thing done to the line, after seconds of undisturbed running.
type step struct {
	after time.Duration
	what  string
	do    func() error
}

// disturb does to a running line what happens to one in the field.
func disturb(ctx context.Context, l *line.Line, say func(string, ...any)) error {
	hq, lab := l.Sites[0], l.Sites[1]
	restart := func(p *process.Process) func() error {
		return func() error {
			if err := p.Kill(); err != nil {
				return err
			}
			return p.Start(ctx)
		}
	}
	for _, s := range []step{
		{3 * time.Second, "cutting the link of hq for 10 s", hq.Cut},
		{3 * time.Second, "kill -9 and restart of the gateway of lab (spill)", restart(lab.Gateway)},
		{3 * time.Second, "kill -9 and restart of the gateway of hq (always), its link still cut", restart(hq.Gateway)},
		{4 * time.Second, "healing the link of hq", hq.Heal},
		{3 * time.Second, "kill -9 and restart of the cloud node", restart(l.Cloud)},
		{4 * time.Second, "kill -9 and restart of the gateway of hq (always), online", restart(hq.Gateway)},
		{4 * time.Second, "done with breaking", func() error { return nil }},
	} {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(s.after):
		}
		say("%s", s.what)
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}
