package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
)

// documents are the endpoints of the catalog's documents: the only ones that
// change what they serve.
type documents struct {
	catalog *catalog.Catalog
	views   Views
}

func registerDocuments(a huma.API, c *catalog.Catalog, v Views) {
	d := &documents{c, v}
	const path = "/v1/documents/{kind}/{name}"
	add(a, "list-documents", "/v1/documents", "The documents of the catalog, by kind and name", d.list)
	add(a, "get-document", path, "A document", d.get)
	change := func(method, name, summary string) huma.Operation {
		return huma.Operation{
			OperationID: name, Method: method, Path: path, Summary: summary, MaxBodyBytes: document.MaxText + 1,
			Errors: []int{
				http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed,
				http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusInternalServerError,
				http.StatusServiceUnavailable, http.StatusInsufficientStorage,
			},
		}
	}
	huma.Register(a, change(http.MethodPut, "put-document", "Apply a document"), d.put)
	huma.Register(a, change(http.MethodDelete, "delete-document", "Delete a document"), d.remove)
}

type documentsInput struct {
	Kind string `query:"kind" enum:"site,gateway,room,pipeline,profile" doc:"Default: all."`
	Site string `query:"site" maxLength:"63" doc:"Only what belongs to it. Default: all."`
	Listing
}

// DocumentPath names a document.
type DocumentPath struct {
	Kind string `path:"kind" enum:"site,gateway,room,pipeline,profile"`
	Name string `path:"name" maxLength:"600" doc:"SITE, SITE/NAME or a profile's id; a slash is written %2F." example:"hq%2Fkitchen"`
}

// Condition is what a change wants to find.
type Condition struct {
	IfMatch     string `header:"If-Match" doc:"The revision that the change replaces, in quotes, or * for any. Absent: whatever is there."`
	IfNoneMatch string `header:"If-None-Match" doc:"*: there must be none."`
}

type putDocumentInput struct {
	DocumentPath
	Condition
	File    string `query:"file" maxLength:"500" default:"document" doc:"What errors call the body."`
	DryRun  bool   `query:"dry-run" doc:"Only say what would happen."`
	RawBody []byte `contentType:"application/yaml"`
}

type deleteDocumentInput struct {
	DocumentPath
	Condition
}

