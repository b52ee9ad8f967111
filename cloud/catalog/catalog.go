package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

// Bucket is the name of the catalog's bucket.
const Bucket = "catalog"

const (
	// MaxSites bounds the sites of a cluster: the cache holds them all.
	MaxSites = 65536
	// watchAgain is the pause before a broken watch is made again; until then
	// reads come from what is known.
	watchAgain = 500 * time.Millisecond
)

var (
	// ErrOtherCluster says that the bucket belongs to a cluster of another id
	// or number of shards.
	ErrOtherCluster = errors.New("the catalog is another cluster's")
	// ErrFull says that a limit of sites or documents is reached.
	ErrFull = errors.New("no room for another")
)

// KV is the catalog's bucket: journal.KV or its double.
type KV interface {
	Get(ctx context.Context, key string) (journal.Entry, error)
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Delete(ctx context.Context, key string, revision uint64) error
	Watch(ctx context.Context, each func(journal.Entry), ready func()) error
}

// Config says which cluster this is, for the first start, and where this node
// stands.
type Config struct {
	ClusterID string // of the cluster's CA
	Shards    int
	AnyShards bool   // Shards is for the first start only: a catalog that is there may have others
	Zone      string // home of the sites that this node assigns
	Restored  bool   // the store was put back from a backup: the incarnation is raised first
}

// Catalog is a node's view of the cluster's documents. Its methods may be
// called from any goroutine.
//
// Goroutines: one watch; it ends with Close.
type Catalog struct {
	kv      KV
	cfg     Config
	cluster Cluster
	log     *slog.Logger
	metrics *metrics
	cancel  context.CancelFunc
	stopped chan struct{}

	superseded chan struct{} // closed once the store is of a later incarnation

	assigning chan struct{} // holds one token: sites are assigned one at a time
	writing   chan struct{} // holds one token: documents are written one at a time

	mu        sync.Mutex
	sites     map[id.Site]Assignment
	moving    map[id.Site]bool // of sites
	moved     uint64           // sites that came to another shard since Open
	loads     []int            // sites a shard
	homes     []map[string]int // likewise, by their home zone
	documents shelf
}

