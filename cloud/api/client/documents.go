package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/id"
)

// Applied says what applying a document did.
type Applied struct {
	Outcome  string   `json:"outcome" doc:"created, configured or unchanged"`
	Document Document `json:"document" doc:"As it is now; of a dry run, with the revision that is there."`
}

// Documents returns the documents of a kind, "" for all, and of a site, "" for
// all, by kind and name.
func (c *Client) Documents(ctx context.Context, kind document.Kind, site id.Site) ([]Document, error) {
	q := url.Values{}
	if kind != "" {
		q.Set("kind", string(kind))
	}
	if site != "" {
		q.Set("site", string(site))
	}
	return collect(list[Document](ctx, c, q, "v1", "documents"))
}

// Document returns one document.
func (c *Client) Document(ctx context.Context, kind document.Kind, name string) (Document, error) {
	return get[Document](ctx, c, nil, "v1", "documents", string(kind), url.PathEscape(name))
}

// Conflict reports whether err says that a change found another revision than
// it expected: nothing was changed.
func Conflict(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusPreconditionFailed
}

// Expect is what a change wants to find. The zero value: whatever is there.
type Expect struct {
	Revision uint64 // this one
	Absent   bool   // no document of that name
}

// PutOptions say how to apply a document.
type PutOptions struct {
	File   string // what errors call the text; default: document
	Expect Expect
	DryRun bool // only say what would happen
}

// Put applies a YAML document. One that is not right is refused with its place
// before it is sent.
func (c *Client) Put(ctx context.Context, text []byte, o PutOptions) (Applied, error) {
	if o.File == "" {
		o.File = "document"
	}
	in, err := document.Parse(o.File, text)
	if err != nil {
		return Applied{}, err
	}
	q := url.Values{"file": {o.File}}
	if o.DryRun {
		q.Set("dry-run", "true")
	}
	var out Applied
	body, err := c.change(ctx, in.Kind, in.Name, q, request{method: http.MethodPut, media: "application/yaml", body: text, header: o.Expect.header()})
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	return out, err
}

// Delete removes a document.
func (c *Client) Delete(ctx context.Context, kind document.Kind, name string, expect Expect) error {
	_, err := c.change(ctx, kind, name, nil, request{method: http.MethodDelete, header: expect.header()})
	return err
}

func (c *Client) change(ctx context.Context, kind document.Kind, name string, q url.Values, r request) ([]byte, error) {
	u := c.base.JoinPath("v1", "documents", string(kind), url.PathEscape(name))
	u.RawQuery = q.Encode()
	r.url = u.String()
	body, err := c.fetch(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, u, err)
	}
	return body, nil
}

func (x Expect) header() http.Header {
	h := make(http.Header)
	switch {
	case x.Absent:
		h.Set("If-None-Match", "*")
	case x.Revision != 0:
		h.Set("If-Match", strconv.Quote(strconv.FormatUint(x.Revision, 10)))
	}
	return h
}
