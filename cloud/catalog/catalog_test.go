package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

var four = catalog.Config{ClusterID: "c1", Shards: 4, Zone: "z1"}

// bucket is what the catalog needs, and Get for the tests.
type bucket = journaltest.Documents

func eachBucket(t *testing.T, run func(t *testing.T, kv bucket)) {
	t.Run("real", func(t *testing.T) {
		s, err := journal.StartServer(journal.ServerConfig{Dir: t.TempDir(), Name: "n1", MaxStore: 1 << 30}, quiet())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		kv, err := journal.OpenKV(t.Context(), s, catalog.Bucket)
		if err != nil {
			t.Fatal(err)
		}
		run(t, kv)
	})
	t.Run("double", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			run(t, journaltest.NewMem(journaltest.Config{Sync: time.Millisecond}).KV(catalog.Bucket))
		})
	})
}

func open(t *testing.T, cfg catalog.Config, kv bucket) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), cfg, kv, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func site(i int) id.Site { return id.Site(fmt.Sprintf("site-%d", i)) }

func TestSitesSpreadOverShardsAndStayThere(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		c := open(t, four, kv)
		loads := make([]int, 4)
		for i := range 20 {
			shard, err := c.Assign(t.Context(), site(i))
			if err != nil {
				t.Fatal(err)
			}
			loads[shard]++
			if again, err := c.Assign(t.Context(), site(i)); err != nil || again != shard {
				t.Fatalf("%s moved from %d to %d, %v", site(i), shard, again, err)
			}
		}
		if !slices.Equal(loads, []int{5, 5, 5, 5}) {
			t.Fatalf("20 sites on 4 shards: %v", loads)
		}
		before := c.Sites()
		c.Close()

		again := open(t, four, kv)
		defer again.Close()
		if !reflect.DeepEqual(again.Sites(), before) || len(before) != 20 {
			t.Fatalf("after opening again: %v\nbefore: %v", again.Sites(), before)
		}
		if !slices.IsSortedFunc(before, func(a, b catalog.Assignment) int { return strings.Compare(string(a.Site), string(b.Site)) }) {
			t.Fatal("Sites is not in order")
		}
	})
}

// Nodes of two zones assign sites: those of a zone share shards, so that a shard
// has a home, and no shard has most of the sites.
func TestSitesOfAZoneShareShards(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		north, south := four, four
		north.Zone, south.Zone = "north", "south"
		a, b := open(t, north, kv), open(t, south, kv)
		defer a.Close()
		defer b.Close()
		for i := range 40 {
			c := a
			if i%2 == 1 {
				c = b
			}
			if _, err := c.Assign(t.Context(), site(i)); err != nil {
				t.Fatal(err)
			}
		}
		for _, all := range a.Sites()[len(a.Sites())-1:] { // both have seen the last
			if _, err := b.Assign(t.Context(), all.Site); err != nil {
				t.Fatal(err)
			}
		}
		loads, mixed := make([]int, 4), 0
		for shard := range 4 {
			homes := a.Homes(shard)
			for _, n := range homes {
				loads[shard] += n
			}
			if homes["north"] > 2 && homes["south"] > 2 {
				mixed++
			}
		}
		if mixed > 0 || slices.Max(loads) > 21 {
			t.Fatalf("loads %v, %d shards of both zones", loads, mixed)
		}
		if shard, ok := a.Known(site(0)); !ok || a.Homes(shard)["north"] == 0 {
			t.Fatalf("site 0 is in shard %d, %t", shard, ok)
		}
		if _, ok := a.Known("nowhere"); ok {
			t.Fatal("a site that nobody assigned is known")
		}
	})
}

// Two nodes assign the same sites at once: each site has one shard, which both
// nodes are told.
func TestTwoNodesAgreeOnASitesShard(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		a, b := open(t, four, kv), open(t, four, kv)
		defer a.Close()
		defer b.Close()
		const n = 20
		got := [2][n]int{}
		var wg sync.WaitGroup
		for node, c := range []*catalog.Catalog{a, b} {
			for i := range n {
				wg.Go(func() {
					shard, err := c.Assign(t.Context(), site(i))
					if err != nil {
						t.Error(err)
					}
					got[node][i] = shard
				})
			}
		}
		wg.Wait()
		if got[0] != got[1] {
			t.Fatalf("the nodes disagree:\n%v\n%v", got[0], got[1])
		}
		for i := range n {
			e, err := kv.Get(t.Context(), "site."+string(site(i)))
			if err != nil || !strings.Contains(string(e.Value), fmt.Sprintf(`"shard":%d,`, got[0][i])) {
				t.Fatalf("%s: %s, %v, want shard %d", site(i), e.Value, err, got[0][i])
			}
		}
	})
}

func TestAnUnknownSiteHasNoShard(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		a, b := open(t, four, kv), open(t, four, kv)
		defer a.Close()
		defer b.Close()
		if _, _, ok, err := a.Shard(t.Context(), "hq"); ok || err != nil {
			t.Fatalf("unknown site: %v, %v", ok, err)
		}
		want, err := a.Assign(t.Context(), "hq")
		if err != nil {
			t.Fatal(err)
		}
		// b asks the bucket, whether or not its watch has brought the change.
		shard, rev, ok, err := b.Shard(t.Context(), "hq")
		if err != nil || !ok || shard != want || rev == 0 {
			t.Fatalf("shard = %d, %d, %v, %v, want %d", shard, rev, ok, err, want)
		}
		if _, err := a.Assign(t.Context(), "No Site"); err == nil {
			t.Fatal("an invalid name was assigned")
		}
	})
}

