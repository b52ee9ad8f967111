package catalog_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

const (
	hq      = "kind: site\nname: hq\n"
	kitchen = "kind: room\nname: hq/kitchen\ndevices: [t1]\n"
	warm    = "kind: pipeline\nname: hq/warm\npoints: [temperature]\nstages: [{alarm: {of: temperature, above: 26, clear: 25}}]\n"
	tmp     = "id: acme.tmp\nversion: 3\nbus: {type: i2c, addr: [0x48]}\nread: [{tx: {w: [0], r: 2}}]\nraw: {w: {type: s16be}}\npoints: [{name: t, expr: w, unit: Cel, resolution: 1, range: [0, 9]}]\n"
)

func roomOf(name string) string { return "kind: room\nname: hq/" + name + "\n" }

func apply(t *testing.T, c *catalog.Catalog, text string) catalog.Document {
	t.Helper()
	d, _, err := c.Put(t.Context(), "t.yaml", []byte(text), catalog.Any, false)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestADocumentIsReadAsItWasApplied(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		c := open(t, four, kv)
		apply(t, c, hq)
		d, outcome, err := c.Put(t.Context(), "k.yaml", []byte(kitchen), catalog.Absent, false)
		if err != nil || outcome != catalog.Created || d.Applied.IsZero() {
			t.Fatalf("%+v, %s, %v", d, outcome, err)
		}
		same, outcome, err := c.Put(t.Context(), "k.yaml", []byte(kitchen), catalog.Expect(d.Revision), false)
		if err != nil || outcome != catalog.Unchanged || same.Revision != d.Revision {
			t.Fatalf("again: %+v, %s, %v", same, outcome, err)
		}
		next, outcome, err := c.Put(t.Context(), "k.yaml", []byte(kitchen+"title: <K & \"L\">\n"), catalog.Expect(d.Revision), false)
		if err != nil || outcome != catalog.Replaced || next.Revision <= d.Revision {
			t.Fatalf("changed: %+v, %s, %v", next, outcome, err)
		}
		c.Close()

		again := open(t, four, kv)
		defer again.Close()
		got, ok := again.Document(document.Room, "hq/kitchen")
		if !ok || got.Revision != next.Revision || string(got.Text) != kitchen+"title: <K & \"L\">\n" || !got.Applied.Equal(next.Applied) {
			t.Fatalf("after opening again: %+v, want %+v", got, next)
		}
		if all := again.Documents("", ""); len(all) != 2 || all[0].Kind != document.Room || all[1].Name != "hq" {
			t.Fatalf("all: %v", all)
		}
	})
}

// Of two writers that name one revision exactly one wins, whichever node they
// ask; the other is told what is there.
func TestOfTwoWritersOfOneRevisionExactlyOneWins(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		nodes := []*catalog.Catalog{open(t, four, kv), open(t, four, kv)}
		for _, c := range nodes {
			defer c.Close()
		}
		apply(t, nodes[0], hq)
		expect := catalog.Absent
		for round := range 10 {
			type end struct {
				catalog.Document
				err error
			}
			ends := make([]end, 6)
			var wg sync.WaitGroup
			for i := range ends {
				wg.Go(func() {
					text := roomOf("hall") + fmt.Sprintf("title: round %d writer %d\n", round, i)
					d, _, err := nodes[i%2].Put(t.Context(), "t.yaml", []byte(text), expect, false)
					ends[i] = end{d, err}
				})
			}
			wg.Wait()
			var won []catalog.Document
			var lost *catalog.ConflictError
			for _, e := range ends {
				switch {
				case e.err == nil:
					won = append(won, e.Document)
				case !errors.As(e.err, &lost) || !errors.Is(e.err, catalog.ErrConflict):
					t.Fatal(e.err)
				}
			}
			if len(won) != 1 || lost.Present.Revision != won[0].Revision {
				t.Fatalf("round %d: %d writers won; the others were told of %s at %d", round, len(won), lost.Present, lost.Present.Revision)
			}
			e, err := kv.Get(t.Context(), "doc.room.hq/hall")
			if err != nil || e.Revision != won[0].Revision {
				t.Fatalf("the bucket has revision %d, %v; revision %d won", e.Revision, err, won[0].Revision)
			}
			expect = catalog.Expect(won[0].Revision)
		}
	})
}

