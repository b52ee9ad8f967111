package peer_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/peer"
	"github.com/atrium-iot/atrium/shared/id"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// overheard is a log that says when something was said.
type overheard struct {
	slog.Handler
	said chan<- string
}

func (h overheard) Enabled(context.Context, slog.Level) bool { return true }

func (h overheard) Handle(_ context.Context, r slog.Record) error {
	select {
	case h.said <- r.Message:
	default:
	}
	return nil
}

// town is some nodes of one cluster, on loopback, each with its own picture of
// who owns what.
type town struct {
	t      testing.TB
	ca     *identity.CA
	nodes  map[string]*house
	stores []*store // the state of the shards, whoever shows it
}

// shards are the sites that there are, by shard.
var shards = []id.Site{"hq", "far"}

func (*town) shard(_ context.Context, site id.Site) (int, error) {
	if i := slices.Index(shards, site); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("site %s: %w", site, api.ErrNotFound)
}

// house is a node.
type house struct {
	*peer.Peer
	town    *town
	name    string
	address string
	people  http.Handler
	local   http.HandlerFunc
	reg     *prometheus.Registry
	said    chan string // what the node logs
	stop    func()

	mu    sync.Mutex
	heard map[id.Site]string // owners by name: "" is nobody
	fresh map[id.Site]string // where it differs from heard
	looks int                // fresh ones
}

func newTown(t testing.TB, names ...string) *town {
	t.Helper()
	ca, err := identity.OpenCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &town{t: t, ca: ca, nodes: make(map[string]*house), stores: []*store{newStore(), newStore()}}
	for _, name := range names {
		w.add(name)
	}
	t.Cleanup(func() {
		var stopping sync.WaitGroup
		for _, h := range w.nodes {
			h.Close()
			stopping.Go(h.stop)
		}
		stopping.Wait()
	})
	return w
}

// add starts a node whose API says its name and what it was asked.
func (w *town) add(name string) *house {
	w.t.Helper()
	cfg, err := w.ca.RouteTLS(name)
	if err != nil {
		w.t.Fatal(err)
	}
	h := &house{town: w, name: name, reg: prometheus.NewRegistry(), said: make(chan string, 16), heard: make(map[id.Site]string), fresh: make(map[id.Site]string)}
	h.local = func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q", h.name, r.Method, r.URL.RequestURI(), body)
	}
	log := slog.New(overheard{slog.DiscardHandler, h.said})
	h.Peer = peer.New(peer.Config{Node: name, TLS: cfg, Shards: len(shards), Shard: w.shard, Owner: h.owner, Watch: h.watch}, log, h.reg)
	local := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.local(w, r) })
	h.people = h.Handler(local)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	h.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx, l, local) }()
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("node %s: %v", name, err)
		}
	})
	w.nodes[name] = h
	return h
}

func (h *house) owner(_ context.Context, shard int, fresh bool) (peer.Owner, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	site := shards[shard]
	name := h.heard[site]
	if fresh {
		h.looks++
		if now, differs := h.fresh[site]; differs {
			name = now
		}
	}
	if name == "" {
		return peer.Owner{}, api.ErrUnavailable
	}
	o := peer.Owner{Node: name, Address: "127.0.0.1:1"}
	if n := h.town.nodes[name]; n != nil {
		o.Address = n.address
	}
	return o, nil
}

// watch is of a shard that the node owns.
func (h *house) watch(_ context.Context, shard int, _ []id.Site) (api.Events, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.heard[shards[shard]] != h.name {
		return nil, api.ErrUnavailable
	}
	return h.town.stores[shard].watch()
}

// all tells every node of an owner.
func (w *town) all(site id.Site, owner string) {
	for _, n := range w.nodes {
		n.mu.Lock()
		n.heard[site] = owner
		n.mu.Unlock()
	}
}

