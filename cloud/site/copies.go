package site

import (
	"slices"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

// Documents is the catalog as far as sites depend on it.
type Documents interface {
	// Sites returns the sites of a shard, those that never sent anything
	// included.
	Sites(shard int) []id.Site
	// Of returns the rooms and pipelines of a site, by revision.
	Of(site id.Site) []journal.Document
	// Changed returns a channel that is closed with the next change.
	Changed() <-chan struct{}
}

// copied is what this owner has published of a document.
type copied struct {
	revision uint64
	deleted  bool
}

// copyDocuments publishes a record for each document that differs between the
// catalog and its site: the log says at which place in the order it takes
// effect. What was published once is not published again by this owner, whether
// the site took it or not. While the log does not take what is queued, further
// sites wait for the next second.
func (s *Shard) copyDocuments() {
	s.uncopied = false
	for _, name := range s.documents.Sites(s.cfg.Shard) {
		if s.uncopied = !s.keeper.hasSpace(); s.uncopied {
			return
		}
		if s.departed[name] == nil {
			s.copyDocumentsOf(name)
		}
	}
}

func (s *Shard) copyDocumentsOf(name id.Site) {
	var inForce map[docKey]*document
	if st := s.sites[name]; st != nil {
		inForce = st.documents
	}
	copies := s.copies[name]
	if copies == nil {
		copies = make(map[docKey]copied)
		s.copies[name] = copies
	}
	all := s.documents.Of(name)
	wanted := make(map[docKey]bool, len(all))
	for _, d := range all {
		wanted[docKey{d.Kind, d.Name}] = true
	}
	for _, key := range unwanted(inForce, copies, wanted) { // first: they make room
		d := journal.Document{Kind: key.kind, Name: key.name, Deleted: true, Revision: copies[key].revision}
		if had := inForce[key]; had != nil {
			d.Revision = max(d.Revision, had.Revision) // a later one may be on its way
		}
		if now := (copied{d.Revision, true}); copies[key] != now {
			copies[key] = now
			s.copyDocument(name, d)
		}
		if inForce[key] == nil {
			delete(copies, key)
		}
	}
	for _, d := range all {
		key := docKey{d.Kind, d.Name}
		if now := (copied{revision: d.Revision}); inForce[key].takes(&d) && copies[key] != now {
			copies[key] = now
			s.copyDocument(name, d)
		}
	}
}

// unwanted are the documents that the site has, or will have since they are on
// their way, and the catalog has not, in order.
func unwanted(inForce map[docKey]*document, copies map[docKey]copied, wanted map[docKey]bool) (keys []docKey) {
	for key := range inForce {
		if !wanted[key] {
			keys = append(keys, key)
		}
	}
	for key := range copies {
		if !wanted[key] && inForce[key] == nil {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, docKey.compare)
	return keys
}

func (s *Shard) copyDocument(site id.Site, d journal.Document) {
	s.keeper.add(journal.Record{Kind: journal.KindDocument, Origin: s.cfg.Node, Site: site, Body: d.Append(nil)})
}
