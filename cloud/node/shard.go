package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/cluster/seat"
	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
)

// ownersBucket holds the documents shard.<s>.
const ownersBucket = "owners"

// openShards opens every shard's log and objects, as any node appends what its
// gateways send, and makes the gate. Seats are taken later.
func (n *node) openShards(ctx context.Context) (err error) {
	if n.documents, err = journal.OpenKV(ctx, n.server, ownersBucket); err != nil {
		return err
	}
	shards := n.catalog.Cluster().Shards
	n.logs, n.objects = make([]*journal.Log, shards), make([]*journal.Objects, shards)
	if n.cfg.Cluster != nil {
		n.parts = make([]*journal.Objects, shards)
	}
	g, opening := errgroup.WithContext(ctx)
	g.SetLimit(openAtOnce)
	for i := range shards {
		g.Go(func() error { return n.openShard(opening, i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	publishers := make([]journal.Publisher, shards)
	for i, l := range n.logs {
		publishers[i] = l
	}
	if n.owners, err = cluster.WatchOwners(ctx, n.documents, shards, n.log.With("part", "cluster"), n.reg); err != nil {
		return err
	}
	n.coalescer = journal.NewCoalescer(publishers, journal.CoalescerConfig{}, n.log.With("part", "coalescer"), n.reg)
	n.gate = gate.New(gate.Config{
		Cluster: n.ca.Cluster(), Node: n.cfg.Name, TLS: n.tls, Identify: n.ca.GatewayOf, Nodes: n.gates, Owner: n.gateOf,
		Route: n.route, Passed: n.passed,
	}, n.catalog, n.coalescer, n.log.With("part", "gate"), n.reg)
	return nil
}

// openAtOnce is how many shards are opened side by side: in a cluster each of
// their streams elects a leader at first, which is waiting and not work.
const openAtOnce = 8

func (n *node) openShard(ctx context.Context, i int) (err error) {
	shards := len(n.logs)
	n.logs[i], err = journal.OpenLog(ctx, n.server, i, journal.LogConfig{MaxBytes: n.server.LogBytes(shards)}, n.log.With("part", "journal", "shard", i), n.reg)
	if err != nil {
		return err
	}
	if n.objects[i], err = journal.OpenObjects(ctx, n.server, i, n.server.ObjectBytes(shards)); err != nil {
		return err
	}
	if n.parts != nil {
		n.parts[i], err = journal.OpenHistory(ctx, n.server, i, n.server.HistoryBytes(shards))
	}
	return err
}

// newSeats makes the seats, which Run takes.
func (n *node) newSeats() *seat.Seats {
	cfg := seat.Config{Node: n.cfg.Name, Shards: len(n.logs)}
	if n.cfg.Cluster != nil {
		cfg.Settle = settle
	}
	return seat.New(cfg, seat.Parts{
		Owners: n.owners, Peers: peers{n}, Zones: n.zones, Claim: n.claim, Open: n.work,
	}, n.log.With("part", "seat"), n.reg)
}

func (n *node) claim(ctx context.Context, shard int) (*cluster.Ownership, error) {
	return cluster.Claim(ctx, cluster.Config{Node: n.cfg.Name, Shard: shard, Incarnation: n.catalog.Cluster().Incarnation}, n.documents, n.logs[shard], n.log.With("part", "cluster"), n.reg)
}

func (n *node) work(shard int, claim *cluster.Ownership) (*site.Shard, error) {
	parts := site.Parts{
		Journal: n.logs[shard], Owner: claim, Objects: n.objects[shard], History: n.history,
		Documents: documents{n.catalog}, Moves: moves{n}, Sender: sender{n}, Actors: n.actors,
	}
	if n.parts != nil {
		parts.Parts = n.parts[shard]
		parts.PartsOf = func(shard int) site.Objects { return n.parts[shard] }
	}
	return site.New(site.Config{Shard: shard, Node: n.cfg.Name}, parts, n.log.With("part", "site"), n.reg)
}

// zones counts where the sites of a shard are at home.
func (n *node) zones(shard int) (all []placement.ZoneLoad) {
	for zone, sites := range n.catalog.Homes(shard) {
		all = append(all, placement.ZoneLoad{Zone: zone, Rate: float64(sites)})
	}
	return all
}

// fencedAgain is how often a log that could not be read is looked at again.
const fencedAgain = time.Second

// fenced returns once every log has a barrier: before, nothing may be appended,
// as a log's first message is one.
func (n *node) fenced(ctx context.Context) error {
	for i, l := range n.logs {
		for {
			changed := n.owners.Changed()
			_, _, err := l.LastBarrier(ctx)
			if err == nil {
				break
			}
			if !errors.Is(err, journal.ErrNoBarrier) && !errors.Is(err, journal.ErrUnavailable) {
				return fmt.Errorf("shard %d: %w", i, err)
			}
			select {
			case <-changed:
			case <-time.After(fencedAgain):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// documents is the catalog as the shards' owners see it.
type documents struct{ *catalog.Catalog }

// Sites returns the sites that are assigned to a shard.
func (d documents) Sites(shard int) (names []id.Site) {
	for _, a := range d.Catalog.Sites() {
		if a.Shard == shard {
			names = append(names, a.Site)
		}
	}
	return names
}