// I6: what is refused changes nothing, and says where, what is there, or the
// way out.
func TestAChangeThatIsRefusedChangesNothing(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		c := open(t, four, kv)
		defer c.Close()
		apply(t, c, hq)
		old := apply(t, c, kitchen)
		now := apply(t, c, kitchen+"title: K\n")
		before, err := kv.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []struct {
			text   string
			expect catalog.Expect
			is     error
			want   string
		}{
			{"kind: room\nname: hq/x\ndevices: [1]\n", catalog.Any, nil, "t.yaml:3:11: "},
			{hq + "zone: z2\n", catalog.Any, nil, `t.yaml:3:7: key "zone": site hq lives in zone z1`},
			{"kind: room\nname: lab/x\n", catalog.Any, catalog.ErrUnknownSite, "kind: site and name: lab"},
			{kitchen, catalog.Absent, catalog.ErrConflict, fmt.Sprintf("room hq/kitchen exists, at revision %d", now.Revision)},
			{kitchen, catalog.Expect(old.Revision), catalog.ErrConflict, fmt.Sprintf("at revision %d, applied", now.Revision)},
			{kitchen, catalog.Expect(now.Revision + 1), catalog.ErrConflict, "has not been yet"},
			{roomOf("x"), catalog.Present, catalog.ErrConflict, "there is no room hq/x to replace"},
			{roomOf("x"), catalog.Expect(old.Revision), catalog.ErrConflict, "was deleted since"},
		} {
			d, _, err := c.Put(t.Context(), "t.yaml", []byte(bad.text), bad.expect, false)
			var placed *config.Error
			if err == nil || d.Revision != 0 || !strings.Contains(err.Error(), bad.want) || bad.is != nil && !errors.Is(err, bad.is) || bad.is == nil && !errors.As(err, &placed) {
				t.Errorf("%q at %d: %+v, %v; want %q", bad.text, bad.expect, d, err, bad.want)
			}
		}
		if d, outcome, err := c.Put(t.Context(), "t.yaml", []byte(roomOf("x")), catalog.Any, true); err != nil || outcome != catalog.Created || d.Revision != 0 {
			t.Errorf("a dry run: %+v, %s, %v", d, outcome, err)
		}
		after, err := kv.Keys(t.Context())
		if got, ok := c.Document(document.Room, "hq/kitchen"); err != nil || len(after) != len(before) || !ok || got.Revision != now.Revision {
			t.Fatalf("keys %v became %v; the kitchen is at %d, %v", before, after, got.Revision, err)
		}
	})
}

func TestADeletedDocumentIsGoneOnEveryNode(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		a, b := open(t, four, kv), open(t, four, kv)
		defer a.Close()
		defer b.Close()
		apply(t, a, hq)
		d := apply(t, a, kitchen)
		if err := a.Remove(t.Context(), document.Site, "hq", catalog.Any); !errors.Is(err, catalog.ErrInUse) {
			t.Fatalf("a site with a room was deleted: %v", err)
		}
		if err := a.Remove(t.Context(), document.Room, "hq/kitchen", catalog.Expect(d.Revision-1)); !errors.Is(err, catalog.ErrConflict) {
			t.Fatalf("deleted at another revision: %v", err)
		}
		for changed := b.Changed(); len(b.Documents(document.Room, "hq")) == 0; changed = b.Changed() {
			<-changed
		}
		changed := b.Changed()
		if err := a.Remove(t.Context(), document.Room, "hq/kitchen", catalog.Expect(d.Revision)); err != nil {
			t.Fatal(err)
		}
		<-changed
		for _, c := range []*catalog.Catalog{a, b} {
			if got := c.Documents(document.Room, ""); len(got) != 0 || len(c.Of("hq")) != 0 {
				t.Fatalf("deleted, but there: %v", got)
			}
		}
		if err := b.Remove(t.Context(), document.Room, "hq/kitchen", catalog.Any); !errors.Is(err, catalog.ErrNoDocument) {
			t.Fatalf("deleted twice: %v", err)
		}
		if err := b.Remove(t.Context(), document.Room, "no name", catalog.Any); !errors.Is(err, catalog.ErrNoDocument) {
			t.Fatalf("deleted by a name that is none: %v", err)
		}
		if next := apply(t, b, kitchen); next.Revision <= d.Revision {
			t.Fatalf("applied again at revision %d, before it was %d", next.Revision, d.Revision)
		}
	})
}

