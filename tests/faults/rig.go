package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/tests/e2e/account"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/proc"
	"github.com/atrium-iot/atrium/tests/trial"
)

// rig is a trial on a real line.
type rig struct {
	*trial.Trial
	costs []string // reasons that the ledger may have

	withheld int  // readings that samplers withheld under pressure, as they count them
	guessed  bool // see account.Evidence

	line *line.Line
}

// on does something to gateways that are raised for it, has them drain, and
// judges.
func on(gateways []line.Gateway, do func(ctx context.Context, t *rig) error) func(ctx context.Context, t *rig) error {
	return func(ctx context.Context, t *rig) error {
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
func (t *rig) raise(ctx context.Context, gateways ...line.Gateway) (err error) {
	return t.raiseOn(ctx, "", gateways...)
}

// raiseOn is raise with the cloud's data in a folder of its own.
func (t *rig) raiseOn(ctx context.Context, data string, gateways ...line.Gateway) (err error) {
	gateways = slices.Clone(gateways)
	for i := range gateways {
		gateways[i] = hasty(gateways[i])
	}
	t.line, err = line.Start(ctx, line.Config{Bin: t.Bin, Dir: t.Dir, Data: data, Gateways: gateways})
	t.AtEnd(t.line.Stop)
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
func (t *rig) finish(ctx context.Context) error {
	t.Say("stopping the gateways; they drain what they hold")
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
func (t *rig) judge(ctx context.Context) error {
	e, err := account.Collect(ctx, t.line)
	if err != nil {
		return err
	}
	e.Withheld, e.Guessed = t.withheld, t.guessed
	t.Take(e)
	wrong := e.Judge(t.costs)
	if t.withheld > 0 {
		t.Note("%d readings were withheld under pressure", t.withheld)
		t.Result.Lost -= min(t.withheld, t.Result.Lost)
	}
	return trial.Wrong(wrong)
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
