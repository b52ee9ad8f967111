package site

import (
	"cmp"
	"slices"
	"sync"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// ownerOf is a record of an owner about a site.
func ownerOf(kind journal.RecordKind, site id.Site, body []byte) journal.Record {
	return journal.Record{Kind: kind, Origin: "node", Site: site, Body: body}
}

// fakeDocuments is a catalog of one site, hq.
type fakeDocuments struct {
	mu       sync.Mutex
	revision uint64
	all      map[docKey]journal.Document
	changed  chan struct{}
}

func newFakeDocuments() *fakeDocuments {
	return &fakeDocuments{all: make(map[docKey]journal.Document), changed: make(chan struct{})}
}

func (f *fakeDocuments) Sites(int) []id.Site { return []id.Site{"hq"} }

func (f *fakeDocuments) Of(id.Site) []journal.Document {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []journal.Document
	for _, d := range f.all {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b journal.Document) int { return cmp.Compare(a.Revision, b.Revision) })
	return out
}

func (f *fakeDocuments) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// put applies a document; no text removes it.
func (f *fakeDocuments) put(kind, name, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revision++
	if key := (docKey{kind, name}); text == "" {
		delete(f.all, key)
	} else {
		f.all[key] = journal.Document{Kind: kind, Name: name, Revision: f.revision, Text: []byte(text)}
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// fakeSender keeps what it is to send.
type fakeSender struct {
	mu   sync.Mutex
	err  error
	sent []wire.Command
	to   []id.Gateway
	hook func()
}

func (f *fakeSender) Command(gw id.Gateway, c wire.Command) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hook != nil {
		f.hook()
	}
	f.sent, f.to = append(f.sent, c), append(f.to, gw)
	return f.err
}

func (f *fakeSender) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sent)
}
