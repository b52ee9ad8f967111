package document

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
	"github.com/atrium-iot/atrium/shared/profile"
)

const (
	// MaxText bounds a document in bytes: people write them, and the longest
	// profile has 3 KiB.
	MaxText = 64 << 10
	// maxTitle bounds a title in bytes: a line of a terminal.
	maxTitle = 120
)

// Document is a document that is right by itself.
type Document struct {
	Kind  Kind
	Name  string // SITE, SITE/NAME, SITE/PATH of a room, or a profile's id
	Title string
	Zone  string // of a site: where its state should live; empty anywhere
	Text  []byte // as it was given

	Room     *room.Room         // of that kind, nil of others
	Profile  *profile.Profile   // of that kind, nil of others
	Pipeline *pipeline.Pipeline // of that kind, nil of others

	tree *config.Document
}

// Parse reads one document; file is used in errors only. Every error is a
// *config.Error: it has the file's name, line and column, and says what is
// wanted there.
func Parse(file string, text []byte) (*Document, error) {
	if len(text) > MaxText {
		return nil, &config.Error{File: file, Text: fmt.Sprintf("a document of %d bytes, at most %d", len(text), MaxText)}
	}
	tree, err := config.Parse(file, text)
	if err != nil {
		return nil, err
	}
	d := &Document{Text: text, tree: tree}
	if err := d.head(); err != nil {
		return nil, err
	}
	if err := judge(d, file); err != nil {
		return nil, err
	}
	return d, nil
}

// String names the document: "room hq/kitchen".
func (d *Document) String() string { return string(d.Kind) + " " + d.Name }

// Errorf reports a fault at one of the document's values that only the caller
// can know. path is config.Document's.
func (d *Document) Errorf(path, format string, args ...any) error {
	return d.tree.Errorf(path, format, args...)
}

// head finds kind and name. A firmware profile has neither: it is recognised
// by its id and bus.
func (d *Document) head() error {
	key := "name"
	if !d.tree.Has("$.kind") && d.tree.Has("$.id") && d.tree.Has("$.bus") {
		d.Kind, key = Profile, "id"
	} else if !d.tree.Has("$.kind") {
		return d.Errorf("$.kind", "missing, want one of %s", kindNames())
	}
	tree, _ := d.tree.Tree().(map[string]any)
	if d.Kind == "" {
		text, _ := tree["kind"].(string)
		var err error
		if d.Kind, err = ParseKind(text); err != nil {
			return d.Errorf("$.kind", "want one of %s, got %q", kindNames(), text)
		}
	}
	if !d.tree.Has(config.Join("$", key)) {
		return d.Errorf(config.Join("$", key), "missing")
	}
	name, isText := tree[key].(string)
	if !isText {
		return d.Errorf(config.Join("$", key), "want a text (in quotes, if it reads as another type)")
	}
	if err := CheckName(d.Kind, name); err != nil {
		return d.Errorf(config.Join("$", key), "%v", err)
	}
	d.Name = name
	d.Title, _ = tree["title"].(string)
	return nil
}

// siteDocument is a site as it is written:
//
//	kind: site
//	name: hq
//	title: Headquarters
//	zone: cellar
type siteDocument struct {
	Kind  string `yaml:"kind,required"`
	Name  string `yaml:"name,required"`
	Title string `yaml:"title"`
	Zone  string `yaml:"zone"`
}

func (d *Document) judgeSite() error {
	var in siteDocument
	if err := d.tree.Decode(&in); err != nil {
		return err
	}
	if d.tree.Has("$.zone") {
		if _, err := id.ParseSite(in.Zone); err != nil { // the grammar of a label
			return d.Errorf("$.zone", "want a zone's label such as cellar, got %q", in.Zone)
		}
	}
	d.Zone = in.Zone
	return d.checkTitle()
}

// gatewayDocument is a gateway as it is written:
//
//	kind: gateway
//	name: hq/gw-1
//	title: Cellar, left of the door
type gatewayDocument struct {
	Kind  string `yaml:"kind,required"`
	Name  string `yaml:"name,required"`
	Title string `yaml:"title"`
}

func (d *Document) judgeGateway() error {
	var in gatewayDocument
	if err := d.tree.Decode(&in); err != nil {
		return err
	}
	return d.checkTitle()
}

func (d *Document) checkTitle() error {
	if len(d.Title) > maxTitle {
		return d.Errorf("$.title", "%d bytes, at most %d", len(d.Title), maxTitle)
	}
	if i := strings.IndexFunc(d.Title, func(c rune) bool { return !unicode.IsPrint(c) }); i >= 0 {
		return d.Errorf("$.title", "want a line of printable characters, byte %d is none", i+1)
	}
	return nil
}
