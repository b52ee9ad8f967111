package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
	"github.com/atrium-iot/atrium/shared/profile"
)

const (
	// MaxDocuments bounds the documents of a cluster: the cache holds them all.
	MaxDocuments = 65536
	// maxEach bounds the documents of one kind, of a site or (profiles) of the
	// cluster, but for pipelines, of which a site runs pipeline.MaxPipelines.
	maxEach = room.MaxRooms
	// maxStored bounds their bytes together: half of the bucket, so that the
	// map of MaxSites sites always finds room.
	maxStored = 8 << 20
)

// key names a document in the cache.
type key struct {
	kind document.Kind
	name string
}

// shelf is the cache of documents. Only the watch puts anything there, so that
// it follows the order of the bucket: a slow write never brings back what a
// later one replaced.
type shelf struct {
	all      map[key]*held
	sites    map[id.Site]map[key]*held // "" has what belongs to no site
	stored   int                       // bytes in the bucket
	revision uint64                    // of the newest entry that was seen
	changed  chan struct{}             // closed with the next change of a document
	seen     chan struct{}             // closed with the next entry of the bucket
}

type held struct {
	Document
	size    int
	room    *room.Room       // of that kind
	profile *profile.Profile // of that kind
}

func newShelf() shelf {
	return shelf{
		all: make(map[key]*held), sites: make(map[id.Site]map[key]*held),
		changed: make(chan struct{}), seen: make(chan struct{}),
	}
}

// scope is the site of a document, "" for none.
func scope(kind document.Kind, name string) id.Site {
	if site, of := document.SiteOf(kind, name); of {
		return site
	}
	return ""
}

// drop takes a document away.
func (s *shelf) drop(k key) {
	h := s.all[k]
	if h == nil {
		return
	}
	delete(s.all, k)
	s.stored -= h.size
	at := scope(k.kind, k.name)
	if delete(s.sites[at], k); len(s.sites[at]) == 0 {
		delete(s.sites, at)
	}
}

func (s *shelf) put(h *held) {
	k := key{h.Kind, h.Name}
	s.drop(k)
	s.all[k] = h
	s.stored += h.size
	at := scope(k.kind, k.name)
	if s.sites[at] == nil {
		s.sites[at] = make(map[key]*held)
	}
	s.sites[at][k] = h
}

// fits says whether a document finds room. isNew: it replaces none.
func (s *shelf) fits(kind document.Kind, name string, isNew bool, size int) error {
	grows := size
	if h := s.all[key{kind, name}]; h != nil {
		grows -= h.size
	}
	if s.stored+grows > maxStored {
		return fmt.Errorf("%w: the documents take %d of %d bytes: delete some, or write them shorter", ErrFull, s.stored, maxStored)
	}
	if !isNew {
		return nil
	}
	if len(s.all) >= MaxDocuments {
		return fmt.Errorf("%w: there are %d documents: delete some", ErrFull, len(s.all))
	}
	at, n := scope(kind, name), 0
	for k := range s.sites[at] {
		if k.kind == kind {
			n++
		}
	}
	most := maxEach
	if kind == document.Pipeline {
		most = pipeline.MaxPipelines
	}
	switch {
	case n < most:
		return nil
	case at == "":
		return fmt.Errorf("%w: there are %d %ss: delete one first", ErrFull, n, kind)
	}
	return fmt.Errorf("%w: site %s has %d %ss: delete one first", ErrFull, at, n, kind)
}

// roomsBeside returns the other rooms of a room's site, by revision.
func (s *shelf) roomsBeside(r *room.Room) (others []*room.Room) {
	var all []*held
	for _, h := range s.sites[r.Name.Site] {
		if h.room != nil && h.room.Name != r.Name {
			all = append(all, h)
		}
	}
	slices.SortFunc(all, func(a, b *held) int { return cmp.Compare(a.Revision, b.Revision) })
	for _, h := range all {
		others = append(others, h.room)
	}
	return others
}

// planned says whether a room keeps the limits that the rooms of a site have
// together. A full site takes 30 ms.
func planned(r *room.Room, others []*room.Room) error {
	var plan room.Plan
	for _, other := range others {
		plan.Put(other) //nolint:errcheck // nodes wrote at once: the site's owner leaves it out, too
	}
	_, err := plan.Put(r)
	return err
}

