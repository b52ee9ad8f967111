package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/tests/e2e/account"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/proc"
)

// shown is how many of the things that are wrong a result names.
const shown = 5

// trial is one run of a scenario.
type trial struct {
	scenario
	options
	dir    string
	rng    *rand.Rand // of one goroutine
	result result

	withheld int  // readings that samplers withheld under pressure, as they count them
	guessed  bool // see account.Evidence

	line     *line.Line
	progress *progress
	ends     []func() error // what must be undone at the end, the last first
}

func newTrial(s scenario, o options, p *progress) (*trial, error) {
	dir, err := os.MkdirTemp("", "atrium-faults-"+s.name+"-")
	if err != nil {
		return nil, err
	}
	return &trial{scenario: s, options: o, dir: dir, rng: dice(o.seed, s.name), progress: p, result: result{Scenario: s.name}}, nil
}

// perform runs the scenario and cleans up. What failed leaves its folder.
func (t *trial) perform(ctx context.Context) error {
	t.say("%s", t.protects)
	err := t.run(ctx, t)
	if t.line != nil {
		if stopped := t.line.Stop(); err == nil {
			err = stopped
		}
	}
	for i := len(t.ends) - 1; i >= 0; i-- {
		if ended := t.ends[i](); err == nil {
			err = ended
		}
	}
	if err != nil || t.keep {
		t.result.Notes = append(t.result.Notes, "logs and data are in "+t.dir)
		return err
	}
	return os.RemoveAll(t.dir)
}

func (t *trial) say(format string, args ...any) { t.progress.say(t.name, format, args...) }

func (t *trial) note(format string, args ...any) {
	t.result.Notes = append(t.result.Notes, fmt.Sprintf(format, args...))
}

// rounds is how many, all or in the short form.
func (t *trial) rounds(all, short int) int {
	t.result.Rounds = all
	if t.short {
		t.result.Rounds = short
	}
	return t.result.Rounds
}

// between draws a time.
func (t *trial) between(least, most time.Duration) time.Duration {
	return least + time.Duration(t.rng.Int64N(int64(most-least)+1))
}

// on does something to gateways that are raised for it, has them drain, and
// judges.
func on(gateways []line.Gateway, do func(ctx context.Context, t *trial) error) func(ctx context.Context, t *trial) error {
	return func(ctx context.Context, t *trial) error {
		if err := t.raise(ctx, gateways...); err != nil {
			return err
		}
		if err := do(ctx, t); err != nil {
			return err
		}
		return t.finish(ctx)
	}
}

// raise raises the line and waits until all gateways are connected: where the
// system's clock is not synchronised they learn the time from the cloud.
func (t *trial) raise(ctx context.Context, gateways ...line.Gateway) (err error) {
	return t.raiseOn(ctx, "", gateways...)
}

// raiseOn is raise with the cloud's data in a folder of its own.
func (t *trial) raiseOn(ctx context.Context, data string, gateways ...line.Gateway) (err error) {
	gateways = slices.Clone(gateways)
	for i := range gateways {
		gateways[i] = hasty(gateways[i])
	}
	t.line, err = line.Start(ctx, line.Config{Bin: t.bin, Dir: t.dir, Data: data, Gateways: gateways})
	if err != nil {
		return err
	}
	for _, s := range t.line.Sites {
		if err := s.Linked(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

// hasty gives a gateway what this command wants of all: counters, dials that do
// not wait for long, and a stop that waits for the acks.
func hasty(g line.Gateway) line.Gateway {
	if g.Counters == 0 {
		g.Counters = 4
	}
	g.Keys += "\nreconnect: 2s\ndrain: 15s"
	return g
}

// finish heals all links, stops the gateways, which drain, and judges.
func (t *trial) finish(ctx context.Context) error {
	t.say("stopping the gateways; they drain what they hold")
	for _, s := range t.line.Sites {
		if err := s.Heal(); err != nil {
			return err
		}
	}
	if err := t.line.StopGateways(); err != nil {
		return err
	}
	return t.judge(ctx)
}

// judge asks the checker.
func (t *trial) judge(ctx context.Context) error {
	e, err := account.Collect(ctx, t.line)
	if err != nil {
		return err
	}
	e.Withheld, e.Guessed = t.withheld, t.guessed
	r := &t.result
	r.Sampled, r.Lost, r.Duplicated = e.Report.Sampled, e.Report.Lost, e.Report.Duplicated
	r.Gaps, r.Uncommitted, r.Remainder = e.Report.Gaps, e.Report.Uncommitted, e.Report.Remainder
	wrong := e.Judge(t.costs)
	if t.withheld > 0 {
		t.note("%d readings were withheld under pressure", t.withheld)
		r.Lost -= min(t.withheld, r.Lost)
	}
	if len(wrong) == 0 {
		return nil
	}
	if more := len(wrong) - shown; more > 0 {
		wrong = append(wrong[:shown], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(wrong, "\n  "))
}

// metric sums up a process's samples of a counter or gauge.
func metric(ctx context.Context, p *process.Process, name string) (float64, error) {
	c, err := proc.Scrape(ctx, p.URL())
	if err != nil {
		return 0, err
	}
	v, err := c.Of(name)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.Name(), err)
	}
	return v, nil
}

// store is where a gateway's buffer is.
func store(s *line.Site) string { return filepath.Join(s.State, "buffer") }
