package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/journal"
)

// documentPrefix begins the key of a document: doc.<kind>.<name>.
const documentPrefix = "doc."

// storedDocument is a document as the bucket holds it.
type storedDocument struct {
	Version int           `json:"version"`
	Kind    document.Kind `json:"kind"`
	Name    string        `json:"name"`
	Text    string        `json:"text"`
	Applied time.Time     `json:"applied"`
}

func documentKey(kind document.Kind, name string) string {
	return documentPrefix + string(kind) + "." + name
}

func parseDocumentKey(s string) (document.Kind, string, error) {
	first, name, _ := strings.Cut(strings.TrimPrefix(s, documentPrefix), ".")
	kind, err := document.ParseKind(first)
	if err != nil {
		return "", "", err
	}
	return kind, name, document.CheckName(kind, name)
}

// encodeDocument writes no \u003c for <: a text grows to twice its bytes at
// most, which the bucket's values allow.
func encodeDocument(d Document) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(storedDocument{documentVersion, d.Kind, d.Name, string(d.Text), d.Applied}); err != nil {
		panic("BUG: catalog: " + err.Error()) // only strings, an integer and a time
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// parseDocument reads what the bucket holds. The text was judged when it was
// applied.
func parseDocument(e journal.Entry) (Document, error) {
	kind, name, err := parseDocumentKey(e.Key)
	if err != nil {
		return Document{}, err
	}
	var d storedDocument
	if err := decode(e.Value, &d, &d.Version); err != nil {
		return Document{}, err
	}
	if d.Kind != kind || d.Name != name {
		return Document{}, fmt.Errorf("holds %s %s", d.Kind, d.Name)
	}
	return Document{Kind: kind, Name: name, Revision: e.Revision, Text: []byte(d.Text), Applied: d.Applied}, nil
}
