package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/tests/e2e/account"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

const (
	// takeOver bounds the wait until every shard of a node that is gone is served
	// elsewhere. The aim is seconds; the machine may be busy.
	takeOver = 60 * time.Second
	// quiet is how long after placement's pause nothing moves in a cluster that is
	// as it should be.
	quiet = 2 * time.Second
	// hold is how long a cluster is left alone after each fault.
	hold = 5 * time.Second
	// shown is how many of the things that are wrong a result names.
	shown = 5
)

// trial is one run of a scenario.
type trial struct {
	scenario
	options
	dir    string
	rng    *rand.Rand
	result result
	tell   func(scenario, format string, args ...any)

	cluster *nodes.Cluster
	line    *line.Line
}

func newTrial(s scenario, o options, say func(scenario, format string, args ...any)) (*trial, error) {
	dir, err := os.MkdirTemp("", "atrium-cluster-"+s.name+"-")
	if err != nil {
		return nil, err
	}
	h := fnv.New64a()
	h.Write([]byte(s.name)) // the same seed draws the same, whatever else runs
	return &trial{
		scenario: s, options: o, dir: dir, rng: rand.New(rand.NewPCG(o.seed, h.Sum64())),
		tell: say, result: result{Scenario: s.name},
	}, nil
}

// perform raises the cluster, runs the scenario, judges and cleans up. What
// failed leaves its folder.
func (t *trial) perform(ctx context.Context) error {
	err := t.raise(ctx)
	if err == nil {
		err = t.run(ctx, t)
	}
	if err == nil {
		err = t.finish(ctx)
	}
	if t.line != nil {
		err = errors.Join(err, t.line.Stop())
	}
	if t.cluster != nil {
		err = errors.Join(err, t.cluster.Stop())
	}
	if err != nil || t.keep {
		t.note("logs and data are in %s: a log NODE.log and a folder NODE a node, what boards delivered in SITE/truth.jsonl", t.dir)
		return err
	}
	return os.RemoveAll(t.dir)
}

func (t *trial) say(format string, args ...any) { t.tell(t.name, format, args...) }

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

// upTo draws a time.
func (t *trial) upTo(most time.Duration) time.Duration {
	return time.Duration(t.rng.Int64N(int64(most)))
}

// raise raises the nodes and three sites that send to them.
func (t *trial) raise(ctx context.Context) (err error) {
	if t.cluster, err = nodes.New(ctx, t.bin, t.dir); err != nil {
		return err
	}
	for i := range nodes.Cores + t.workers {
		if _, err := t.cluster.Add(i >= nodes.Cores); err != nil {
			return err
		}
	}
	if err := nodes.Start(ctx, t.cluster.All...); err != nil {
		return err
	}
	if _, err := t.healthy(ctx); err != nil {
		return err
	}
	cfg := line.Config{Bin: t.bin, Dir: t.dir, Cloud: t.cluster.Cloud()}
	for _, site := range []string{"hq", "lab", "yard"} {
		cfg.Gateways = append(cfg.Gateways, line.Gateway{Site: site, Mode: "always", Counters: 2, Keys: "reconnect: 2s\ndrain: 15s"})
	}
	if t.line, err = line.Start(ctx, cfg); err != nil {
		return err
	}
	for _, s := range t.line.Sites {
		if err := s.Linked(ctx, true); err != nil {
			return err
		}
	}
	return t.acked(ctx)
}

// acked waits until the cloud has taken what all gateways hold now.
func (t *trial) acked(ctx context.Context) error {
	for _, s := range t.line.Sites {
		if err := s.Acked(ctx); err != nil {
			return err
		}
	}
	return nil
}

// healthy waits until every node is ready and each shard with one of them.
func (t *trial) healthy(ctx context.Context) (of map[int]nodes.Owner, err error) {
	err = line.Within(ctx, takeOver, "the cluster is healthy", func() (bool, error) {
		if err := t.cluster.Ready(ctx); err != nil {
			return false, err
		}
		of, err = t.cluster.Owners(ctx)
		return err == nil, err
	})
	return of, err
}

// settled waits until no shard has moved for so long that no plan is under way:
// placement waits for a while after a node came, and then moves two at a time.
func (t *trial) settled(ctx context.Context) (of map[int]nodes.Owner, err error) {
	var since time.Time
	err = line.Within(ctx, line.Patience, "no shard moves", func() (bool, error) {
		now, err := t.healthy(ctx)
		if err != nil {
			return false, err
		}
		if !maps.Equal(of, now) {
			of, since = now, time.Now()
		}
		return time.Since(since) > placement.StableFor+quiet, nil
	})
	return of, err
}

// finish stops the gateways, which drain, and judges.
func (t *trial) finish(ctx context.Context) error {
	t.say("stopping the gateways; they drain what they hold")
	if err := t.line.StopGateways(); err != nil {
		return err
	}
	if _, err := t.healthy(ctx); err != nil {
		return err
	}
	e, err := account.Collect(ctx, t.line)
	if err != nil {
		return err
	}
	r := &t.result
	r.Sampled, r.Lost, r.Duplicated, r.Gaps = e.Report.Sampled, e.Report.Lost, e.Report.Duplicated, e.Report.Gaps
	wrong := e.Judge(nil) // a fault of the cloud costs nothing
	var broken []string
	if r.Claims, broken, err = readLogs(ctx, t.cluster); err != nil {
		return err
	}
	wrong = append(wrong, broken...)
	if len(wrong) == 0 {
		return nil
	}
	if more := len(wrong) - shown; more > 0 {
		wrong = append(wrong[:shown], fmt.Sprintf("and %d more", more))
	}
	return errors.New(strings.Join(wrong, "\n  "))
}