func TestASitesDocumentGivesItAShardInItsZone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, four, journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket))
		defer c.Close()
		if _, _, err := c.Put(t.Context(), "t", []byte(hq), catalog.Any, true); err != nil || len(c.Sites()) != 0 {
			t.Fatalf("a dry run assigned %v, %v", c.Sites(), err)
		}
		apply(t, c, "kind: site\nname: lab\nzone: cellar\n")
		apply(t, c, hq)
		sites := c.Sites()
		if len(sites) != 2 || sites[0].Site != "hq" || sites[0].Zone != "z1" || sites[1].Zone != "cellar" || sites[0].Shard == sites[1].Shard {
			t.Fatalf("sites: %+v", sites)
		}
		// A gateway's hello makes a site known as well.
		if _, err := c.Assign(t.Context(), "plant"); err != nil {
			t.Fatal(err)
		}
		apply(t, c, "kind: gateway\nname: plant/gw-1\n")
	})
}

func TestOwnersGetRoomsAndPipelinesByRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, four, journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket))
		defer c.Close()
		apply(t, c, hq)
		apply(t, c, "kind: gateway\nname: hq/gw\n")
		apply(t, c, kitchen)
		apply(t, c, warm)
		changed := c.Changed()
		select {
		case <-changed:
			t.Fatal("changed without a change")
		default:
		}
		apply(t, c, kitchen+"title: K\n")
		<-changed
		got := c.Of("hq")
		if len(got) != 2 || got[0].Kind != "pipeline" || got[0].Name != "warm" || got[1].Name != "kitchen" || got[0].Revision >= got[1].Revision || got[1].Deleted || string(got[1].Text) != kitchen+"title: K\n" {
			t.Fatalf("of hq: %+v", got)
		}
		if other := c.Of("lab"); len(other) != 0 {
			t.Fatalf("of lab: %+v", other)
		}
	})
}

func TestAProfileThatWasAppliedIsCompiled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, four, journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket))
		defer c.Close()
		apply(t, c, tmp)
		if p, ok := c.Profile("acme.tmp"); !ok || p.Version != 3 {
			t.Fatalf("%+v, %v", p, ok)
		}
		if _, ok := c.Profile("acme.other"); ok {
			t.Fatal("a profile that was never applied")
		}
	})
}

// Answers get lost. A write of whatever is there goes on until it knows; one of
// a revision says that it does not.
func TestALostAnswerNeverAppliesADocumentTwice(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			kv := journaltest.NewMem(journaltest.Config{
				AckTimeout: 10 * time.Millisecond,
				Fault:      journaltest.Seeded(seed, journaltest.Rates{LostAck: 0.3, LostMessage: 0.2, Late: 0.2}),
			}).KV(catalog.Bucket)
			c := open(t, four, kv)
			defer c.Close()
			apply(t, c, hq)
			var last catalog.Document
			for i := range 10 {
				text := fmt.Sprintf("%stitle: t%d\n", roomOf("hall"), i)
				last = apply(t, c, text)
				if e, err := kv.Get(t.Context(), "doc.room.hq/hall"); err != nil || e.Revision != last.Revision || string(last.Text) != text {
					t.Fatalf("seed %d: applied %q at %d, the bucket is at %d, %v", seed, last.Text, last.Revision, e.Revision, err)
				}
			}
			_, _, err := c.Put(t.Context(), "t", []byte(roomOf("hall")), catalog.Expect(last.Revision), false)
			if err != nil && !errors.Is(err, journal.ErrAmbiguous) {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if err := c.Remove(t.Context(), document.Room, "hq/hall", catalog.Any); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			time.Sleep(time.Minute)
			if d, there := c.Document(document.Room, "hq/hall"); there {
				t.Fatalf("seed %d: deleted, then there at revision %d", seed, d.Revision)
			}
		})
	}
}

