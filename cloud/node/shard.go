package node

import (
	"context"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
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
	l, err := journal.OpenLog(ctx, n.server, i, journal.LogConfig{MaxBytes: n.server.LogBytes(shards)}, n.log.With("part", "journal", "shard", i), n.reg)
	if err != nil {
		return nil, err
	}
	objects, err := journal.OpenObjects(ctx, n.server, i, n.server.ObjectBytes(shards))
	if err != nil {
		return nil, err
	}
	claim, err := cluster.Claim(ctx, cluster.Config{Node: n.cfg.Name, Shard: i, Incarnation: n.catalog.Cluster().Incarnation}, owners, l, n.log.With("part", "cluster"), n.reg)
	if err != nil {
		return nil, err
	}
	owner, err := site.New(site.Config{Shard: i, Node: n.cfg.Name}, site.Parts{
		Journal: l, Owner: claim, Objects: objects, History: n.history,
		Documents: documents{n.catalog}, Sender: sender{n}, Actors: n.actors,
	}, n.log.With("part", "site"), n.reg)
	if err != nil {
		return nil, err
	}
	return &shard{log: l, claim: claim, owner: owner}, nil
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

// sender hands the owners' commands to the gate, which is made after them and
// before they run.
type sender struct{ n *node }

func (s sender) Command(gw id.Gateway, c wire.Command) error { return s.n.gate.Command(gw, c) }
