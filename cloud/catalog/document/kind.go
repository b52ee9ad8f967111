package document

import (
	"fmt"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
	"github.com/atrium-iot/atrium/shared/profile"
)

// Kind says what a document describes.
type Kind string

// The kinds.
const (
	Site     Kind = "site"
	Gateway  Kind = "gateway"
	Room     Kind = "room"
	Pipeline Kind = "pipeline"
	Profile  Kind = "profile"
)

// Kinds returns all kinds, in the order in which documents are applied: what
// others need comes first.
func Kinds() []Kind { return []Kind{Site, Profile, Gateway, Room, Pipeline} }

// ParseKind reads a kind's name.
func ParseKind(s string) (Kind, error) {
	if k := Kind(s); slices.Contains(Kinds(), k) {
		return k, nil
	}
	return "", fmt.Errorf("kind %q: want one of %s", s, kindNames())
}

func kindNames() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// CheckName says whether a name is one of the kind's: SITE, SITE/NAME, a room's
// SITE/PATH, or a profile's id.
func CheckName(k Kind, name string) error {
	var err error
	switch k {
	case Site:
		_, err = id.ParseSite(name)
	case Gateway:
		_, err = id.ParseGateway(name)
	case Room:
		_, err = id.ParseRoom(name)
	case Pipeline:
		_, err = id.ParsePipeline(name)
	case Profile:
		err = checkProfileID(name)
	default:
		_, err = ParseKind(string(k))
	}
	return err
}

// checkProfileID accepts vendor.type.
func checkProfileID(name string) error {
	vendor, kind, _ := strings.Cut(name, ".")
	_, err := id.ParseGateway(vendor + "/" + kind) // the grammar of two labels
	if err != nil {
		return fmt.Errorf("profile %q: want an id such as bosch.bme280", name)
	}
	return nil
}

// SiteOf returns the site that a document belongs to; a profile belongs to
// none. The name is valid.
func SiteOf(k Kind, name string) (id.Site, bool) {
	site, _, _ := strings.Cut(name, "/")
	return id.Site(site), k != Profile
}

// judge checks what a document holds, by its kind.
func judge(d *Document, file string) (err error) {
	switch d.Kind {
	case Site:
		return d.judgeSite()
	case Gateway:
		return d.judgeGateway()
	case Room:
		d.Room, err = room.Parse(file, d.Text)
	case Profile:
		d.Profile, err = profile.Parse(file, d.Text)
	case Pipeline:
		d.Pipeline, err = pipeline.Parse(file, d.Text)
	}
	return err
}