// I5: a site's rooms, and the bytes of all documents, are bounded; what is
// deleted makes room.
func TestTheNumberAndTheBytesOfDocumentsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, four, journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket))
		defer c.Close()
		apply(t, c, hq)
		for i := range 1024 {
			apply(t, c, roomOf(fmt.Sprintf("r%d", i)))
		}
		put := func(text string) error {
			_, _, err := c.Put(t.Context(), "t", []byte(text), catalog.Any, false)
			return err
		}
		if err := put(roomOf("more")); !errors.Is(err, catalog.ErrFull) || !strings.Contains(err.Error(), "site hq has 1024 rooms") {
			t.Fatalf("room 1,025: %v", err)
		}
		if err := put(roomOf("r7") + "title: R\n"); err != nil {
			t.Fatalf("a room cannot be replaced: %v", err)
		}
		apply(t, c, "kind: site\nname: lab\n")
		apply(t, c, "kind: room\nname: lab/r\n")
		apply(t, c, warm)
		if err := c.Remove(t.Context(), document.Room, "hq/r7", catalog.Any); err != nil {
			t.Fatal(err)
		}
		apply(t, c, roomOf("more"))

		long := strings.Repeat("#"+strings.Repeat("x", 998)+"\n", 60) // 60 kB of comments
		var full error
		n := 0
		for ; full == nil && n < 200; n++ {
			full = put(fmt.Sprintf("kind: site\nname: s%d\n%s", n, long))
		}
		if !errors.Is(full, catalog.ErrFull) || n < 130 || !strings.Contains(full.Error(), "of 8388608 bytes") {
			t.Fatalf("document %d: %v", n, full)
		}
		if err := put("kind: site\nname: s1\n" + long[:1000]); err != nil {
			t.Fatalf("a shorter one: %v", err)
		}
	})
}

// Limits that the rooms of a site have together are judged with them, and the
// fault has its place.
func TestARoomThatWouldCrowdItsSiteIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, four, journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket))
		defer c.Close()
		apply(t, c, hq)
		for i := range 16 {
			apply(t, c, roomOf(fmt.Sprintf("r%d", i))+"devices: [t1]\n")
		}
		if _, _, err := c.Put(t.Context(), "t.yaml", []byte(roomOf("more")+"devices: [t1]\n"), catalog.Any, false); err == nil || !strings.Contains(err.Error(), `t.yaml:3:10: key "devices": `) || !strings.Contains(err.Error(), "device t1 would be in 17 rooms") {
			t.Fatal(err)
		}
		apply(t, c, roomOf("r3")) // it leaves one
		if _, _, err := c.Put(t.Context(), "t.yaml", []byte(roomOf("r3")+"title: R\n"), catalog.Any, true); err != nil {
			t.Fatalf("a room is judged against itself: %v", err)
		}
		apply(t, c, roomOf("more")+"devices: [t1]\n")
	})
}

// A site runs only so many pipelines: one that it would leave out is refused.
func TestASiteHasNoMorePipelinesThanItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, four, journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket))
		defer c.Close()
		apply(t, c, hq)
		for i := range pipeline.MaxPipelines {
			apply(t, c, strings.Replace(warm, "hq/warm", fmt.Sprintf("hq/p%d", i), 1))
		}
		if _, _, err := c.Put(t.Context(), "t", []byte(warm), catalog.Any, false); !errors.Is(err, catalog.ErrFull) || !strings.Contains(err.Error(), "site hq has 64 pipelines: delete one first") {
			t.Fatal(err)
		}
	})
}