// askPeer asks another node as nodes do.
func (h *house) askPeer(of *house, target string) (int, string) {
	h.town.t.Helper()
	cfg, err := h.town.ca.RouteTLS(h.name)
	if err != nil {
		h.town.t.Fatal(err)
	}
	c := http.Client{Transport: &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}}
	defer c.CloseIdleConnections()
	resp, err := c.Get("https://" + of.address + target)
	if err != nil {
		h.town.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.town.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// ask asks a node as people do.
func (h *house) ask(method, target, body string) (int, string, http.Header) {
	h.town.t.Helper()
	rec := httptest.NewRecorder()
	h.people.ServeHTTP(rec, httptest.NewRequest(method, target, strings.NewReader(body)))
	return rec.Code, rec.Body.String(), rec.Header()
}

// count reads a counter of a node.
func (h *house) count(name, label string) (n float64) {
	h.town.t.Helper()
	families, err := h.reg.Gather()
	if err != nil {
		h.town.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || len(m.GetLabel()) > 0 && m.GetLabel()[0].GetValue() == label {
				n += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return n
}

func TestAnyNodeAnswersForASiteByItsOwner(t *testing.T) {
	w := newTown(t, "n1", "n2")
	w.all("hq", "n2")
	w.all("far", "n1")
	n1 := w.nodes["n1"]
	for _, c := range []struct{ method, target, body, want string }{
		{"GET", "/v1/sites/hq/devices?limit=3&x=a;b", "", `n2 GET /v1/sites/hq/devices?limit=3&x=a;b ""`},
		{"GET", "/v1/sites/hq/rooms/floor-1%2Fkitchen", "", `n2 GET /v1/sites/hq/rooms/floor-1%2Fkitchen ""`},
		{"POST", "/v1/sites/hq/devices/r1/commands", "{}", `n2 POST /v1/sites/hq/devices/r1/commands "{}"`},
		{"GET", "/v1/sites/far/devices", "", `n1 GET /v1/sites/far/devices ""`},
		{"GET", "/v1/sites/nowhere/devices", "", `n1 GET /v1/sites/nowhere/devices ""`},
		{"GET", "/v1/sites", "", `n1 GET /v1/sites ""`},
		{"GET", "/v1/stream?site=hq", "", `n1 GET /v1/stream?site=hq ""`},
		{"PUT", "/v1/documents/pipeline/hq%2Fwarm", "x", `n2 PUT /v1/documents/pipeline/hq%2Fwarm "x"`},
		{"PUT", "/v1/documents/room/hq%2Fkitchen", "x", `n1 PUT /v1/documents/room/hq%2Fkitchen "x"`},
	} {
		if code, got, _ := n1.ask(c.method, c.target, c.body); code != http.StatusOK || got != c.want {
			t.Errorf("%s %s = %d %s, want %s", c.method, c.target, code, got, c.want)
		}
	}
	if n := n1.count("atrium_peer_forwarded_total", "answered"); n != 4 {
		t.Errorf("%v forwarded, want 4", n)
	}
}

// A gateway's key is in the field: it must not open the way to every site.
func TestAGatewayIsRefusedAsAPeer(t *testing.T) {
	w := newTown(t, "n1")
	issued, err := w.ca.Gateway(id.Gateway{Site: "hq", Name: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.Cert, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := w.ca.RouteTLS("n2")
	if err != nil {
		t.Fatal(err)
	}
	get := func() error {
		c := http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true, ForceAttemptHTTP2: true}}
		defer c.CloseIdleConnections()
		resp, err := c.Get("https://" + w.nodes["n1"].address + "/v1/sites")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatalf("a node was refused: %v", err)
	}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	if err := get(); err == nil {
		t.Error("a gateway was answered")
	}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return new(tls.Certificate), nil }
	if err := get(); err == nil {
		t.Error("somebody without a certificate was answered")
	}
	for range 2 {
		if said := <-w.nodes["n1"].said; !strings.Contains(said, "TLS handshake error") {
			t.Errorf("the node says %q", said)
		}
	}
	if n := w.nodes["n1"].count("atrium_peer_handshake_failures_total", ""); n != 2 {
		t.Errorf("%v handshakes failed, want 2", n)
	}
}
