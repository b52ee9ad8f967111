package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/tests/disk"
	"github.com/atrium-iot/atrium/tests/e2e/account"
	"github.com/atrium-iot/atrium/tests/e2e/lan"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
	"github.com/atrium-iot/atrium/tests/trial"
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
)

// rig is a trial on a cluster.
type rig struct {
	*trial.Trial
	scenario scenario

	lan     *lan.LAN // nil: all nodes are on this machine's loopback
	cluster *nodes.Cluster
	line    *line.Line
	people  *people // nil: nobody asks

	former string                // folder with the program of the version before, if the scenario begins with it
	disks  map[string]*disk.Disk // of nodes, if they have their own
	cuts   int                   // of power, so far
}

// perform raises the cluster, runs the scenario and judges.
func (t *rig) perform(ctx context.Context) error {
	if err := t.raise(ctx); err != nil {
		return err
	}
	if err := t.scenario.run(ctx, t); err != nil {
		return err
	}
	return t.finish(ctx)
}

// raise raises the nodes and three sites that send to them.
func (t *rig) raise(ctx context.Context) (err error) {
	if t.scenario.apart {
		if t.lan, err = lan.New(); err != nil {
			return err
		}
		t.AtEnd(t.lan.Close)
	}
	if t.scenario.diskSize > 0 {
		if err := t.mount(); err != nil {
			return err
		}
	}
	bin := t.Bin
	if t.scenario.former {
		if t.former, err = t.build(ctx); err != nil {
			return err
		}
		bin = t.former
	}
	if t.cluster, err = nodes.NewOn(ctx, bin, t.Dir, t.lan); err != nil {
		return err
	}
	t.cluster.Flags = t.scenario.flags
	t.AtEnd(t.cluster.Stop)
	for i := range nodes.Cores + t.scenario.workers {
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
	cfg := line.Config{Bin: t.Bin, Dir: t.Dir, Cloud: t.cluster.Cloud()}
	for _, site := range []string{"hq", "lab", "yard"} {
		cfg.Gateways = append(cfg.Gateways, gateway(site))
	}
	t.line, err = line.Start(ctx, cfg)
	t.AtEnd(t.line.Stop)
	if err != nil {
		return err
	}
	for _, s := range t.line.Sites {
		if err := s.Linked(ctx, true); err != nil {
			return err
		}
	}
	if err := t.acked(ctx); err != nil {
		return err
	}
	if t.scenario.asked {
		t.people = gather(ctx, t.cluster, t.line)
		t.AtEnd(t.people.send)
	}
	return nil
}

// gateway is that of a site.
func gateway(site string) line.Gateway {
	return line.Gateway{Site: site, Mode: "always", Counters: 2, Relays: 1, Keys: "reconnect: 2s\ndrain: 15s"}
}

// acked waits until the cloud has taken what all gateways hold now.
func (t *rig) acked(ctx context.Context) error {
	for _, s := range t.line.Sites {
		if err := s.Acked(ctx); err != nil {
			return err
		}
	}
	return nil
}

// healthy waits until every node is ready and each shard with one of them.
func (t *rig) healthy(ctx context.Context) (of map[int]nodes.Owner, err error) {
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
func (t *rig) settled(ctx context.Context) (of map[int]nodes.Owner, err error) {
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

// finish has people leave and the gateways drain, and judges.
func (t *rig) finish(ctx context.Context) error {
	odd, err := t.told(ctx)
	if err != nil {
		return err
	}
	t.Say("stopping the gateways; they drain what they hold")
	if err := t.line.StopGateways(); err != nil {
		return err
	}
	// A shard that is on its way has no answers for some 50 ms.
	if _, err := t.settled(ctx); err != nil {
		return err
	}
	e, err := account.Collect(ctx, t.line)
	if err != nil {
		return err
	}
	t.Take(e)
	wrong := e.Judge(t.scenario.costs)
	if t.scenario.loses && t.Result.Remainder == 0 {
		wrong = append(wrong, "nothing is gone: the scenario shows nothing")
	}
	seen, broken, err := readLogs(ctx, t.cluster)
	if err != nil {
		return err
	}
	t.Result.Counts[claims] = seen
	return trial.Wrong(slices.Concat(odd, wrong, broken))
}

// told has people leave, and says what is wrong with what they were told.
func (t *rig) told(ctx context.Context) (wrong []string, err error) {
	if t.people == nil {
		return nil, nil
	}
	if err := t.people.send(); err != nil {
		return nil, err
	}
	counts, wrong, err := t.people.books.judge(ctx, t.line.Sites, t.line.API(), t.scenario.lag)
	for name, n := range counts {
		t.Result.Counts[name] += n
	}
	return wrong, err
}