// The longest document fits the bucket, however it is escaped there, and the
// record that copies it into a log.
func TestTheLongestDocumentFitsTheBucketAndALog(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		c := open(t, four, kv)
		defer c.Close()
		apply(t, c, hq)
		text := []byte(kitchen)
		for line := "#" + strings.Repeat(`"\`, 499) + "\n"; len(text)+len(line) <= document.MaxText; {
			text = append(text, line...)
		}
		text = append(text, strings.Repeat("\n", document.MaxText-len(text))...)
		if d := apply(t, c, string(text)); len(d.Text) != document.MaxText || document.MaxText > journal.MaxText {
			t.Fatalf("%d bytes; a log takes %d", len(d.Text), journal.MaxText)
		}
		if _, _, err := c.Put(t.Context(), "t", append(text, '\n'), catalog.Any, false); err == nil {
			t.Fatal("a longer one was accepted")
		}
	})
}

// What a newer program wrote is neither shown nor overwritten.
func TestADocumentOfANewerProgramIsLeftAlone(t *testing.T) {
	for name, value := range map[string]string{
		"version": `{"version":2,"kind":"room","name":"hq/kitchen","text":"","applied":"2026-01-01T00:00:00Z"}`,
		"key":     `{"version":1,"kind":"room","name":"hq/kitchen","text":"","applied":"2026-01-01T00:00:00Z","more":1}`,
		"name":    `{"version":1,"kind":"room","name":"hq/cellar","text":"","applied":"2026-01-01T00:00:00Z"}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kv := journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket)
				reg := prometheus.NewRegistry()
				c, err := catalog.Open(t.Context(), four, kv, quiet(), reg)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				apply(t, c, hq)
				rev, err := kv.Put(t.Context(), "doc.room.hq/kitchen", []byte(value), 0)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := kv.Put(t.Context(), "doc.roof.hq/top", []byte(value), 0); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if got := c.Documents("", ""); len(got) != 1 {
					t.Errorf("shown: %v", got)
				}
				if _, _, err := c.Put(t.Context(), "t", []byte(kitchen), catalog.Any, false); err == nil || !strings.Contains(err.Error(), "document doc.room.hq/kitchen") {
					t.Errorf("put over it: %v", err)
				}
				if e, err := kv.Get(t.Context(), "doc.room.hq/kitchen"); err != nil || e.Revision != rev {
					t.Errorf("it was changed: %+v, %v", e, err)
				}
				if n := counted(t, reg, "atrium_catalog_invalid_total", ""); n != 2 {
					t.Errorf("%v were counted as invalid", n)
				}
			})
		})
	}
}

func TestEveryWriteIsCountedByItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		c, err := catalog.Open(t.Context(), four, journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket), quiet(), reg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, w := range []struct {
			result string
			text   string
			expect catalog.Expect
			dryRun bool
		}{
			{"created", hq, catalog.Any, false},
			{"unchanged", hq, catalog.Any, false},
			{"configured", hq + "title: HQ\n", catalog.Any, false},
			{"dry-run", hq, catalog.Any, true},
			{"conflict", hq, catalog.Absent, false},
			{"invalid", "kind: site\n", catalog.Any, false},
			{"invalid", hq + "zone: else\n", catalog.Any, false},
			{"refused", "kind: room\nname: lab/r\n", catalog.Any, false},
		} {
			before := counted(t, reg, "atrium_catalog_writes_total", w.result)
			_, _, err := c.Put(t.Context(), "t", []byte(w.text), w.expect, w.dryRun)
			if n := counted(t, reg, "atrium_catalog_writes_total", w.result); n != before+1 {
				t.Errorf("%q counted %v times as %s, err %v", w.text, n-before, w.result, err)
			}
		}
		if err := c.Remove(t.Context(), document.Site, "hq", catalog.Any); err != nil || counted(t, reg, "atrium_catalog_writes_total", "deleted") != 1 {
			t.Errorf("delete: %v", err)
		}
		if n := counted(t, reg, "atrium_catalog_documents", "") + counted(t, reg, "atrium_catalog_documents_bytes", ""); n != 0 {
			t.Errorf("an empty catalog holds %v", n)
		}
	})
}

// counted is the value of a counter or gauge, of one result if it has them.
func counted(t *testing.T, reg *prometheus.Registry, name, result string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (result == "" || m.GetLabel()[0].GetValue() == result) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s %s", name, result)
	return 0
}
