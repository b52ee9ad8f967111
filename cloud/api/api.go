// Package api is the cloud's HTTP API, version 1: what sites, gateways, twins,
// rooms, pipelines, histories and ledgers hold, also as a stream of what
// changes; commands to devices; the documents of the catalog, which it also
// writes; and the cluster's nodes and shards. It keeps nothing and decides nothing: a request becomes a question to
// the shards' owners (Views), to the history store or to the catalog, and the
// answer becomes JSON. The documents are package client's.
//
// Errors are problem details (RFC 9457) that name the place and the way out.
// There is no sign-in yet, so that the API is served on loopback only, unless
// the configuration asks for more.
package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

// maxBody bounds a request's body, in bytes: nothing here reads one.
const maxBody = 4 << 10

var (
	// ErrNotFound is what Views return for a site, gateway or device that does
	// not exist.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable is what Views return while the site has no active owner.
	ErrUnavailable = errors.New("the site's shard is not active")
)

// Views answers from the state of the sites. Lists are sorted by name, unless
// they say otherwise; those of a site without any record are empty. A site that
// is not in the catalog, or a thing that the site has not, is ErrNotFound.
type Views interface {
	Status(ctx context.Context) (client.Status, error)
	Sites(ctx context.Context) ([]client.Site, error)
	// Summarize asks the owners of sites, and gives each its summary or says why
	// there is none.
	Summarize(ctx context.Context, sites []client.Site)
	Gateways(ctx context.Context, site id.Site) ([]client.Gateway, error)
	Retired(ctx context.Context, site id.Site) ([]client.RetiredRun, error)
	Devices(ctx context.Context, site id.Site) ([]client.Device, error)
	Device(ctx context.Context, dev id.Device) (client.Device, error)
	Rooms(ctx context.Context, site id.Site) ([]client.Room, error)
	Room(ctx context.Context, room id.Room) (client.Room, error)
	Pipelines(ctx context.Context, site id.Site) ([]client.Pipeline, error)
	Pipeline(ctx context.Context, p id.Pipeline) (client.Pipeline, error)
	Alarms(ctx context.Context, site id.Site) ([]client.Alarm, error)     // by pipeline, device and stage
	Commands(ctx context.Context, site id.Site) ([]client.Command, error) // in no order
	Command(ctx context.Context, site id.Site, command id.Command) (client.Command, error)
	Cluster
	Moving

	// Intend returns the command as it is once its intent is durable: of a known
	// id the command that it was.
	Intend(ctx context.Context, site id.Site, in journal.Intent) (client.Command, error)
	// Watch begins to watch some sites, or all if none is named.
	Watch(ctx context.Context, sites []id.Site) (Events, error)
}

// Events are the changes of sites: the whole state first, then Ready, once, then
// what changes, and perhaps some state again.
type Events interface {
	// Next waits for changes, but no longer than wait, and returns some of them
	// or none; more says that others have changed before. An error ends the
	// watch.
	Next(ctx context.Context, wait time.Duration) (some []client.Event, more bool, err error)
	Close()
}

// History is the store of readings: history.Store.
type History interface {
	Read(ctx context.Context, dev id.Device, point id.Point, from, to time.Time, limit int) iter.Seq2[history.Reading, error]
	Series(dev id.Device) ([]history.SeriesInfo, error)
	Ledger(site id.Site) iter.Seq2[history.Entry, error]
	Windows(ctx context.Context, site id.Site, name string, revision uint64, device string, from, to time.Time, limit int) iter.Seq2[history.Window, error]
	AlarmLog(site id.Site) iter.Seq2[history.AlarmEntry, error]
	Lacks(site id.Site, shard int) bool
}

// Register adds the endpoints under /v1 to mux. version is the program's. Live
// streams end with ctx.
func Register(ctx context.Context, mux *http.ServeMux, version string, views Views, store History, documents *catalog.Catalog) {
	cfg := huma.DefaultConfig("Atrium", version)
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "/v1/openapi", "", ""
	cfg.CreateHooks = nil // no $schema links in answers
	cfg.RejectUnknownQueryParameters = true
	s := &server{views: views, store: store}
	a := humago.New(mux, cfg)
	add(a, "status", "/v1/status", "The state of this node", s.status)
	add(a, "list-sites", "/v1/sites", "All sites", s.sites)
	add(a, "list-gateways", "/v1/sites/{site}/gateways", "The gateways of a site", s.gateways)
	add(a, "list-retired-runs", "/v1/sites/{site}/runs/retired", "The retired runs of a site, as far back as they are remembered", s.retired)
	add(a, "list-devices", "/v1/sites/{site}/devices", "The twins of a site", s.devices)
	add(a, "get-device", "/v1/sites/{site}/devices/{device}", "A twin", s.device)
	add(a, "get-history", "/v1/sites/{site}/devices/{device}/history", "The readings of a point, by time", s.history)
	add(a, "get-ledger", "/v1/sites/{site}/ledger", "The gap ledger of a site", s.ledger)
	registerDocuments(a, documents, views)
	registerLive(a, s)
	registerCluster(a, s)
	registerMoving(a, s)
	registerCommands(a, &commands{views: views, profile: documents.Profile})
	registerStream(ctx, a, &streams{views: views})
}

func add[I, O any](a huma.API, name, path, summary string, f func(context.Context, *I) (*O, error)) {
	huma.Register(a, huma.Operation{
		OperationID: name, Method: http.MethodGet, Path: path, Summary: summary, MaxBodyBytes: maxBody,
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusInternalServerError},
	}, f)
}

// Handler answers what mux does not know, and methods that it does not allow,
// with problem details too, and keeps other web sites' pages away.
func Handler(mux *http.ServeMux) http.Handler {
	return guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r) // sets the path's values, which h alone would not
			return
		}
		probe := &discard{header: make(http.Header)}
		h.ServeHTTP(probe, r)
		if allow := probe.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			WriteProblem(w, http.StatusMethodNotAllowed, fmt.Sprintf("%s %s: allowed are %s", r.Method, r.URL.Path, allow))
			return
		}
		WriteProblem(w, http.StatusNotFound, fmt.Sprintf("there is nothing at %s: GET /v1/openapi.json lists what there is", r.URL.Path))
	}))
}

// discard keeps the header of an answer only.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// CheckListen refuses an address that others than this machine can reach,
// unless anywhere allows it.
func CheckListen(addr string, anywhere bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("api: address %q: want HOST:PORT: %w", addr, err)
	}
	ip := net.ParseIP(host)
	if anywhere || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("api: address %q can be reached from other machines, and the API has no sign-in: use 127.0.0.1, or allow it explicitly", addr)
}
