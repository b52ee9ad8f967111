package journal

import (
	"fmt"

	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// MaxText bounds a document's text in bytes: people write them by hand, and
	// a record of one fits a message of the log many times.
	MaxText = 64 << 10

	// maxDocumentName bounds a document's name within its site in bytes: a room
	// of the deepest path.
	maxDocumentName = id.MaxDepth * (id.MaxName + 1)
	// maxDocumentKind bounds a document's kind in bytes: longer than any.
	maxDocumentKind = 16
)

// Document is the body of the record that copies a document of the catalog
// into its site's log, where it takes effect at one place in the order.
type Document struct {
	Kind     string // "room" or "pipeline"
	Name     string // within the site
	Revision uint64 // of the catalog, ascending
	Deleted  bool   // there is no such document from here on; Text is empty
	Text     []byte // as it was applied. Aliases the parsed body
}

// Append writes [1, kind, name, revision, deleted, text].
func (m Document) Append(dst []byte) []byte {
	dst = appendUint(appendHead(dst, majorArray, 6), envelopeVersion)
	dst = appendText(dst, m.Kind)
	dst = appendText(dst, m.Name)
	dst = appendUint(dst, m.Revision)
	deleted := uint64(0)
	if m.Deleted {
		deleted = 1
	}
	dst = appendUint(dst, deleted)
	dst = appendHead(dst, majorBytes, uint64(len(m.Text)))
	return append(dst, m.Text...)
}

// ParseDocument reads what Document.Append wrote. The text is the document's
// own parser's to judge.
func ParseDocument(body []byte) (Document, error) {
	d := decoder{b: body}
	d.array(6, "document")
	version(&d, "document")
	m := Document{Kind: string(d.take(majorText, maxDocumentKind, "kind"))}
	m.Name = string(d.take(majorText, maxDocumentName, "name"))
	d.demand(checkDocumentName(m.Kind, m.Name))
	m.Revision = d.uint("revision")
	deleted := d.uint("deleted")
	m.Deleted = deleted == 1
	m.Text = d.take(majorBytes, MaxText, "text")
	if deleted > 1 || m.Deleted && len(m.Text) > 0 {
		d.fail("deleted: %d with a text of %d bytes", deleted, len(m.Text))
	}
	if err := d.end(); err != nil {
		return Document{}, fmt.Errorf("journal: document: %w", err)
	}
	return m, nil
}

// anySite completes a name within a site to one that the id package reads.
const anySite = "site/"

func checkDocumentName(kind, name string) (err error) {
	switch kind {
	case "room":
		_, err = id.ParseRoom(anySite + name)
	case "pipeline":
		_, err = id.ParsePipeline(anySite + name)
	default:
		err = fmt.Errorf("a document of kind %q has no record", kind)
	}
	return err
}
