package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/room"
	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
)

// cacheWithin bounds how long a write waits until the cache shows it: a watch
// takes a millisecond, and comes back half a second after it broke.
const cacheWithin = 2 * time.Second

var (
	// ErrNoDocument says that there is no document of that kind and name.
	ErrNoDocument = errors.New("no such document")
	// ErrUnknownSite says that a document's site has neither a document nor a
	// gateway that ever connected.
	ErrUnknownSite = errors.New("unknown site")
	// ErrInUse says that other documents need the one that was to be deleted.
	ErrInUse = errors.New("in use")
)

// Document is a document as it was applied.
type Document struct {
	Kind     document.Kind
	Name     string
	Revision uint64
	Text     []byte // shared by all who ask: not to be changed
	Applied  time.Time
}

// String names the document: "room hq/kitchen".
func (d Document) String() string { return string(d.Kind) + " " + d.Name }

// Outcome says what applying a document did.
type Outcome string

// The outcomes of Put.
const (
	Created   Outcome = "created"
	Replaced  Outcome = "configured"
	Unchanged Outcome = "unchanged" // it was there word for word
)

// Put applies a document if what is there is what the caller expects, and
// returns it as it then is. With dryRun it says only what would happen: the
// revision is that of what is there. file is used in errors.
//
// A document that is not right is a *config.Error with its place. Others are
// ErrUnknownSite, ErrFull, *ConflictError, and journal.ErrAmbiguous when no
// answer came in time to a write that expected a revision. Every error but the
// last changes nothing.
func (c *Catalog) Put(ctx context.Context, file string, text []byte, expect Expect, dryRun bool) (Document, Outcome, error) {
	in, err := document.Parse(file, text)
	if err != nil {
		c.metrics.count(resultOf("", dryRun, err))
		return Document{}, "", err
	}
	release, err := c.write(ctx)
	if err != nil {
		return Document{}, "", err
	}
	defer release()
	p := &put{Catalog: c, in: in, expect: expect, dryRun: dryRun}
	for !p.done && err == nil {
		err = p.try(ctx)
	}
	c.metrics.count(resultOf(p.outcome, dryRun, err))
	if err == nil {
		return p.next, p.outcome, nil
	}
	if _, placed := errors.AsType[*config.Error](err); !placed {
		err = fmt.Errorf("catalog: put %s: %w", in, err)
	}
	return Document{}, "", err
}

// write takes the token of this node's writes: limits are counted one write at
// a time.
func (c *Catalog) write(ctx context.Context) (release func(), err error) {
	select {
	case c.writing <- struct{}{}:
		return func() { <-c.writing }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("catalog: write: %w", ctx.Err())
	}
}

// put is one document on its way into the bucket.
type put struct {
	*Catalog
	in     *document.Document
	expect Expect
	dryRun bool

	lost    bool // an earlier try got no answer: it may be what is there
	done    bool
	outcome Outcome
	next    Document
}

// try looks what is there, judges it, and writes; done is not set if it must
// be looked at again.
func (p *put) try(ctx context.Context) error {
	present, err := p.present(ctx, p.in.Kind, p.in.Name)
	if err != nil {
		return err
	}
	same := present.Revision != 0 && bytes.Equal(present.Text, p.in.Text)
	switch {
	case same && p.lost:
		p.done, p.next = true, present // p.outcome is that of the earlier try
		p.caught(ctx, present.Revision)
		return nil
	case !p.expect.met(present.Revision):
		return &ConflictError{Present: present, Expect: p.expect}
	case same:
		p.done, p.next, p.outcome = true, present, Unchanged
		return nil
	}
	p.outcome = Replaced
	if present.Revision == 0 {
		p.outcome = Created
	}
	p.next = Document{Kind: p.in.Kind, Name: p.in.Name, Text: p.in.Text, Applied: time.Now().UTC().Truncate(time.Microsecond)}
	value := encodeDocument(p.next)
	if err := p.admit(ctx, p.in, present, len(value)); err != nil {
		return err
	}
	if p.dryRun {
		p.done, p.next.Revision = true, present.Revision
		return nil
	}
	return p.store(ctx, present.Revision, value)
}

func (p *put) store(ctx context.Context, replaces uint64, value []byte) error {
	if err := p.settle(ctx, p.in); err != nil {
		return err
	}
	revision, err := p.kv.Put(ctx, documentKey(p.in.Kind, p.in.Name), value, replaces)
	switch {
	case err == nil:
		p.done, p.next.Revision = true, revision
		p.caught(ctx, revision)
		return nil
	case errors.Is(err, journal.ErrAmbiguous) && p.expect == Any:
		p.lost = true
		return nil
	case errors.Is(err, journal.ErrConflict):
		return nil // another wrote it: what is there now decides
	}
	return err
}

