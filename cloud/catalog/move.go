package catalog

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

// MaxPast is how many shards a site is remembered to have left: each of them a
// gate asks, for each connection of the site. Of more the oldest is asked no
// more: what was acked there has been forwarded long since.
const MaxPast = 16

// ErrMove says why a site can't be moved as was asked for.
var ErrMove = errors.New("the site can't be moved")

// A move is three writes of the site's document: it is asked for (MoveSite), the
// former shard's owner has the state durable (Departed), the next one's has it
// in its log (Arrived). Each names the revision that it replaces, so that of any
// number of owners that take a step it is taken once.

// MoveSite begins to move a site to another shard; the owners of both do the
// rest. expect is the revision that the caller knows, 0 for whatever is there.
// A move to the same place that is under way is no error. ErrUnknownSite,
// ErrMove, journal.ErrConflict.
func (c *Catalog) MoveSite(ctx context.Context, site id.Site, to int, expect uint64) (Assignment, error) {
	for {
		a, err := c.read(ctx, site)
		switch {
		case errors.Is(err, journal.ErrNotFound):
			return a, fmt.Errorf("catalog: move: %w %s", ErrUnknownSite, site)
		case err != nil:
			return a, fmt.Errorf("catalog: move %s: %w", site, err)
		case a.Moving != nil && a.Moving.To == to:
			return a, nil // by an earlier try, or another's
		case expect != 0 && a.Revision != expect:
			return a, fmt.Errorf("catalog: move %s: revision %d, expected %d: %w", site, a.Revision, expect, journal.ErrConflict)
		case to < 0 || to >= c.cluster.Shards:
			return a, fmt.Errorf("catalog: move %s: %w: shard %d, want 0 to %d", site, ErrMove, to, c.cluster.Shards-1)
		case a.Moving != nil:
			return a, fmt.Errorf("catalog: move %s: %w: it is on its way from shard %d to %d: wait until it is there", site, ErrMove, a.Shard, a.Moving.To)
		case a.Shard == to:
			return a, fmt.Errorf("catalog: move %s: %w: it is in shard %d", site, ErrMove, to)
		}
		next := a
		next.Moving = &Moving{To: to}
		switch err := c.rewrite(ctx, &next); {
		case err == nil:
			c.metrics.moves.begun.Inc()
			return next, nil
		case expect != 0 && errors.Is(err, journal.ErrConflict), !errors.Is(err, journal.ErrConflict) && !errors.Is(err, journal.ErrAmbiguous):
			return a, fmt.Errorf("catalog: move %s: %w", site, err)
		}
	}
}

// Departed notes that a site has left its shard at a message of its log, and
// that its state there, of this digest, is durable. a is as it was read.
func (c *Catalog) Departed(ctx context.Context, a Assignment, at uint64, digest [sha256.Size]byte) error {
	if a.Moving == nil || a.Moving.Out != 0 {
		return fmt.Errorf("catalog: %s departed: %w: nobody waits for it", a.Site, ErrMove)
	}
	a.Moving = &Moving{To: a.Moving.To, Out: at, Digest: digest}
	if err := c.rewrite(ctx, &a); err != nil {
		return fmt.Errorf("catalog: %s departed: %w", a.Site, err)
	}
	return nil
}

// Arrived ends a move: from now on the site is in its new shard. a is as it was
// read.
func (c *Catalog) Arrived(ctx context.Context, a Assignment) error {
	if a.Moving == nil || a.Moving.Out == 0 {
		return fmt.Errorf("catalog: %s arrived: %w: it has not left", a.Site, ErrMove)
	}
	from := a.Shard
	a.Past = append(slices.DeleteFunc(slices.Clone(a.Past), func(s int) bool { return s == from }), from)
	a.Past = a.Past[max(0, len(a.Past)-MaxPast):]
	a.Shard, a.Moving = a.Moving.To, nil
	if err := c.rewrite(ctx, &a); err != nil {
		return fmt.Errorf("catalog: %s arrived: %w", a.Site, err)
	}
	c.metrics.moves.ended.Inc()
	return nil
}

// rewrite replaces a site's document, of a's revision, and gives a the new one.
// This node knows it at once.
func (c *Catalog) rewrite(ctx context.Context, a *Assignment) error {
	key, value := sitePrefix+string(a.Site), encodeSite(*a)
	revision, err := c.kv.Put(ctx, key, value, a.Revision)
	if err != nil {
		return err
	}
	a.Revision = revision
	c.learn(journal.Entry{Key: key, Value: value, Revision: revision})
	return nil
}

// Assigned returns what this node knows of a site.
func (c *Catalog) Assigned(site id.Site) (Assignment, bool) { return c.cached(site) }

// Refresh reads a site's document from the bucket, past the cache.
func (c *Catalog) Refresh(ctx context.Context, site id.Site) (Assignment, error) {
	a, err := c.read(ctx, site)
	if errors.Is(err, journal.ErrNotFound) {
		err = fmt.Errorf("%w %s", ErrUnknownSite, site)
	}
	if err != nil {
		return a, fmt.Errorf("catalog: %w", err)
	}
	return a, nil
}

// Moves returns the sites that are on their way from or to a shard, by name.
func (c *Catalog) Moves(shard int) (all []Assignment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, site := range slices.Sorted(maps.Keys(c.moving)) {
		if a := c.sites[site]; a.Shard == shard || a.Moving.To == shard {
			all = append(all, a)
		}
	}
	return all
}

// Moved counts the sites that have come to another shard since Open, and returns
// a channel that closes with the next change of any document.
func (c *Catalog) Moved() (uint64, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved, c.documents.changed
}

// Load is how many sites a shard has.
func (c *Catalog) Load(shard int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loads[shard]
}
