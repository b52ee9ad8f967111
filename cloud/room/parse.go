package room

import (
	"slices"
	"strings"
	"unicode"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
)

// Room is a room's document. It never changes.
type Room struct {
	Name    id.Room
	Title   string
	Devices []string // its own ones, by their names within the site, sorted
}

// document is a room as it is written:
//
//	kind: room
//	name: hq/floor-1/kitchen
//	title: Kitchen
//	devices: [t1, relay-1]
type document struct {
	Kind    string   `yaml:"kind,required"`
	Name    string   `yaml:"name,required"`
	Title   string   `yaml:"title"`
	Devices []string `yaml:"devices"`
}

// Parse reads a room's document; file is used in errors only. Every error is a
// *config.Error: it has the file's name, line and column, and says what is
// wanted there.
func Parse(file string, data []byte) (*Room, error) {
	d, err := config.Parse(file, data)
	if err != nil {
		return nil, err
	}
	var in document
	if err := d.Decode(&in); err != nil {
		return nil, err
	}
	if in.Kind != "room" {
		return nil, d.Errorf("$.kind", "want room, got %q", in.Kind)
	}
	r := &Room{Title: in.Title}
	if r.Name, err = id.ParseRoom(in.Name); err != nil {
		return nil, d.Errorf("$.name", "%v", err)
	}
	if len(in.Title) > maxTitle {
		return nil, d.Errorf("$.title", "%d bytes, at most %d", len(in.Title), maxTitle)
	}
	if i := strings.IndexFunc(in.Title, func(c rune) bool { return !unicode.IsPrint(c) }); i >= 0 {
		return nil, d.Errorf("$.title", "want a line of printable characters, byte %d is none", i+1)
	}
	if r.Devices, err = devices(d, r.Name.Site, in.Devices); err != nil {
		return nil, err
	}
	return r, nil
}

// devices checks and sorts the names of a document.
func devices(d *config.Document, site id.Site, names []string) ([]string, error) {
	const path = "$.devices"
	if len(names) > MaxDevices {
		return nil, d.Errorf(path, "%d devices, at most %d", len(names), MaxDevices)
	}
	seen := make(map[string]bool, len(names))
	for i, name := range names {
		if _, err := id.ParseDevice(string(site) + "/" + name); err != nil {
			return nil, d.Errorf(config.Index(path, i), "want a device's name within site %s, such as t1: %v", site, err)
		}
		if seen[name] {
			return nil, d.Errorf(config.Index(path, i), "%s is given twice", name)
		}
		seen[name] = true
	}
	return slices.Sorted(slices.Values(names)), nil
}