// Open reads the catalog, or writes its first document if there is none, and
// returns when the cache holds everything. ErrOtherCluster: cfg and the stored
// document disagree.
func Open(ctx context.Context, cfg Config, kv KV, log *slog.Logger, reg prometheus.Registerer) (*Catalog, error) {
	c := &Catalog{
		kv: kv, cfg: cfg, log: log, metrics: newMetrics(reg),
		stopped:    make(chan struct{}),
		superseded: make(chan struct{}),
		assigning:  make(chan struct{}, 1),
		writing:    make(chan struct{}, 1),
		sites:      make(map[id.Site]Assignment),
		moving:     make(map[id.Site]bool),
		documents:  newShelf(),
	}
	if cfg.Zone == "" || len(cfg.Zone) > maxID {
		return nil, fmt.Errorf("catalog: open: zone %q: want 1 to %d characters", cfg.Zone, maxID)
	}
	if err := c.found(ctx); err != nil {
		return nil, fmt.Errorf("catalog: open: %w", err)
	}
	c.loads, c.homes = make([]int, c.cluster.Shards), make([]map[string]int, c.cluster.Shards)
	for i := range c.homes {
		c.homes[i] = make(map[string]int)
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	ready := make(chan struct{})
	go c.watch(watching, sync.OnceFunc(func() { close(ready) }))
	select {
	case <-ready:
		return c, nil
	case <-ctx.Done():
		c.Close()
		return nil, fmt.Errorf("catalog: open: %w", ctx.Err())
	}
}

// found reads the cluster's document or writes the first.
func (c *Catalog) found(ctx context.Context) error {
	first := Cluster{ID: c.cfg.ClusterID, Incarnation: 1, Created: time.Now(), Shards: c.cfg.Shards}
	if err := first.check(); err != nil {
		return err
	}
	for {
		e, err := c.kv.Get(ctx, clusterKey)
		if errors.Is(err, journal.ErrNotFound) {
			_, err = c.kv.Put(ctx, clusterKey, encodeCluster(first), 0)
			if err == nil || errors.Is(err, journal.ErrConflict) || errors.Is(err, journal.ErrAmbiguous) {
				continue // read what is there now, whoever wrote it
			}
		}
		if err != nil {
			return err
		}
		c.cluster, err = parseCluster(e.Value)
		if err != nil {
			return fmt.Errorf("document %s: %w", clusterKey, err)
		}
		if c.cluster.ID != c.cfg.ClusterID {
			return fmt.Errorf("%w: its id is %s, this node's %s", ErrOtherCluster, c.cluster.ID, c.cfg.ClusterID)
		}
		if !c.cfg.AnyShards && c.cluster.Shards != c.cfg.Shards {
			return fmt.Errorf("%w: it has %d shards, this node is configured for %d; the number is fixed when a cluster is created", ErrOtherCluster, c.cluster.Shards, c.cfg.Shards)
		}
		if !c.cfg.Restored {
			return nil
		}
		if err := c.raise(ctx, e.Revision); !errors.Is(err, journal.ErrConflict) && !errors.Is(err, journal.ErrAmbiguous) {
			return err
		}
	}
}

// watch keeps the cache; ready is called when it is complete. What a watch that
// begins does not show was deleted while none ran.
func (c *Catalog) watch(ctx context.Context, ready func()) {
	defer close(c.stopped)
	for {
		shown := make(map[string]bool) // until the watch has shown all there is
		err := c.kv.Watch(ctx, func(e journal.Entry) {
			if shown != nil {
				shown[e.Key] = true
			}
			c.learn(e)
			c.passed(e.Revision)
		}, func() {
			c.sweep(ctx, shown)
			shown = nil
			ready()
		})
		if ctx.Err() != nil {
			return
		}
		c.metrics.watches.Inc()
		c.log.Warn("catalog: watch broke, reading from the cache", "err", err)
		if sleep(ctx, watchAgain) != nil {
			return
		}
	}
}

// learn takes one revision into the cache; what is invalid changes nothing.
func (c *Catalog) learn(e journal.Entry) {
	var err error
	switch {
	case e.Key == clusterKey:
		err = c.learnCluster(e)
	case strings.HasPrefix(e.Key, sitePrefix):
		err = c.learnSite(e)
	case strings.HasPrefix(e.Key, documentPrefix):
		err = c.learnDocument(e)
	}
	if err != nil {
		c.metrics.invalid.Inc()
		c.log.Error("catalog: document ignored", "key", e.Key, "revision", e.Revision, "err", err)
	}
}

func (c *Catalog) learnSite(e journal.Entry) error {
	a, err := parseSite(e, c.cluster.Shards)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old, known := c.sites[a.Site]
	if known && old.Revision >= a.Revision {
		return nil
	}
	if known {
		if old.Shard != a.Shard {
			c.moved++
		}
		c.loads[old.Shard]--
		c.homes[old.Shard][old.Zone]--
	}
	c.sites[a.Site] = a
	c.loads[a.Shard]++
	c.homes[a.Shard][a.Zone]++
	c.metrics.sites.Set(float64(len(c.sites)))
	if a.Moving != nil {
		c.moving[a.Site] = true
	} else {
		delete(c.moving, a.Site)
	}
	if a.Moving != nil || len(a.Past) > 0 {
		c.documents.tell()
	}
	return nil
}

// Close ends the watch and returns when it has ended.
func (c *Catalog) Close() {
	c.cancel()
	<-c.stopped
}

// Cluster returns the cluster's document as it was at Open.
func (c *Catalog) Cluster() Cluster { return c.cluster }

// Shard returns a site's shard and the revision of its assignment; ok is false
// for a site that has none. It asks the bucket only for a site that the cache
// does not know.
func (c *Catalog) Shard(ctx context.Context, site id.Site) (shard int, revision uint64, ok bool, err error) {
	if a, known := c.cached(site); known {
		return a.Shard, a.Revision, true, nil
	}
	a, err := c.read(ctx, site)
	if errors.Is(err, journal.ErrNotFound) {
		return 0, 0, false, nil
	}
	if err != nil {
		return 0, 0, false, fmt.Errorf("catalog: shard of %s: %w", site, err)
	}
	return a.Shard, a.Revision, true, nil
}

func (c *Catalog) cached(site id.Site) (Assignment, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.sites[site]
	return a, ok
}

func (c *Catalog) read(ctx context.Context, site id.Site) (Assignment, error) {
	e, err := c.kv.Get(ctx, sitePrefix+string(site))
	if err != nil {
		return Assignment{}, err
	}
	a, err := parseSite(e, c.cluster.Shards)
	if err != nil {
		return Assignment{}, fmt.Errorf("document %s: %w", e.Key, err)
	}
	c.learn(e)
	return a, nil
}

// Assign returns a site's shard. A site without one gets the shard with the
// fewest sites, by compare-and-set: of two nodes that assign it at once, both
// return what the first wrote.
func (c *Catalog) Assign(ctx context.Context, site id.Site) (shard int, err error) {
	return c.assignIn(ctx, site, c.cfg.Zone)
}

// assignIn is Assign with a home zone of the caller's choice.
func (c *Catalog) assignIn(ctx context.Context, site id.Site, zone string) (shard int, err error) {
	if _, err := id.ParseSite(string(site)); err != nil {
		return 0, fmt.Errorf("catalog: assign: %w", err)
	}
	if a, known := c.cached(site); known {
		return a.Shard, nil
	}
	select {
	case c.assigning <- struct{}{}:
	case <-ctx.Done():
		return 0, fmt.Errorf("catalog: assign %s: %w", site, ctx.Err())
	}
	defer func() { <-c.assigning }()
	a, err := c.assign(ctx, site, zone)
	if err != nil {
		return 0, fmt.Errorf("catalog: assign %s: %w", site, err)
	}
	return a.Shard, nil
}

func (c *Catalog) assign(ctx context.Context, site id.Site, zone string) (Assignment, error) {
	for {
		a, err := c.read(ctx, site)
		if !errors.Is(err, journal.ErrNotFound) {
			return a, err
		}
		shard, err := c.bestShard(zone)
		if err != nil {
			return Assignment{}, err
		}
		a = Assignment{Site: site, Shard: shard, Zone: zone}
		_, err = c.kv.Put(ctx, sitePrefix+string(site), encodeSite(a), 0)
		switch {
		case err == nil:
			c.metrics.assigned.Inc()
		case errors.Is(err, journal.ErrConflict), errors.Is(err, journal.ErrAmbiguous):
			// Another wrote it, or we did and were not told: read it.
		default:
			return Assignment{}, err
		}
	}
}

// mostLoad is how many times the average a shard may have before sites of its
// zone go elsewhere: their readings are near, and one goroutine applies them.
const mostLoad = 2

// bestShard returns the shard for a new site: the one with the fewest sites of
// those whose sites are mostly of its home zone, or that have none, and
// otherwise of all. Of equals it is the lowest.
func (c *Catalog) bestShard(zone string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sites) >= MaxSites {
		return 0, fmt.Errorf("%w: there are %d sites", ErrFull, len(c.sites))
	}
	best, bestStrange := 0, true
	for i, load := range c.loads {
		strange := load > 0 && 2*c.homes[i][zone] <= load || load*len(c.loads) > mostLoad*len(c.sites)+len(c.loads)
		if i == 0 || bestStrange && !strange || bestStrange == strange && load < c.loads[best] {
			best, bestStrange = i, strange
		}
	}
	return best, nil
}

// Homes counts the sites of a shard by their home zones.
func (c *Catalog) Homes(shard int) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.homes[shard])
}

// Known returns a site's shard, if this node has heard of it.
func (c *Catalog) Known(site id.Site) (shard int, ok bool) {
	a, ok := c.cached(site)
	return a.Shard, ok
}

// Sites returns every assignment, by the site's name.
func (c *Catalog) Sites() []Assignment {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]Assignment, 0, len(c.sites))
	for _, a := range c.sites {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Assignment) int { return strings.Compare(string(a.Site), string(b.Site)) })
	return all
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
