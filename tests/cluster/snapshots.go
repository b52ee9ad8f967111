package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
	"github.com/atrium-iot/atrium/tests/proc"
)

// aPurge is more than two snapshots take, every half minute: the first that a
// purge follows.
const aPurge = 2 * time.Minute

// snapshots take away or damage what a shard's next owner begins with.
var snapshots = []scenario{
	{
		name:     "snapshot-damaged",
		protects: "a damaged snapshot is refused, and the one before it and the log give the same state",
		workers:  1,
		long:     true,
		run:      snapshotDamaged,
	},
	{
		name:     "snapshots-gone",
		protects: "without any snapshot a shard is what its log says",
		workers:  1,
		long:     true,
		run:      snapshotsGone,
	},
}

// snapshotDamaged damages the newest manifest, and the newest snapshot of a site,
// in turn.
func snapshotDamaged(ctx context.Context, t *rig) error {
	kinds := []string{"site.", "manifest."}
	for i := range t.Rounds(10, 2) {
		before, err := t.refused(ctx)
		if err != nil {
			return err
		}
		shard, err := t.purged(ctx)
		if err != nil {
			return err
		}
		err = t.without(ctx, shard, func(o *journal.Objects, names []string) error {
			name := newest(names, kinds[i%len(kinds)])
			data, err := o.Get(ctx, name)
			if err != nil {
				return err
			}
			data[t.Rand.IntN(len(data))] ^= byte(1 + t.Rand.IntN(255))
			t.Say("round %d: a byte of %s is another", i+1, name)
			return o.Put(ctx, name, data)
		})
		if err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
		// The node that was killed began anew, at 0: it is not the one that has the
		// shard now.
		after, err := t.refused(ctx)
		if err != nil {
			return err
		}
		if after <= before {
			return fmt.Errorf("round %d: nobody refused the damaged snapshot", i+1)
		}
	}
	return nil
}

// refused is how many snapshots the nodes refused since they were started.
func (t *rig) refused(ctx context.Context) (n float64, err error) {
	for _, node := range t.cluster.Running() {
		c, err := proc.Scrape(ctx, node.URL())
		if err != nil {
			return 0, err
		}
		n += c["atrium_site_bad_snapshots_total"] // a node that has had no shard has no such
	}
	return n, nil
}

// newest is the object of a kind with the highest sequence, the end of its name.
func newest(names []string, kind string) (name string) {
	var highest uint64
	for _, n := range names {
		seq, err := strconv.ParseUint(n[strings.LastIndexByte(n, '.')+1:], 10, 64)
		if err == nil && seq > highest && strings.HasPrefix(n, kind) {
			name, highest = n, seq
		}
	}
	return name
}

// snapshotsGone removes all snapshots of a shard that has some and whose log was not
// purged yet: that of a site which has just come.
func snapshotsGone(ctx context.Context, t *rig) error {
	for i := range t.Rounds(5, 1) {
		s, err := t.line.Raise(ctx, gateway(fmt.Sprintf("new-%d", i+1)))
		if err != nil {
			return err
		}
		// Its shard is one that had no site, so that the second snapshot, which the
		// first purge follows, is half a minute behind the first.
		if err := errors.Join(s.Delivered(ctx, 20), s.Linked(ctx, true), s.Acked(ctx)); err != nil {
			return err
		}
		shard, err := t.shardOf(ctx, s.Name)
		if err != nil {
			return err
		}
		err = t.without(ctx, shard, func(o *journal.Objects, names []string) (errs error) {
			owner, err := t.owner(ctx, shard)
			if err != nil {
				return err
			}
			if now, err := reported(ctx, owner, shard); err != nil || now.First > 1 {
				return errors.Join(err, fmt.Errorf("the log of shard %d begins at %d", shard, now.First))
			}
			t.Say("round %d: %d objects are removed", i+1, len(names))
			for _, name := range names {
				errs = errors.Join(errs, o.Delete(ctx, name))
			}
			return errs
		})
		if err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return nil
}

// without does something to a shard's snapshots, kills the owner, and starts it again
// when others have served. A snapshot was just made, so that the owner makes no
// other in between.
func (t *rig) without(ctx context.Context, shard int, do func(o *journal.Objects, names []string) error) error {
	s, err := t.cluster.Join(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	o, err := journal.OpenObjects(ctx, s, shard, 0)
	if err != nil {
		return err
	}
	owner, err := t.owner(ctx, shard)
	if err != nil {
		return err
	}
	if err := snapped(ctx, owner, shard); err != nil {
		return err
	}
	all, err := o.List(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, one := range all {
		names = append(names, one.Name)
	}
	if err := errors.Join(do(o, names), owner.PowerOff()); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := t.healthy(ctx); err != nil {
		return err
	}
	t.Say("%s with shard %d was killed; without it all were served after %v", owner.Name, shard, time.Since(begin).Round(10*time.Millisecond))
	return t.restore(ctx, owner)
}

// shardOf is the shard of a site.
func (t *rig) shardOf(ctx context.Context, site string) (int, error) {
	sites, err := t.cluster.All[0].API.Sites(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range sites {
		if s.Site == site {
			return s.Shard, nil
		}
	}
	return 0, fmt.Errorf("nobody knows site %s", site)
}

// owner is the node that has a shard.
func (t *rig) owner(ctx context.Context, shard int) (*nodes.Node, error) {
	of, err := t.healthy(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range t.cluster.All {
		if n.Name == of[shard].Node {
			return n, nil
		}
	}
	return nil, fmt.Errorf("shard %d is with %s, which is none of the nodes", shard, of[shard].Node)
}

// purged waits until the log of a site's shard was purged, so that its beginning is
// in snapshots alone.
func (t *rig) purged(ctx context.Context) (shard int, err error) {
	if _, err := t.settled(ctx); err != nil {
		return 0, err
	}
	if shard, err = t.shardOf(ctx, t.line.Sites[t.Rand.IntN(len(t.line.Sites))].Name); err != nil {
		return 0, err
	}
	return shard, line.Within(ctx, aPurge, fmt.Sprintf("shard %d has purged its log", shard), func() (bool, error) {
		owner, err := t.owner(ctx, shard)
		if err != nil {
			return false, err
		}
		s, err := reported(ctx, owner, shard)
		return s.First > 1, err
	})
}

// snapped waits until an owner has made the next snapshot of a shard.
func snapped(ctx context.Context, owner *nodes.Node, shard int) error {
	before, err := reported(ctx, owner, shard)
	if err != nil {
		return err
	}
	return line.Within(ctx, aPurge, fmt.Sprintf("shard %d makes a snapshot", shard), func() (bool, error) {
		s, err := reported(ctx, owner, shard)
		return err == nil && s.Snapshot > before.Snapshot, err
	})
}

// reported is what a node says of a shard of its own.
func reported(ctx context.Context, n *nodes.Node, shard int) (client.Shard, error) {
	st, err := n.API.Status(ctx)
	if err != nil {
		return client.Shard{}, err
	}
	for _, s := range st.Shards {
		if s.Shard == shard {
			return s, nil
		}
	}
	return client.Shard{}, fmt.Errorf("%s does not have shard %d", n.Name, shard)
}
