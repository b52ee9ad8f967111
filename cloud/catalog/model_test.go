package catalog_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// oracle is the catalog as one map, whose revisions are those it was told.
type oracle struct {
	texts     map[string]string
	revisions map[string]uint64
	newest    uint64
}

// met says whether a write that expects x may happen.
func (o *oracle) met(name string, x catalog.Expect) bool {
	present := o.revisions[name]
	return x == catalog.Any || x == catalog.Present && present != 0 || uint64(x) == present
}

// Whatever two nodes are asked, one after the other, they answer as one map
// would, and their caches end as it.
func TestTwoNodesAnswerAsOneMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kv := journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket)
		var nodes []*catalog.Catalog
		for range 2 {
			c, err := catalog.Open(t.Context(), four, kv, quiet(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			nodes = append(nodes, c)
		}
		first, _, err := nodes[0].Put(t.Context(), "t", []byte(hq), catalog.Any, false)
		if err != nil {
			t.Fatal(err)
		}
		o := &oracle{map[string]string{}, map[string]uint64{}, first.Revision}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			c := nodes[rapid.IntRange(0, 1).Draw(t, "node")]
			name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")
			expect := rapid.SampledFrom([]catalog.Expect{catalog.Any, catalog.Present, catalog.Absent, catalog.Expect(o.revisions[name]), catalog.Expect(o.newest)}).Draw(t, "expect")
			if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
				o.remove(t, c, name, expect)
			} else {
				o.put(t, c, name, expect, fmt.Sprintf("%stitle: t%d\n", roomOf(name), rapid.IntRange(0, 2).Draw(t, "title")))
			}
		}
		want := slices.Sorted(maps.Values(o.revisions))
		for _, c := range nodes {
			for changed := c.Changed(); !slices.Equal(revisions(c), want); changed = c.Changed() {
				<-changed
			}
		}
	})
}

func revisions(c *catalog.Catalog) []uint64 {
	var out []uint64
	for _, d := range c.Of("hq") {
		out = append(out, d.Revision)
	}
	return out
}

func (o *oracle) put(t *rapid.T, c *catalog.Catalog, name string, expect catalog.Expect, text string) {
	d, outcome, err := c.Put(t.Context(), "t", []byte(text), expect, false)
	old, there := o.texts[name]
	switch {
	case !o.met(name, expect):
		if !errors.Is(err, catalog.ErrConflict) {
			t.Fatalf("put at %d over %d: %v", expect, o.revisions[name], err)
		}
		return
	case err != nil:
		t.Fatal(err)
	case there && old == text:
		if outcome != catalog.Unchanged || d.Revision != o.revisions[name] {
			t.Fatalf("the same: %s at %d, it was at %d", outcome, d.Revision, o.revisions[name])
		}
		return
	case d.Revision <= o.newest || (outcome == catalog.Created) == there:
		t.Fatalf("%s at %d, the newest is %d", outcome, d.Revision, o.newest)
	}
	o.texts[name], o.revisions[name], o.newest = text, d.Revision, d.Revision
	if got, ok := c.Document(document.Room, "hq/"+name); !ok || got.Revision != d.Revision {
		t.Fatalf("who wrote revision %d reads %d", d.Revision, got.Revision)
	}
}

func (o *oracle) remove(t *rapid.T, c *catalog.Catalog, name string, expect catalog.Expect) {
	err := c.Remove(t.Context(), document.Room, "hq/"+name, expect)
	_, there := o.texts[name]
	switch {
	case !there:
		if !errors.Is(err, catalog.ErrNoDocument) {
			t.Fatalf("deleted what is not there: %v", err)
		}
		return
	case !o.met(name, expect):
		if !errors.Is(err, catalog.ErrConflict) {
			t.Fatalf("deleted at %d, it is at %d: %v", expect, o.revisions[name], err)
		}
		return
	case err != nil:
		t.Fatal(err)
	}
	delete(o.texts, name)
	delete(o.revisions, name)
	if _, ok := c.Document(document.Room, "hq/"+name); ok {
		t.Fatal("who deleted it reads it")
	}
}
