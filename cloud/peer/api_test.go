package peer_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

// rooms are the views of a node: the rooms of the shards that it owns.
type rooms struct {
	api.Views
	of *house
}

func (v rooms) Room(_ context.Context, name id.Room) (client.Room, error) {
	shard, err := v.of.town.shard(context.Background(), name.Site)
	if err != nil {
		return client.Room{}, err
	}
	if _, err := v.of.watch(context.Background(), shard, nil); err != nil {
		return client.Room{}, err
	}
	st := v.of.town.stores[shard]
	st.mu.Lock()
	defer st.mu.Unlock()
	n, has := st.rooms[name.String()]
	if !has {
		return client.Room{}, api.ErrNotFound
	}
	return client.Room{Room: name.String(), Live: n, Devices: []string{}, Aggregates: []client.Aggregate{}}, nil
}

func (v rooms) Watch(ctx context.Context, sites []id.Site) (api.Events, error) {
	return v.of.Watch(ctx, sites)
}

// serveAPI gives a node the real API, and people a server.
func (h *house) serveAPI(ctx context.Context) *httptest.Server {
	mux := http.NewServeMux()
	api.Register(ctx, mux, "test", rooms{of: h}, nil, nil)
	h.local = api.Handler(mux).ServeHTTP
	srv := httptest.NewServer(h.people)
	h.town.t.Cleanup(srv.Close)
	return srv
}

func TestTheAPIOfAllNodesIsOne(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n2")
	w.all("far", "n1")
	w.stores[0].put("hq/floor-1/kitchen", 3)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	srv := w.nodes["n1"].serveAPI(ctx)
	w.nodes["n2"].serveAPI(ctx)
	c, err := client.New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Room(t.Context(), id.Room{Site: "hq", Name: "floor-1/kitchen"}); err != nil || r.Live != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = c.Room(t.Context(), id.Room{Site: "hq", Name: "attic"})
	if !client.NotFound(err) || !strings.Contains(err.Error(), "no room hq/attic here") {
		t.Errorf("of a room that is not: %v", err)
	}
	if _, err = c.Room(t.Context(), id.Room{Site: "nowhere", Name: "attic"}); !client.NotFound(err) {
		t.Errorf("of a site that is not: %v", err)
	}
	for e, err := range c.Stream(t.Context()) {
		switch {
		case errors.Is(err, client.ErrStreamEnded):
		case err != nil:
			t.Fatal(err)
		case e.Ready != nil:
			w.stores[0].put("hq/floor-1/kitchen", 4)
		case e.Room.Live == 4:
			stop() // the nodes stop, and say so
		}
	}
}

// A page of another site that reaches a node by a name of its own is kept away
// wherever the answer is made, and is not taken for news of an owner.
func TestTheGuardOfTheAPIStandsBeforeEverySite(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n2")
	w.all("far", "n1")
	n1 := w.nodes["n1"]
	srv := n1.serveAPI(t.Context())
	w.nodes["n2"].serveAPI(t.Context())
	for _, site := range []string{"hq", "far"} {
		for _, c := range []struct {
			host, origin string
			status       int
		}{
			{"127.0.0.1", "", http.StatusNotFound}, // no such device
			{"evil.example", "", http.StatusMisdirectedRequest},
			{"127.0.0.1", "https://evil.example", http.StatusForbidden},
		} {
			r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/v1/sites/"+site+"/nothing", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = c.host
			r.Header.Set("Origin", c.origin)
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != c.status {
				t.Errorf("%s from %q at %q: %d %s, want %d", site, c.origin, c.host, resp.StatusCode, body, c.status)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if n := n1.count("atrium_peer_again_total", ""); n != 0 || n1.looks != 0 {
		t.Errorf("%v requests were sent again after %d fresh looks", n, n1.looks)
	}
}