func TestAWatchBringsOthersAssignments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket)
		a, b := open(t, four, kv), open(t, four, kv)
		defer a.Close()
		defer b.Close()
		if _, err := a.Assign(t.Context(), "hq"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := b.Sites(); len(got) != 1 || got[0].Site != "hq" || got[0].Zone != "z1" {
			t.Fatalf("the other node sees %v", got)
		}
	})
}

// brittle is a bucket whose first watches break once they are ready.
type brittle struct {
	bucket
	mu     sync.Mutex
	breaks int
}

func (b *brittle) Watch(ctx context.Context, each func(journal.Entry), ready func()) error {
	b.mu.Lock()
	broken := b.breaks > 0
	b.breaks--
	b.mu.Unlock()
	if !broken {
		return b.bucket.Watch(ctx, each, ready)
	}
	ready()
	return errors.New("connection lost")
}

func TestABrokenWatchIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kv := journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket)
		a := open(t, four, kv)
		defer a.Close()
		b := open(t, four, &brittle{bucket: kv, breaks: 3})
		defer b.Close()
		if _, err := a.Assign(t.Context(), "hq"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if got := b.Sites(); len(got) != 1 {
			t.Fatalf("after the watch broke: %v", got)
		}
	})
}

// Answers get lost; each site still gets one shard, and it is the stored one.
func TestALostAnswerAssignsASiteOnce(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			m := journaltest.NewMem(journaltest.Config{
				AckTimeout: 10 * time.Millisecond,
				Fault:      journaltest.Seeded(seed, journaltest.Rates{LostAck: 0.2, LostMessage: 0.2, Late: 0.2}),
			})
			c := open(t, four, m.KV(catalog.Bucket))
			defer c.Close()
			got := map[id.Site]int{}
			for i := range 10 {
				shard, err := c.Assign(t.Context(), site(i))
				if err != nil {
					t.Fatal(err)
				}
				got[site(i)] = shard
			}
			time.Sleep(time.Minute)
			for _, a := range c.Sites() {
				if got[a.Site] != a.Shard {
					t.Fatalf("seed %d: %s was assigned %d, the bucket says %d", seed, a.Site, got[a.Site], a.Shard)
				}
			}
		})
	}
}

func TestAnotherClustersCatalogIsRefused(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		first := open(t, four, kv)
		first.Close()
		c := first.Cluster()
		if c.ID != "c1" || c.Incarnation != 1 || c.Shards != 4 || c.Created.IsZero() {
			t.Fatalf("cluster = %+v", c)
		}
		for name, cfg := range map[string]catalog.Config{
			"its id is c1": {ClusterID: "c2", Shards: 4, Zone: "z1"},
			"4 shards":     {ClusterID: "c1", Shards: 8, Zone: "z1"},
		} {
			if _, err := catalog.Open(t.Context(), cfg, kv, quiet(), nil); !errors.Is(err, catalog.ErrOtherCluster) || !strings.Contains(err.Error(), name) {
				t.Errorf("%+v: %v", cfg, err)
			}
		}
		again := open(t, four, kv)
		defer again.Close()
		if again.Cluster() != c {
			t.Fatalf("cluster was %+v, is %+v", c, again.Cluster())
		}
	})
}

// I6: what is not valid is refused with its place, and changes nothing.
func TestAnInvalidDocumentIsRefused(t *testing.T) {
	for name, in := range map[string]struct{ key, value, want string }{
		"newer version": {"site.hq", `{"version":2,"shard":1,"zone":"z1"}`, "newer"},
		"unknown key":   {"site.hq", `{"version":1,"shard":1,"zone":"z1","pin":true}`, "pin"},
		"no such shard": {"site.hq", `{"version":1,"shard":4,"zone":"z1"}`, "want 0 to 3"},
		"no zone":       {"site.hq", `{"version":1,"shard":1,"zone":""}`, "zone"},
		"wrong type":    {"site.hq", `{"version":1,"shard":"1","zone":"z1"}`, "shard"},
		"two objects":   {"site.hq", `{"version":1,"shard":1,"zone":"z1"} {}`, "follows the end"},
	} {
		t.Run(name, func(t *testing.T) {
			kv := journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket)
			c := open(t, four, kv)
			defer c.Close()
			if _, err := kv.Put(t.Context(), in.key, []byte(in.value), 0); err != nil {
				t.Fatal(err)
			}
			_, err := c.Assign(t.Context(), "hq")
			if err == nil || !strings.Contains(err.Error(), in.want) || !strings.Contains(err.Error(), in.key) {
				t.Fatalf("assign = %v, want %q and %q", err, in.key, in.want)
			}
			if got := c.Sites(); len(got) != 0 {
				t.Fatalf("the cache took %v", got)
			}
		})
	}
}

func TestABadConfigurationOpensNothing(t *testing.T) {
	for _, cfg := range []catalog.Config{
		{Shards: 4, Zone: "z"},
		{ClusterID: "c", Shards: 0, Zone: "z"},
		{ClusterID: "c", Shards: journal.MaxShards + 1, Zone: "z"},
		{ClusterID: "c", Shards: 4},
	} {
		kv := journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket)
		if _, err := catalog.Open(t.Context(), cfg, kv, quiet(), nil); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
		if keys, err := kv.Keys(t.Context()); err != nil || len(keys) != 0 {
			t.Errorf("%+v wrote %v, %v", cfg, keys, err)
		}
	}
}
