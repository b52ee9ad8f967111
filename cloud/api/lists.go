package api

import (
	"context"
	"fmt"
	"iter"
	"sort"
	"strconv"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/shared/id"
)

// server holds what the endpoints ask.
type server struct {
	views Views
	store History
}

// body is an answer of 200.
type body[T any] struct{ Body T }

func ok[T any](v T) *body[T] { return &body[T]{v} }

// Listing is the query of a list. It is exported because huma looks only into
// exported embedded fields.
type Listing struct {
	After string `query:"after" maxLength:"700" doc:"The 'next' of the page before."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"The most items of the page."`
}

type siteInput struct {
	Site string `path:"site" maxLength:"63"`
	Listing
}

// DevicePath names a device.
type DevicePath struct {
	Site   string `path:"site" maxLength:"63"`
	Device string `path:"device" maxLength:"63"`
}

// page cuts a list that is sorted by name.
func page[T any](items []T, name func(T) string, q Listing) *body[client.Page[T]] {
	from := sort.Search(len(items), func(i int) bool { return q.After == "" || name(items[i]) > q.After })
	out := client.Page[T]{Items: items[from:]}
	if len(out.Items) > q.Limit {
		out.Items = out.Items[:q.Limit]
		out.Next = name(out.Items[q.Limit-1])
	}
	if len(out.Items) == 0 {
		out.Items = []T{} // [], not null
	}
	return ok(out)
}

func (s *server) status(ctx context.Context, _ *struct{}) (*body[client.Status], error) {
	st, err := s.views.Status(ctx)
	if err != nil {
		return nil, answered(err, "status", "/v1/status")
	}
	return ok(st), nil
}

type sitesInput struct {
	Listing
	Summary bool `query:"summary" doc:"Ask the owners how the sites of the page do."`
}

func (s *server) sites(ctx context.Context, in *sitesInput) (*body[client.Page[client.Site]], error) {
	sites, err := s.views.Sites(ctx)
	if err != nil {
		return nil, answered(err, "sites", "/v1/sites")
	}
	out := page(sites, func(s client.Site) string { return s.Site }, in.Listing)
	if in.Summary {
		s.views.Summarize(ctx, out.Body.Items)
	}
	return out, nil
}

func (s *server) gateways(ctx context.Context, in *siteInput) (*body[client.Page[client.Gateway]], error) {
	site, err := parseSite(in.Site)
	if err != nil {
		return nil, err
	}
	all, err := s.views.Gateways(ctx, site)
	if err != nil {
		return nil, answered(err, "site "+in.Site, "/v1/sites")
	}
	return page(all, func(g client.Gateway) string { return g.Gateway }, in.Listing), nil
}

func (s *server) retired(ctx context.Context, in *siteInput) (*body[client.Page[client.RetiredRun]], error) {
	site, err := parseSite(in.Site)
	if err != nil {
		return nil, err
	}
	all, err := s.views.Retired(ctx, site)
	if err != nil {
		return nil, answered(err, "site "+in.Site, "/v1/sites")
	}
	return page(all, func(r client.RetiredRun) string { return r.Gateway + "/" + r.Run.Run }, in.Listing), nil
}

func (s *server) devices(ctx context.Context, in *siteInput) (*body[client.Page[client.Device]], error) {
	site, err := parseSite(in.Site)
	if err != nil {
		return nil, err
	}
	all, err := s.views.Devices(ctx, site)
	if err != nil {
		return nil, answered(err, "site "+in.Site, "/v1/sites")
	}
	return page(all, func(d client.Device) string { return d.Device }, in.Listing), nil
}

func (s *server) device(ctx context.Context, in *DevicePath) (*body[client.Device], error) {
	dev, err := parseDevice(in.Site, in.Device)
	if err != nil {
		return nil, err
	}
	d, err := s.views.Device(ctx, dev)
	if err != nil {
		return nil, answered(err, "device "+dev.String(), "/v1/sites/"+in.Site+"/devices")
	}
	return ok(d), nil
}

func (s *server) ledger(ctx context.Context, in *siteInput) (*body[client.Page[client.LedgerEntry]], error) {
	return logged(ctx, s, in, "ledger", s.store.Ledger, ledgerEntry)
}

// logged answers with a page of something that only grows: it pages by the
// number of entries before.
func logged[E, C any](ctx context.Context, s *server, in *siteInput, what string, read func(id.Site) iter.Seq2[E, error], as func(E) C) (*body[client.Page[C]], error) {
	site, err := parseSite(in.Site)
	if err != nil {
		return nil, err
	}
	skip := uint64(0)
	if in.After != "" {
		if skip, err = strconv.ParseUint(in.After, 10, 63); err != nil {
			return nil, badParameter("query.after", in.After, fmt.Errorf("want the 'next' of the page before"))
		}
	}
	incomplete, err := s.incomplete(ctx, site)
	if err != nil {
		return nil, err
	}
	out := client.Page[C]{Items: []C{}, Incomplete: incomplete}
	at := uint64(0)
	for e, err := range read(site) {
		if err == nil {
			err = ctx.Err() // the entries before the page are many
		}
		if err != nil {
			return nil, answered(err, what+" of "+in.Site, "/v1/sites")
		}
		if at++; at <= skip {
			continue
		}
		if len(out.Items) == in.Limit {
			out.Next = strconv.FormatUint(at-1, 10)
			break
		}
		out.Items = append(out.Items, as(e))
	}
	return ok(out), nil
}

func ledgerEntry(e history.Entry) client.LedgerEntry {
	return client.LedgerEntry{
		Gateway: string(e.Site) + "/" + e.Gateway, Run: e.Run.String(), Class: e.Class.String(), Boot: e.Boot.String(),
		A: e.A, B: e.B, Reason: e.Reason.String(), Readings: e.Readings,
		FirstMS: e.TFirst, LastMS: e.TLast, IntervalMS: e.Interval,
		FoundAt: time.UnixMicro(e.Time).UTC(),
	}
}