// present reads what the bucket holds; a document that is not there has
// revision 0.
func (c *Catalog) present(ctx context.Context, kind document.Kind, name string) (Document, error) {
	e, err := c.kv.Get(ctx, documentKey(kind, name))
	if errors.Is(err, journal.ErrNotFound) {
		return Document{Kind: kind, Name: name}, nil
	}
	if err != nil {
		return Document{}, err
	}
	d, err := parseDocument(e)
	if err != nil {
		return Document{}, fmt.Errorf("document %s: %w", e.Key, err)
	}
	return d, nil
}

// admit says whether a document of a site may be there, and fits.
func (c *Catalog) admit(ctx context.Context, in *document.Document, present Document, size int) error {
	if site, of := document.SiteOf(in.Kind, in.Name); of {
		_, _, known, err := c.Shard(ctx, site)
		switch {
		case err != nil:
			return err
		case in.Kind == document.Site:
			if a, ok := c.cached(site); ok && in.Zone != "" && in.Zone != a.Zone {
				return in.Errorf("$.zone", "site %s lives in zone %s, and keeps it", site, a.Zone)
			}
		case !known:
			return fmt.Errorf("%w %s: apply its document first, with kind: site and name: %s", ErrUnknownSite, site, site)
		}
	}
	others, err := c.fits(in, present.Revision == 0, size)
	if err != nil || in.Room == nil {
		return err
	}
	if err := planned(in.Room, others); err != nil {
		return in.Errorf("$.devices", "%v", err)
	}
	return nil
}

// fits says whether the cache has room for a document, and returns the other
// rooms of a room's site.
func (c *Catalog) fits(in *document.Document, isNew bool, size int) (others []*room.Room, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.documents.fits(in.Kind, in.Name, isNew, size); err != nil || in.Room == nil {
		return nil, err
	}
	return c.documents.roomsBeside(in.Room), nil
}

// settle gives the site of a site's document its shard.
func (c *Catalog) settle(ctx context.Context, in *document.Document) error {
	if in.Kind != document.Site {
		return nil
	}
	zone := in.Zone
	if zone == "" {
		zone = c.cfg.Zone
	}
	_, err := c.assignIn(ctx, id.Site(in.Name), zone)
	return err
}

// Remove deletes a document if what is there is what the caller expects.
// ErrNoDocument, ErrInUse, *ConflictError, journal.ErrAmbiguous. The site of a
// site's document stays, with its devices and their history.
func (c *Catalog) Remove(ctx context.Context, kind document.Kind, name string, expect Expect) error {
	release, err := c.write(ctx)
	if err != nil {
		return err
	}
	defer release()
	err = c.remove(ctx, kind, name, expect)
	c.metrics.count(resultOf(deleted, false, err))
	if err != nil {
		return fmt.Errorf("catalog: delete %s %s: %w", kind, name, err)
	}
	return nil
}

func (c *Catalog) remove(ctx context.Context, kind document.Kind, name string, expect Expect) error {
	if err := document.CheckName(kind, name); err != nil {
		return fmt.Errorf("%w: %w", ErrNoDocument, err)
	}
	for lost := false; ; {
		present, err := c.present(ctx, kind, name)
		switch {
		case err != nil:
			return err
		case present.Revision == 0 && lost:
			return nil
		case present.Revision == 0:
			return ErrNoDocument
		case !expect.met(present.Revision):
			return &ConflictError{Present: present, Expect: expect}
		}
		if n := c.dependants(kind, name); n > 0 {
			return fmt.Errorf("%w: the site has %d other documents: delete them first", ErrInUse, n)
		}
		err = c.kv.Delete(ctx, documentKey(kind, name), present.Revision)
		switch {
		case err == nil:
			c.forgotten(ctx, present)
			return nil
		case errors.Is(err, journal.ErrAmbiguous) && expect == Any:
			lost = true
		case !errors.Is(err, journal.ErrConflict):
			return err
		}
	}
}

// dependants counts the documents of a site beside its own.
func (c *Catalog) dependants(kind document.Kind, name string) (n int) {
	if kind != document.Site {
		return 0
	}
	for _, d := range c.Documents("", id.Site(name)) {
		if d.Kind != document.Site {
			n++
		}
	}
	return n
}