// tagged is a document with its revision as entity tag.
type tagged[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

// list pages by kind and name together, as kinds share names.
func (d *documents) list(_ context.Context, in *documentsInput) (*body[client.Page[client.Document]], error) {
	var site id.Site
	if in.Site != "" {
		var err error
		if site, err = id.ParseSite(in.Site); err != nil {
			return nil, badParameter("query.site", in.Site, err)
		}
	}
	all := []client.Document{}
	for _, doc := range d.catalog.Documents(document.Kind(in.Kind), site) {
		all = append(all, documentOf(doc))
	}
	return page(all, func(c client.Document) string { return c.Kind + " " + c.Name }, in.Listing), nil
}

func (d *documents) get(_ context.Context, in *DocumentPath) (*tagged[client.Document], error) {
	kind, name, err := in.parse()
	if err != nil {
		return nil, err
	}
	doc, known := d.catalog.Document(kind, name)
	if !known {
		return nil, noDocument(kind, name)
	}
	return &tagged[client.Document]{tagOf(doc), documentOf(doc)}, nil
}

func (d *documents) put(ctx context.Context, in *putDocumentInput) (*tagged[client.Applied], error) {
	kind, name, err := in.DocumentPath.parse()
	if err != nil {
		return nil, err
	}
	expect, err := in.Condition.parse()
	if err != nil {
		return nil, err
	}
	// The body is judged before its name is compared: its faults have places.
	named, err := document.Parse(in.File, in.RawBody)
	if err == nil && (named.Kind != kind || named.Name != name) {
		return nil, huma.Error400BadRequest(fmt.Sprintf("%v: it is put as %s %s", named.Errorf("$", "the document is %s %s", named.Kind, named.Name), kind, name))
	}
	if err == nil && named.Pipeline != nil {
		if err := d.numbersOnly(ctx, named); err != nil {
			return nil, refused(err, kind, name)
		}
	}
	doc, outcome, err := d.catalog.Put(ctx, in.File, in.RawBody, expect, in.DryRun)
	if err != nil {
		return nil, refused(err, kind, name)
	}
	return &tagged[client.Applied]{tagOf(doc), client.Applied{Outcome: string(outcome), Document: documentOf(doc)}}, nil
}

func (d *documents) remove(ctx context.Context, in *deleteDocumentInput) (*struct{}, error) {
	kind, name, err := in.DocumentPath.parse()
	if err != nil {
		return nil, err
	}
	expect, err := in.Condition.parse()
	if err != nil {
		return nil, err
	}
	if err := d.catalog.Remove(ctx, kind, name, expect); err != nil {
		return nil, refused(err, kind, name)
	}
	return nil, nil
}

// parse reads the names of a path. A name may come with %2F or its slash may
// have been decoded on the way.
func (p *DocumentPath) parse() (document.Kind, string, error) {
	kind := document.Kind(p.Kind) // huma has checked it
	name, err := url.PathUnescape(p.Name)
	if err == nil {
		err = document.CheckName(kind, name)
	}
	if err != nil {
		return "", "", badParameter("path.name", p.Name, err)
	}
	return kind, name, nil
}

func (c *Condition) parse() (catalog.Expect, error) {
	switch {
	case c.IfNoneMatch != "" && c.IfMatch != "":
		return 0, badParameter("header.If-None-Match", c.IfNoneMatch, errors.New("want one of If-Match and If-None-Match"))
	case c.IfNoneMatch == "*":
		return catalog.Absent, nil
	case c.IfNoneMatch != "":
		return 0, badParameter("header.If-None-Match", c.IfNoneMatch, errors.New("want *"))
	case c.IfMatch == "":
		return catalog.Any, nil
	case c.IfMatch == "*":
		return catalog.Present, nil
	}
	digits, opened := strings.CutPrefix(c.IfMatch, `"`)
	digits, closed := strings.CutSuffix(digits, `"`)
	revision, err := strconv.ParseUint(digits, 10, 63)
	if !opened || !closed || err != nil || revision == 0 {
		return 0, badParameter("header.If-Match", c.IfMatch, errors.New(`want * or one revision in quotes, such as "7"`))
	}
	return catalog.Expect(revision), nil
}

// refused turns an error of the catalog into an answer.
func refused(err error, kind document.Kind, name string) error {
	if fault, placed := errors.AsType[*config.Error](err); placed {
		where := &huma.ErrorDetail{Location: fmt.Sprintf("body:%d:%d", fault.Line, fault.Column), Message: fault.Text, Value: fault.Key}
		return huma.Error422UnprocessableEntity(fault.Error(), where)
	}
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, catalog.ErrNoDocument):
		return noDocument(kind, name)
	case errors.Is(err, catalog.ErrConflict):
		status = http.StatusPreconditionFailed
	case errors.Is(err, catalog.ErrUnknownSite), errors.Is(err, catalog.ErrInUse):
		status = http.StatusConflict
	case errors.Is(err, catalog.ErrFull):
		status = http.StatusInsufficientStorage
	case errors.Is(err, journal.ErrAmbiguous), errors.Is(err, journal.ErrUnavailable), errors.Is(err, journal.ErrClosed):
		status = http.StatusServiceUnavailable
	}
	return huma.NewError(status, err.Error())
}

func noDocument(kind document.Kind, name string) error {
	return answered(ErrNotFound, fmt.Sprintf("document %s %s", kind, name), "/v1/documents?kind="+string(kind))
}

// tagOf is the revision as an entity tag; what is not there, after a dry run,
// has none.
func tagOf(d catalog.Document) string {
	if d.Revision == 0 {
		return ""
	}
	return strconv.Quote(strconv.FormatUint(d.Revision, 10))
}

func documentOf(d catalog.Document) client.Document {
	return client.Document{Kind: string(d.Kind), Name: d.Name, Revision: d.Revision, Text: string(d.Text), AppliedAt: d.Applied}
}
