package site

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/actor"
)

// The kinds of documents that take effect in a site.
const (
	roomKind     = "room"
	pipelineKind = "pipeline"
)

// docKey names a document within its site.
type docKey struct{ kind, name string }

func (k docKey) compare(o docKey) int {
	return cmp.Or(cmp.Compare(k.kind, o.kind), cmp.Compare(k.name, o.name))
}

// document is a document in force, as the snapshot holds it.
type document struct {
	_        struct{} `cbor:",toarray"`
	Kind     string
	Name     string // within the site
	Revision uint64 // of the catalog
	Text     []byte
}

func (d *document) key() docKey { return docKey{d.Kind, d.Name} }

// takes reports whether a record about a document changes what is in force:
// only a later revision does, and only the removal of what is there.
func (d *document) takes(rec *journal.Document) bool {
	switch {
	case d == nil:
		return !rec.Deleted
	case rec.Deleted:
		return rec.Revision >= d.Revision
	}
	return rec.Revision > d.Revision
}

// takeDocument brings a document into force or takes one away. One that can't
// be brought into force is a dead letter: its former revision stays.
func (s *site) takeDocument(ctx *actor.ContextOf[message], m message) {
	d, err := journal.ParseDocument(m.rec.body)
	if err != nil {
		s.bury(m, err.Error())
		return
	}
	key := docKey{d.Kind, d.Name}
	had := s.documents[key]
	if !had.takes(&d) {
		return
	}
	if err := s.fits(&d, had); err != nil {
		s.bury(m, err.Error())
		return
	}
	var rooms []string
	switch {
	case d.Kind == roomKind && d.Deleted:
		rooms = s.removeRoom(ctx, d.Name)
	case d.Kind == roomKind:
		rooms, err = s.putRoom(d)
	case d.Deleted:
		s.removePipeline(ctx, m, d.Name)
	default:
		err = s.putPipeline(ctx, m, d)
	}
	if err != nil {
		s.bury(m, err.Error())
		return
	}
	for _, name := range rooms {
		send(ctx, s.redefine(name).ref, roomMessage{})
	}
	s.totals.documents++
	if d.Deleted {
		delete(s.documents, key)
	} else {
		s.documents[key] = &document{Kind: d.Kind, Name: d.Name, Revision: d.Revision, Text: bytes.Clone(d.Text)}
	}
	s.choosePipelines(m)
}

// fits reports whether the site can hold a document's text in place of the
// former.
func (s *site) fits(d *journal.Document, had *document) error {
	size := len(d.Text)
	for _, other := range s.documents {
		if other != had {
			size += len(other.Text)
		}
	}
	if size > MaxDocumentText {
		return fmt.Errorf("limit: %s %s would make %d bytes of documents, more than %d of the site", d.Kind, d.Name, size, MaxDocumentText)
	}
	return nil
}

// sortedDocuments returns the documents in force by kind and name.
func (s *site) sortedDocuments() []*document {
	return slices.SortedFunc(maps.Values(s.documents), func(a, b *document) int { return a.key().compare(b.key()) })
}
