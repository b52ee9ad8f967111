package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

const shards = 1200 // more than a page

func (fakeViews) Shards(context.Context) (all []client.Holding, err error) {
	for i := range shards {
		all = append(all, client.Holding{Shard: i, Owner: "n1", State: "active", Rule: "top-ranked", Target: "n1"})
	}
	return all, nil
}

func (fakeViews) ShardOf(_ context.Context, site id.Site) (int, error) {
	if site != "hq" {
		return 0, api.ErrNotFound
	}
	return 7, nil
}

func (fakeViews) Why(_ context.Context, shard int) (client.Placement, error) {
	switch {
	case shard >= shards:
		return client.Placement{}, api.ErrNotFound
	case shard == 8:
		return client.Placement{}, api.ErrUndecided
	}
	return client.Placement{Shard: shard, Owner: "n1", Target: "n1", Rule: "top-ranked", Candidates: []client.Candidate{{Rank: 1, Node: "n1", Score: 2.5}}}, nil
}

func (fakeViews) Drain(_ context.Context, node string, on bool) (client.Drain, error) {
	switch node {
	case "n1":
		return client.Drain{Node: node, Drain: on, Shards: 3}, nil
	case "last":
		return client.Drain{}, api.ErrNoHeir
	case "slow":
		return client.Drain{}, fmt.Errorf("%w: timeout", api.ErrNotStored)
	}
	return client.Drain{}, api.ErrNotFound
}

func (fakeViews) Advice(context.Context) (client.Advice, error) {
	return client.Advice{Action: "out", Why: "CPU is above 70 %"}, nil
}

func TestTheClientReadsTheCluster(t *testing.T) {
	c := newClient(t, fakeViews{}, fakeHistory{})
	all, err := c.Shards(t.Context())
	if err != nil || len(all) != shards {
		t.Fatalf("%d shards, %v", len(all), err)
	}
	for i, h := range all {
		if h.Shard != i {
			t.Fatalf("shard %d is at place %d", h.Shard, i)
		}
	}
	if p, err := c.Why(t.Context(), 1199); err != nil || p.Shard != 1199 || p.Candidates[0].Score != 2.5 {
		t.Error(p, err)
	}
	if p, err := c.Placement(t.Context(), "hq"); err != nil || p.Shard != 7 {
		t.Error(p, err)
	}
	if d, err := c.Drain(t.Context(), "n1", true); err != nil || d != (client.Drain{Node: "n1", Drain: true, Shards: 3}) {
		t.Error(d, err)
	}
	if a, err := c.Advice(t.Context()); err != nil || a.Action != "out" {
		t.Error(a, err)
	}
}

func TestWhatTheClusterHasNotNamesTheWayOut(t *testing.T) {
	c := newClient(t, fakeViews{}, fakeHistory{})
	ask := map[string]func() error{
		"404 GET /v1/shards lists what there is":         func() error { _, err := c.Why(t.Context(), shards); return err },
		"400 want a shard's number":                      func() error { _, err := c.Why(t.Context(), -1); return err },
		"503 this node has not decided yet where shards": func() error { _, err := c.Why(t.Context(), 8); return err },
		"404 no site far here":                           func() error { _, err := c.Placement(t.Context(), "far"); return err },
		"404 GET /v1/nodes lists what there is":          func() error { _, err := c.Drain(t.Context(), "n9", true); return err },
		"409 add a node first":                           func() error { _, err := c.Drain(t.Context(), "last", true); return err },
		"503 try again in a moment":                      func() error { _, err := c.Drain(t.Context(), "slow", true); return err },
	}
	for want, f := range ask {
		err := f()
		var answer *client.Error
		status, text, _ := strings.Cut(want, " ")
		if !errors.As(err, &answer) || fmt.Sprint(answer.Status) != status || !strings.Contains(err.Error(), text) {
			t.Errorf("want %s, got %v", want, err)
		}
	}
}

func TestADrainWithoutASayIsRefused(t *testing.T) {
	url := serve(t, fakeViews{}, fakeHistory{})
	for _, text := range []string{``, `{}`, `{"drain":"yes"}`, `{"drain":true,"force":true}`} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/v1/nodes/n1/drain", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 4 {
			t.Errorf("%q: %s", text, resp.Status)
		}
	}
}
