package node

import (
	"context"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/site"
)

// ownersBucket holds the documents shard.<s>.
const ownersBucket = "owners"

// shard is a shard that this node owns.
type shard struct {
	log   *journal.Log
	claim *cluster.Ownership
	owner *site.Shard
}

// claim opens a shard's log, makes this node its owner and hands the claim to
// the owner's work, which has still to run.
func (n *node) claim(ctx context.Context, owners *journal.KV, i int) (*shard, error) {
	shards := n.catalog.Cluster().Shards
	js := n.server.JetStream()
	l, err := journal.OpenLog(ctx, js, i, journal.LogConfig{MaxBytes: n.server.LogBytes(shards)}, n.log.With("part", "journal", "shard", i), n.reg)
	if err != nil {
		return nil, err
	}
	objects, err := journal.OpenObjects(ctx, js, i, n.server.ObjectBytes(shards), 1)
	if err != nil {
		return nil, err
	}
	claim, err := cluster.Claim(ctx, cluster.Config{Node: n.cfg.Name, Shard: i, Incarnation: n.catalog.Cluster().Incarnation}, owners, l, n.log.With("part", "cluster"), n.reg)
	if err != nil {
		return nil, err
	}
	owner, err := site.New(site.Config{Shard: i, Node: n.cfg.Name}, l, claim, objects, n.history, n.actors, n.log.With("part", "site"), n.reg)
	if err != nil {
		return nil, err
	}
	return &shard{log: l, claim: claim, owner: owner}, nil
}