// learnDocument takes what the watch brought into the cache.
func (c *Catalog) learnDocument(e journal.Entry) error {
	kind, name, err := parseDocumentKey(e.Key)
	if err != nil {
		return err
	}
	var h *held
	if e.Value != nil {
		if h, err = holdDocument(e); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.documents
	old := s.all[key{kind, name}]
	if old != nil && old.Revision >= e.Revision || old == nil && h == nil {
		return nil
	}
	if h == nil {
		s.drop(key{kind, name})
	} else {
		s.put(h)
	}
	c.metrics.documents.Set(float64(len(s.all)))
	c.metrics.stored.Set(float64(s.stored))
	s.tell()
	return nil
}

// tell wakes who waits for changes.
func (s *shelf) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// sweep takes away what is not in the bucket any more, after a watch has shown
// all there is. A key that is written just then may not be shown before it, so
// each one is looked at.
func (c *Catalog) sweep(ctx context.Context, shown map[string]bool) {
	for _, d := range c.Documents("", "") {
		key := documentKey(d.Kind, d.Name)
		if shown[key] {
			continue
		}
		if _, err := c.kv.Get(ctx, key); errors.Is(err, journal.ErrNotFound) {
			c.learn(journal.Entry{Key: key, Revision: d.Revision + 1})
		}
	}
}

func holdDocument(e journal.Entry) (*held, error) {
	d, err := parseDocument(e)
	if err != nil {
		return nil, err
	}
	h := &held{Document: d, size: len(e.Value)}
	switch d.Kind {
	case document.Room:
		h.room, err = room.Parse(d.Name, d.Text)
	case document.Profile:
		h.profile, err = profile.Parse(d.Name, d.Text)
	}
	return h, err
}

// passed notes that the watch has come to a revision.
func (c *Catalog) passed(revision uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.documents
	s.revision = max(s.revision, revision)
	close(s.seen)
	s.seen = make(chan struct{})
}

// caught waits until the cache has come to a revision, so that who writes reads
// what it wrote.
func (c *Catalog) caught(ctx context.Context, revision uint64) {
	c.await(ctx, func(s *shelf) bool { return s.revision >= revision })
}

// forgotten waits until the cache no longer has a revision of a document.
func (c *Catalog) forgotten(ctx context.Context, d Document) {
	c.await(ctx, func(s *shelf) bool {
		h := s.all[key{d.Kind, d.Name}]
		return h == nil || h.Revision > d.Revision
	})
}

// await waits for the cache, but not for long: that it lags is no fault of the
// write that waits.
func (c *Catalog) await(ctx context.Context, holds func(*shelf) bool) {
	ctx, cancel := context.WithTimeout(ctx, cacheWithin)
	defer cancel()
	for {
		c.mu.Lock()
		there, seen := holds(&c.documents), c.documents.seen
		c.mu.Unlock()
		if there {
			return
		}
		select {
		case <-seen:
		case <-ctx.Done():
			return
		}
	}
}

// Document returns a document from the cache.
func (c *Catalog) Document(kind document.Kind, name string) (Document, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.documents.all[key{kind, name}]; h != nil {
		return h.Document, true
	}
	return Document{}, false
}

// Documents returns the documents of a kind, "" for all, and of a site, "" for
// all and those of none, by kind and name.
func (c *Catalog) Documents(kind document.Kind, site id.Site) []Document {
	c.mu.Lock()
	from := c.documents.all
	if site != "" {
		from = c.documents.sites[site]
	}
	var out []Document
	for k, h := range from {
		if kind == "" || k.kind == kind {
			out = append(out, h.Document)
		}
	}
	c.mu.Unlock()
	slices.SortFunc(out, func(a, b Document) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// Of returns the documents that a site's log copies, its rooms and pipelines,
// by revision. One that is absent does not exist.
func (c *Catalog) Of(site id.Site) []journal.Document {
	c.mu.Lock()
	var out []journal.Document
	for k, h := range c.documents.sites[site] {
		if k.kind == document.Room || k.kind == document.Pipeline {
			out = append(out, journal.Document{Kind: string(k.kind), Name: k.name[len(site)+1:], Revision: h.Revision, Text: h.Text})
		}
	}
	c.mu.Unlock()
	slices.SortFunc(out, func(a, b journal.Document) int { return cmp.Compare(a.Revision, b.Revision) })
	return out
}

// Changed returns a channel that the next change of a document, or of a site's
// move, closes. Who waits for changes takes it before it looks.
func (c *Catalog) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.documents.changed
}

// Profile returns a firmware profile that was applied, compiled.
func (c *Catalog) Profile(name string) (*profile.Profile, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.documents.all[key{document.Profile, name}]; h != nil {
		return h.profile, true
	}
	return nil, false
}
