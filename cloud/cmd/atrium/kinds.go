package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

// entity is one thing that get and describe show: what the catalog says of it,
// what the sites know of it, or both.
type entity struct {
	Kind     string           `json:"kind"`
	Name     string           `json:"name"`
	Document *client.Document `json:"document,omitempty"`
	State    any              `json:"state,omitempty"` // a type of package client
	// Ledger is what a gateway lost and why, oldest first: with describe.
	Ledger []client.LedgerEntry `json:"ledger,omitempty"`
}

// kind is a kind of entities.
type kind struct {
	name     string                                                           // in the singular
	document document.Kind                                                    // "": none of the catalog's
	sited    bool                                                             // belongs to a site, whose name begins its own
	list     func(context.Context, *client.Client, id.Site) ([]entity, error) // live, of a site if sited; nil: none
	columns  []string                                                         // of state, after the name
	row      func(state any) []string                                         // state may be nil
	details  func(context.Context, *client.Client, entity) ([]section, error) // nil: the row's columns are all
	complete func(context.Context, *client.Client, *entity) error             // adds what describe shows and get does not; nil: nothing
}

// kinds are all kinds, in the order in which help names them.
func kinds() []kind {
	return []kind{
		siteKind(), gatewayKind(), deviceKind(), roomKind(), pipelineKind(), profileKind(),
		alarmKind(), commandKind(), nodeKind(), shardKind(),
	}
}

// parseKind reads a kind in the singular or plural.
func parseKind(s string) (kind, error) {
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == strings.TrimSuffix(s, "s") })
	if i < 0 {
		return kind{}, ops.Usage(fmt.Errorf("kind %q: want one of %s", s, strings.Join(kindNames(), ", ")))
	}
	return all[i], nil
}

func kindNames() (names []string) {
	for _, k := range kinds() {
		names = append(names, k.name)
	}
	return names
}

// live makes entities of a list of states.
func live[T any](kind string, name func(T) string, states []T, err error) ([]entity, error) {
	var out []entity
	for _, s := range states {
		out = append(out, entity{Kind: kind, Name: name(s), State: s})
	}
	return out, err
}

// find returns the entities of a kind by name: all (of == ""), those of a site,
// or the one of that name.
func (k kind) find(ctx context.Context, c *client.Client, of string) ([]entity, error) {
	site, name, one := "", of, of != ""
	if k.sited {
		site, _, one = strings.Cut(of, "/")
		if err := k.checkName(site, of, one); err != nil {
			return nil, ops.Usage(err)
		}
	}
	all, err := k.states(ctx, c, id.Site(site))
	if err != nil && (k.document == "" || !client.NotFound(err)) {
		return nil, err
	}
	if k.document != "" {
		documents, fault := c.Documents(ctx, k.document, id.Site(site))
		if fault != nil {
			return nil, fault
		}
		if err != nil && len(documents) == 0 { // else a site without any record yet
			return nil, err
		}
		all = join(k, all, documents)
	}
	if !one {
		return all, nil
	}
	all = slices.DeleteFunc(all, func(e entity) bool { return e.Name != name })
	if len(all) == 0 {
		return nil, fmt.Errorf("no %s %s: atrium get %ss lists what there is", k.name, name, k.name)
	}
	return all, nil
}

// checkName judges what was typed before anything is asked.
func (k kind) checkName(site, of string, one bool) error {
	switch {
	case one && k.document != "":
		return document.CheckName(k.document, of)
	case site != "":
		_, err := id.ParseSite(site)
		return err
	}
	return nil
}

// states returns what is known live: of one site, or of all.
func (k kind) states(ctx context.Context, c *client.Client, site id.Site) ([]entity, error) {
	switch {
	case k.list == nil:
		return nil, nil
	case !k.sited || site != "":
		return k.list(ctx, c, site)
	}
	sites, err := c.Sites(ctx)
	if err != nil {
		return nil, err
	}
	var all []entity
	for _, s := range sites {
		of, err := k.list(ctx, c, id.Site(s.Site))
		if err != nil && !client.NotFound(err) { // a site without any record yet
			return nil, err
		}
		all = append(all, of...)
	}
	return all, nil
}

// join adds the documents to what is known live, by name.
func join(k kind, all []entity, documents []client.Document) []entity {
	at := make(map[string]int, len(all))
	for i, e := range all {
		at[e.Name] = i
	}
	for _, d := range documents {
		i, known := at[d.Name]
		if !known {
			i = len(all)
			all = append(all, entity{Kind: k.name, Name: d.Name})
		}
		all[i].Document = &d
	}
	slices.SortFunc(all, func(a, b entity) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// title is the document's; "" without one.
func (e entity) title() string {
	if e.Document == nil {
		return ""
	}
	in, err := document.Parse(e.Name, []byte(e.Document.Text))
	if err != nil { // a newer program's may hold more
		return ""
	}
	return in.Title
}
