package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"atrium": main})
}

// Each cloud holds a counter's readings otherwise; its twin reports the last.
var clouds = map[string][]int64{
	"RIGHT":   {1, 2, 3, 4, 5, 6},
	"LOST":    {1, 2, 5, 6},
	"DOUBLED": {1, 2, 3, 3, 4, 5, 6},
	"SWAPPED": {1, 2, 4, 3, 5, 6},
	"BEHIND":  {1, 2, 3, 4, 6, 5},
}

func TestTheCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for name, numbers := range clouds {
				srv := httptest.NewServer(cloud(numbers))
				env.Defer(srv.Close)
				env.Setenv(name, srv.URL)
			}
			if err := serveCatalog(env); err != nil {
				return err
			}
			hq := httptest.NewServer(building())
			env.Setenv("HQ", hq.URL)
			env.Defer(hq.Close)
			for _, name := range []string{"DISTRICT", "SHRINK"} {
				several := httptest.NewServer(newDistrict())
				env.Setenv(name, several.URL)
				env.Defer(several.Close)
			}
			srv := httptest.NewServer(http.NotFoundHandler())
			env.Setenv("OTHER", srv.URL)
			env.Defer(srv.Close)
			busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write([]byte(`{"status":503,"detail":"stored or not is unknown"}`))
			}))
			env.Setenv("BUSY", busy.URL)
			env.Defer(busy.Close)
			gone := httptest.NewServer(nil)
			env.Setenv("GONE", gone.URL)
			gone.Close()
			return nil
		},
	})
}

// serveCatalog serves an empty catalog at $CATALOG.
func serveCatalog(env *testscript.Env) error {
	c, err := newCatalog(context.Background())
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	api.Register(context.Background(), mux, "test", silent{catalog: c}, nil, c)
	srv := httptest.NewServer(api.Handler(mux))
	env.Setenv("CATALOG", srv.URL)
	env.Defer(func() { srv.Close(); c.Close() })
	return nil
}

// silent are the views of a cluster whose gateways have sent nothing yet.
type silent struct {
	api.Views
	catalog *catalog.Catalog
}

func (s silent) Sites(context.Context) (all []client.Site, err error) {
	for _, d := range s.catalog.Documents(document.Site, "") {
		all = append(all, client.Site{Site: d.Name})
	}
	return all, nil
}

func (silent) Summarize(context.Context, []client.Site) {}

func (silent) Devices(context.Context, id.Site) ([]client.Device, error) {
	return nil, api.ErrNotFound
}

func (silent) Rooms(context.Context, id.Site) ([]client.Room, error) { return nil, api.ErrNotFound }

func (silent) Pipelines(context.Context, id.Site) ([]client.Pipeline, error) {
	return nil, api.ErrNotFound
}

func newCatalog(ctx context.Context) (*catalog.Catalog, error) {
	kv := journaltest.NewMem(journaltest.Config{}).KV(catalog.Bucket)
	return catalog.Open(ctx, catalog.Config{ClusterID: "c1", Shards: 1, Zone: "local"}, kv, slog.New(slog.DiscardHandler), nil)
}

// cloud answers as a node with one site, one gateway, one run of it and one
// counter, of which it holds the numbers in the order of their sequences, one
// a frame.
func cloud(numbers []int64) http.Handler {
	const run, boot = "0102030405060708", "01020304-0506-0708-090a-0b0c0d0e0f10"
	start := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	var rows []client.Reading
	for i, n := range numbers {
		value := float64(n)
		at := time.Duration(i) * time.Second
		rows = append(rows, client.Reading{Time: start.Add(at), Value: &value, Quality: "good", Raw: n, Run: run, Seq: uint64(i + 1), TickNS: int64(at)})
	}
	last := rows[len(rows)-1]
	mux := http.NewServeMux()
	answer(mux, "/v1/status", client.Status{
		Cluster: "c1", Node: "n1", Version: "test", StartedAt: start, Gateways: 1, QueuedB: 17,
		Shards: []client.Shard{{Shard: 0, Epoch: 2, First: 3, Last: 9, Applied: 8, Durable: 7, Snapshot: 5}},
	})
	answer(mux, "/v1/sites", page(client.Site{Site: "hq", Revision: 1}))
	answer(mux, "/v1/sites/hq/gateways", page(client.Gateway{Gateway: "hq/gw-1", Runs: []client.Run{{Run: run, Boot: boot, State: "open", Next: uint64(len(rows) + 1)}}}))
	answer(mux, "/v1/sites/hq/ledger", page[client.LedgerEntry]())
	answer(mux, "/v1/sites/hq/devices", page(client.Device{Device: "hq/c1", Points: []client.Point{
		{Point: "count", Kind: "counter", Value: last.Value, Raw: last.Raw, Run: run, Seq: last.Seq},
	}}))
	answer(mux, "/v1/sites/hq/devices/c1/history", page(rows...))
	return mux
}

func page[T any](items ...T) client.Page[T] { return client.Page[T]{Items: items} }

func answer(mux *http.ServeMux, path string, v any) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // a client that is gone reads no error
	})
}

func TestEveryCommandsHelpHasAnExample(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Example == "" || cmd.Short == "" {
			t.Errorf("%s: no example or no short text", cmd.CommandPath())
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRoot())
}
