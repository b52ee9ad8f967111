package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// writeAgain is how long somebody waits whose document was not taken.
	writeAgain = 200 * time.Millisecond
	// writeTime is the longest wait for an answer.
	writeTime = 3 * time.Second
	// writeGiveUp is how long no trouble may keep a document from being written.
	writeGiveUp = time.Minute
)

// docName names a document: kind and name within the site.
type docName struct {
	site id.Site
	kind document.Kind
	name string
}

func (n docName) String() string { return string(n.site) + "/" + n.name }

// written are the documents of a site, by Event.N.
var written = []struct {
	kind document.Kind
	name string
}{
	{document.Room, "hall"},
	{document.Room, "hall/desk"},
	{document.Pipeline, "means"},
	{document.Pipeline, "even"},
	{document.Pipeline, "hall"},
	{document.Pipeline, "saw"},
}

// spec is what a version of a pipeline does, as its text says it.
type spec struct {
	every int64 // of its window, microseconds; 0 without one
	even  bool  // takes even numbers alone, and halves them
	rooms bool  // reads the devices of the hall; otherwise all of the site
}

// versions is how many versions of a document differ.
const versions = 6

func specOf(name string, version int) spec {
	s := spec{every: int64(1+version%3) * 1_000_000, even: name == "even", rooms: name == "hall"}
	if name == "saw" {
		s.every = 0
	}
	return s
}

// textOf writes a version of a document.
func (s *Sim) textOf(n docName, version int) string {
	head := fmt.Sprintf("kind: %s\nname: %s\ntitle: version %d\n", n.kind, n, version)
	if n.kind == document.Room {
		return head + "devices: [" + strings.Join(s.devicesOf(n, version), ", ") + "]\n"
	}
	of := specOf(n.name, version)
	if of.rooms {
		head += "from: {rooms: [hall]}\n"
	}
	head += "points: [count]\nstages:\n"
	if of.every == 0 {
		return head + "  - derive: {name: saw, expr: \"count - 20 * floor(count / 20)\"}\n" +
			fmt.Sprintf("  - alarm: {above: 12, clear: 4, for: %dms, text: saw}\n", 100*(version%3))
	}
	if of.even {
		head += "  - filter: \"count / 2 == floor(count / 2)\"\n  - derive: {name: half, expr: \"count / 2\"}\n"
	}
	return head + fmt.Sprintf("  - window: {every: %ds}\n  - alarm: {of: count, above: 5, clear: 3}\n", of.every/1_000_000)
}

// devicesOf lists about half of a site's devices, another half in each version
// of a room.
func (s *Sim) devicesOf(n docName, version int) (some []string) {
	i := version + len(n.name)
	for _, g := range s.gateways {
		if g.name.Site != n.site {
			continue
		}
		for _, d := range g.board.all() {
			if i++; i%2 == 0 || i%(2+version%3) == 0 {
				some = append(some, d.Name)
			}
		}
	}
	return some
}

// office is who writes documents, one at a time, and what they last wrote.
type office struct {
	desk chan struct{}      // of capacity 1: a mutex that is waited for stops the clock of a bubble
	last map[docName]string // "" of one that is deleted
}

// write puts a document into the catalog, or takes it away, and tries until a
// node has done it: which one, nobody cares.
func (s *Sim) write(ctx context.Context, e Event) {
	w := written[e.N]
	name := docName{s.gateways[e.Gateway].name.Site, w.kind, w.name}
	text := s.textOf(name, e.Number%versions)
	if e.After {
		text = ""
	}
	s.office.desk <- struct{}{}
	defer func() { <-s.office.desk }()
	begin := time.Now()
	for slot := e.Number; ctx.Err() == nil; slot++ {
		asking, cancel := context.WithTimeout(ctx, writeTime)
		err := s.cloud.write(asking, slot%s.cloud.slots(), name, text)
		cancel()
		if err == nil {
			s.trace.event("%s %s is written: %d bytes", name.kind, name, len(text))
			s.office.last[name] = text
			return
		}
		s.trace.event("%s %s is not written: %v", name.kind, name, err)
		if time.Since(begin) > writeGiveUp {
			s.trace.complain("documents", "%s %s cannot be written: %v", name.kind, name, err)
			return
		}
		time.Sleep(writeAgain)
	}
}

// write writes a document at the node of a slot.
func (c *cloud) write(ctx context.Context, slot int, name docName, text string) error {
	c.mu.Lock()
	n := c.nodes[slot]
	c.mu.Unlock()
	if n == nil || !n.serves() {
		return errNoNode
	}
	if text == "" {
		err := n.catalog.Remove(ctx, name.kind, name.String(), catalog.Any)
		if errors.Is(err, catalog.ErrNoDocument) {
			err = nil
		}
		return err
	}
	place := fmt.Sprintf("kind: site\nname: %s\n", name.site)
	if _, _, err := n.catalog.Put(ctx, "site", []byte(place), catalog.Any, false); err != nil {
		return err
	}
	_, _, err := n.catalog.Put(ctx, name.String(), []byte(text), catalog.Any, false)
	return err
}

// versionOf reads the version in a text of textOf.
func versionOf(text []byte) (version int) {
	_, title, _ := strings.Cut(string(text), "title: version ")
	_, _ = fmt.Sscan(title, &version) // textOf wrote it
	return version
}
