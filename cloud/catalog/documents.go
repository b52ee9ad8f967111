package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/journal"
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

// Put applies a document if what is there is what the caller expects, and
// returns it as it then is; changed is false if it was there word for word.
// With dryRun it says only what would happen. file is used in errors.
//
// A document that is not right is a *config.Error with its place. Others are
// ErrUnknownSite, ErrFull, *ConflictError, and journal.ErrAmbiguous when no
// answer came in time to a write that expected a revision. Every error but the
// last changes nothing.
func (c *Catalog) Put(ctx context.Context, file string, text []byte, expect Expect, dryRun bool) (d Document, changed bool, err error) {
	in, err := document.Parse(file, text)
	if err != nil {
		c.metrics.writes.count(resultInvalid)
		return Document{}, false, err
	}
	release, err := c.write(ctx)
	if err != nil {
		return Document{}, false, err
	}
	defer release()
	d, result, err := c.put(ctx, in, expect, dryRun)
	c.metrics.writes.count(result)
	if _, placed := errors.AsType[*config.Error](err); err != nil && !placed {
		err = fmt.Errorf("catalog: put %s %s: %w", in.Kind, in.Name, err)
	}
	return d, err == nil && result != resultUnchanged, err
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

func (c *Catalog) put(ctx context.Context, in *document.Document, expect Expect, dryRun bool) (Document, result, error) {
	key := documentKey(in.Kind, in.Name)
	for written := false; ; {
		present, err := c.present(ctx, in.Kind, in.Name)
		if err != nil {
			return Document{}, resultFailed, err
		}
		if present.Revision != 0 && bytes.Equal(present.Text, in.Text) && written {
			return present, resultReplaced, c.caught(ctx, present.Revision)
		}
		if !expect.met(present.Revision) {
			return Document{}, resultConflict, &ConflictError{Present: present, Expect: expect}
		}
		if present.Revision != 0 && bytes.Equal(present.Text, in.Text) {
			return present, resultUnchanged, nil
		}
		next := Document{Kind: in.Kind, Name: in.Name, Text: in.Text, Applied: time.Now().UTC().Truncate(time.Microsecond)}
		value := encodeDocument(next)
		if err := c.admit(ctx, in, present, len(value)); err != nil {
			return Document{}, resultRefused, err
		}
		if dryRun {
			next.Revision = present.Revision
			return next, resultDryRun, nil
		}
		if err := c.settle(ctx, in); err != nil {
			return Document{}, resultFailed, err
		}
		next.Revision, err = c.kv.Put(ctx, key, value, present.Revision)
		switch {
		case err == nil && present.Revision == 0:
			return next, resultCreated, c.caught(ctx, next.Revision)
		case err == nil:
			return next, resultReplaced, c.caught(ctx, next.Revision)
		case errors.Is(err, journal.ErrAmbiguous) && expect == Any:
			written = true // perhaps: what is there now says it
		case !errors.Is(err, journal.ErrConflict):
			return Document{}, resultFailed, err
		}
	}
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
				return in.Errorf("$.zone", "site %s lives in zone %s, and does not move yet", site, a.Zone)
			}
		case !known:
			return fmt.Errorf("%w %s: apply its document first, with kind: site and name: %s", ErrUnknownSite, site, site)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.documents.fits(in.Kind, in.Name, present.Revision == 0, size)
}

// settle gives a site that a document speaks of its shard.
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
	result, err := c.remove(ctx, kind, name, expect)
	c.metrics.writes.count(result)
	if err != nil {
		return fmt.Errorf("catalog: delete %s %s: %w", kind, name, err)
	}
	return nil
}

func (c *Catalog) remove(ctx context.Context, kind document.Kind, name string, expect Expect) (result, error) {
	if err := document.CheckName(kind, name); err != nil {
		return resultInvalid, fmt.Errorf("%w: %w", ErrNoDocument, err)
	}
	for written := false; ; {
		present, err := c.present(ctx, kind, name)
		switch {
		case err != nil:
			return resultFailed, err
		case present.Revision == 0 && written:
			return resultDeleted, c.forgotten(ctx, kind, name)
		case present.Revision == 0:
			return resultRefused, ErrNoDocument
		case !expect.met(present.Revision):
			return resultConflict, &ConflictError{Present: present, Expect: expect}
		}
		if n := c.dependants(kind, name); n > 0 {
			return resultRefused, fmt.Errorf("%w: the site has %d other documents: delete them first", ErrInUse, n)
		}
		err = c.kv.Delete(ctx, documentKey(kind, name), present.Revision)
		switch {
		case err == nil:
			return resultDeleted, c.forgotten(ctx, kind, name)
		case errors.Is(err, journal.ErrAmbiguous) && expect == Any:
			written = true
		case !errors.Is(err, journal.ErrConflict):
			return resultFailed, err
		}
	}
}

// dependants counts the documents of a site beside its own.
func (c *Catalog) dependants(kind document.Kind, name string) int {
	if kind != document.Site {
		return 0
	}
	return len(c.Documents("", id.Site(name))) - 1
}
