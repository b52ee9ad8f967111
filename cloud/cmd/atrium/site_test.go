package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
)

// campus are a district's sites, in 16 shards. One that moves is there when it is
// looked at for the second time; lab never arrives, and nobody has its devices.
type campus struct {
	mu    sync.Mutex
	sites []client.SiteShard
	looks map[string]int
}

func newCampus() *campus {
	return &campus{looks: map[string]int{}, sites: []client.SiteShard{
		{Site: "hq", Shard: 3, State: "settled", Revision: 1}, {Site: "lab", Shard: 3, State: "settled", Revision: 2},
	}}
}

func (c *campus) serve(mux *http.ServeMux) {
	answer(mux, "/v1/documents", page[client.Document]())
	mux.HandleFunc("GET /v1/sites", func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var all []client.Site
		for _, s := range c.sites {
			all = append(all, client.Site{Site: s.Site, Shard: s.Shard, Revision: s.Revision})
		}
		_ = json.NewEncoder(w).Encode(page(all...)) // a client that is gone reads no error
	})
	mux.HandleFunc("GET /v1/sites/lab/devices", func(w http.ResponseWriter, _ *http.Request) {
		api.WriteProblem(w, http.StatusServiceUnavailable, "the site is on its way to another shard")
	})
	mux.HandleFunc("GET /v1/sites/{site}/shard", c.site(func(s *client.SiteShard, _ *http.Request) error {
		if c.looks[s.Site]++; s.To != nil && s.Site != "lab" && c.looks[s.Site] == 2 {
			s.Past, s.Shard, s.To, s.State = append(s.Past, s.Shard), *s.To, nil, "settled"
		}
		return nil
	}))
	mux.HandleFunc("PUT /v1/sites/{site}/shard", c.site(func(s *client.SiteShard, r *http.Request) error {
		var in client.SiteShardRequest
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return err
		}
		switch {
		case in.Shard < 0 || in.Shard > 15:
			return fmt.Errorf("shard %d, want 0 to 15", in.Shard)
		case s.To != nil && *s.To != in.Shard:
			return fmt.Errorf("it is on its way from shard %d to %d: wait until it is there", s.Shard, *s.To)
		case s.Shard == in.Shard:
			return fmt.Errorf("it is in shard %d", in.Shard)
		}
		c.looks[s.Site], s.To, s.State = 0, &in.Shard, "moving"
		return nil
	}))
}

// site answers with a site after do, or says what the API does.
func (c *campus) site(do func(*client.SiteShard, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		name := r.PathValue("site")
		for i := range c.sites {
			if c.sites[i].Site != name {
				continue
			}
			if err := do(&c.sites[i], r); err != nil {
				api.WriteProblem(w, http.StatusConflict, "refused: catalog: move "+name+": the site can't be moved: "+err.Error())
				return
			}
			_ = json.NewEncoder(w).Encode(c.sites[i]) // likewise
			return
		}
		refuse(w, "no site "+name+" here: GET /v1/sites lists what there is")
	}
}

// Who no longer wants to wait is told that the move goes on.
func TestCtrlCEndsTheWaitingAndNotTheMove(t *testing.T) {
	srv := httptest.NewServer(newDistrict())
	defer srv.Close()
	ctx, stop := context.WithCancel(t.Context())
	root := newRoot()
	root.SetArgs([]string{"site", "move", "lab", "--to", "5", "--wait", "--api", srv.URL})
	root.SetErr(io.Discard)
	root.SetOut(printed(func(string) { stop() }))
	err := root.ExecuteContext(ctx)
	if err == nil || !strings.Contains(err.Error(), "lab moves on to shard 5; atrium describe site lab says where it is") {
		t.Error(err)
	}
}

// A node that falls silent ends the waiting, and the error says that it ends no
// more.
func TestAMoveWhoseNodeFallsSilentGoesOn(t *testing.T) {
	t.Parallel()
	d := newDistrict()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		d.ServeHTTP(w, r)
	}))
	defer srv.Close()
	root := newRoot()
	root.SetArgs([]string{"site", "move", "hq", "--to", "5", "--wait", "--api", srv.URL})
	root.SetErr(io.Discard)
	root.SetOut(io.Discard)
	err := root.ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "502") || !strings.Contains(err.Error(), "the move goes on: atrium describe site hq") {
		t.Error(err)
	}
}
