package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/verify"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

var (
	c1   = id.Device{Site: "hq", Name: "c1"}
	run  = id.Run{1, 2}
	t0   = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	size = 2500 // readings of c1 in the store
)

// fakeViews has one site with one gateway and one counter.
type fakeViews struct{ devices int }

func (fakeViews) Status(context.Context) (client.Status, error) {
	return client.Status{Cluster: "c", Node: "n1"}, nil
}

func (fakeViews) Sites(context.Context) ([]client.Site, error) {
	return []client.Site{{Site: "hq", Shard: 0, Revision: 7}}, nil
}

func (fakeViews) Summarize(_ context.Context, sites []client.Site) {
	for i := range sites {
		sites[i].Summary = &client.SiteSummary{Devices: 3, Owner: "n1"}
	}
}

func (fakeViews) Gateways(_ context.Context, site id.Site) ([]client.Gateway, error) {
	if site != "hq" {
		return nil, api.ErrNotFound
	}
	return []client.Gateway{{Gateway: "hq/gw", Runs: []client.Run{{Run: run.String(), Boot: id.Boot{1}.String(), State: "open"}}}}, nil
}

func (fakeViews) Retired(_ context.Context, site id.Site) ([]client.RetiredRun, error) {
	if site != "hq" {
		return nil, api.ErrNotFound
	}
	return []client.RetiredRun{{Gateway: "hq/gw", Run: client.Run{Run: id.Run{7}.String(), Boot: id.Boot{1}.String(), State: "retired"}}}, nil
}

func (v fakeViews) Devices(_ context.Context, site id.Site) ([]client.Device, error) {
	if site != "hq" {
		return nil, api.ErrNotFound
	}
	top := float64(size)
	said := "idle"
	all := []client.Device{{Device: "hq/c1", Points: []client.Point{{Point: "count", Kind: "counter", Value: &top, Raw: int64(size), Run: run.String()}}}}
	all[0].Points = append(all[0].Points, client.Point{Point: "state", Kind: "text", Text: &said})
	for i := range v.devices {
		all = append(all, client.Device{Device: fmt.Sprintf("hq/d%05d", i)})
	}
	return all, nil
}

func (v fakeViews) Device(_ context.Context, dev id.Device) (client.Device, error) {
	if dev == c1 {
		return client.Device{Device: "hq/c1", Liveness: "live"}, nil
	}
	return client.Device{}, fmt.Errorf("site: %w", api.ErrNotFound)
}

// fakeHistory has readings of c1, four in each instant.
type fakeHistory struct {
	fault error
	lacks bool // rows of hq, which is in shard 7
}

func (h fakeHistory) Lacks(site id.Site, shard int) bool {
	return h.lacks && site == "hq" && shard == 7
}

func (h fakeHistory) Read(_ context.Context, dev id.Device, _ id.Point, from, to time.Time, _ int) iter.Seq2[history.Reading, error] {
	return func(yield func(history.Reading, error) bool) {
		if h.fault != nil {
			yield(history.Reading{}, h.fault)
			return
		}
		for i := 0; dev == c1 && i < size; i++ {
			at := t0.Add(time.Duration(i/4) * time.Second)
			if at.Before(from) || !at.Before(to) {
				continue
			}
			r := history.Reading{Time: at, Raw: int64(i + 1), Value: float64(i + 1), Run: run, Seq: uint64(i/2) + 1, Row: i % 2, Tick: int64(i), Source: wire.ClockSystem, Received: at}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (fakeHistory) Series(dev id.Device) ([]history.SeriesInfo, error) {
	if dev != c1 {
		return nil, nil
	}
	return []history.SeriesInfo{{Body: wire.Body{Columns: []wire.Column{{Point: "count"}}}}}, nil
}

func (fakeHistory) Ledger(site id.Site) iter.Seq2[history.Entry, error] {
	return func(yield func(history.Entry, error) bool) {
		for i := range 2100 {
			e := history.Entry{Site: site, Gateway: "gw", Run: run, A: uint64(i + 1), B: uint64(i + 1), Reason: history.Quota, Class: wire.Telemetry}
			if site != "hq" || !yield(e, nil) {
				return
			}
		}
	}
}

func serve(t *testing.T, views api.Views, store api.History) string {
	t.Helper()
	return serveUntil(t, t.Context(), views, store)
}

func serveUntil(t *testing.T, stop context.Context, views api.Views, store api.History) string {
	t.Helper()
	return serveCatalog(t, stop, views, store, openCatalog(t))
}

func serveCatalog(t *testing.T, stop context.Context, views api.Views, store api.History, c *catalog.Catalog) string {
	t.Helper()
	mux := http.NewServeMux()
	api.Register(stop, mux, "test", views, store, c)
	srv := httptest.NewServer(api.Handler(mux))
	t.Cleanup(srv.Close)
	return srv.URL
}

func newClient(t *testing.T, views api.Views, store api.History) *client.Client {
	t.Helper()
	c, err := client.New(serve(t, views, store))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheClientReadsWhatTheServerWrites(t *testing.T) {
	c := newClient(t, fakeViews{}, fakeHistory{})
	if st, err := c.Status(t.Context()); err != nil || st.Node != "n1" {
		t.Error(st, err)
	}
	if all, err := c.Sites(t.Context()); err != nil || len(all) != 1 || all[0].Revision != 7 {
		t.Error(all, err)
	}
	if all, err := c.SitesInShort(t.Context()); err != nil || len(all) != 1 || all[0].Summary == nil || all[0].Summary.Devices != 3 {
		t.Error(all, err)
	}
	if all, err := c.Sites(t.Context()); err != nil || all[0].Summary != nil {
		t.Error("nobody asked for summaries:", all, err)
	}
	if all, err := c.Gateways(t.Context(), "hq"); err != nil || len(all) != 1 || all[0].Runs[0].State != "open" {
		t.Error(all, err)
	}
	if d, err := c.Device(t.Context(), c1); err != nil || d.Liveness != "live" {
		t.Error(d, err)
	}
}

func TestListsComeWholeOverManyPages(t *testing.T) {
	c := newClient(t, fakeViews{devices: 2300}, fakeHistory{})
	devices, err := c.Devices(t.Context(), "hq")
	if err != nil || len(devices) != 2301 || devices[2300].Device != "hq/d02299" {
		t.Errorf("%d devices, %v", len(devices), err)
	}
	ledger, err := c.Ledger(t.Context(), "hq")
	if err != nil || len(ledger) != 2100 {
		t.Fatalf("%d entries, %v", len(ledger), err)
	}
	for i, e := range ledger {
		if e.A != uint64(i+1) {
			t.Fatalf("entry %d is %d", i, e.A)
		}
	}
}

func TestHistoryPagesSplitAnInstantWithoutLossOrRepetition(t *testing.T) {
	base := serve(t, fakeViews{}, fakeHistory{})
	next, want := "", int64(1)
	for {
		var page client.Page[client.Reading]
		get(t, base+"/v1/sites/hq/devices/c1/history?point=count&raw=true&limit=7&after="+url.QueryEscape(next), http.StatusOK, &page)
		for _, r := range page.Items {
			if r.Raw != want {
				t.Fatalf("reading %d after %d", r.Raw, want-1)
			}
			want++
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if want != int64(size)+1 {
		t.Fatalf("%d readings, want %d", want-1, size)
	}
}

// flood has as many readings in one instant as a read yields.
type flood struct{ fakeHistory }

func (flood) Read(_ context.Context, _ id.Device, _ id.Point, _, _ time.Time, _ int) iter.Seq2[history.Reading, error] {
	return func(yield func(history.Reading, error) bool) {
		for i := range history.MaxReadings {
			if !yield(history.Reading{Time: t0, Run: run, Seq: 1, SID: uint32(i + 1)}, nil) {
				return
			}
		}
	}
}

// A page that ends because the read was cut must not look like the last one.
func TestAnInstantWithMoreReadingsThanOneReadIsNoSilentEnd(t *testing.T) {
	base := serve(t, fakeViews{}, flood{})
	after := func(sid int) string {
		return fmt.Sprintf("%s/v1/sites/hq/devices/c1/history?point=count&limit=1000&after=%d.%s.1.%d.0", base, t0.UnixMicro(), run, sid)
	}
	var page client.Page[client.Reading]
	if get(t, after(history.MaxReadings-10), http.StatusOK, &page); len(page.Items) != 10 || page.Next == "" {
		t.Fatalf("%d readings, next %q", len(page.Items), page.Next)
	}
	var problem client.Error
	if get(t, after(history.MaxReadings), http.StatusInternalServerError, &problem); !strings.Contains(problem.Detail, "more than 1000000 readings at 2026-01-31") {
		t.Fatalf("detail %q", problem.Detail)
	}
}

func TestAPageThatIsFollowedByItselfEndsTheClient(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"items":[{"site":"hq"}],"next":"hq"}`)
	}))
	defer srv.Close()
	c, err := client.New(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Sites(t.Context()); err == nil || !strings.Contains(err.Error(), "followed by itself") {
		t.Fatalf("err %v", err)
	}
}

func TestHistoryIsCutByTime(t *testing.T) {
	c := newClient(t, fakeViews{}, fakeHistory{})
	n := 0
	for r, err := range c.History(t.Context(), c1, "count", t0.Add(10*time.Second), t0.Add(12*time.Second), false) {
		if err != nil || r.Run != "" || r.Value == nil {
			t.Fatal(r, err)
		}
		n++
	}
	if n != 8 {
		t.Fatalf("%d readings, want 8", n)
	}
	var page client.Page[client.Reading]
	get(t, serve(t, fakeViews{}, fakeHistory{})+"/v1/sites/hq/devices/c1/history?point=count&since=10m", http.StatusOK, &page)
	if page.Items == nil {
		t.Fatal("an empty list is null")
	}
}

// get fetches an address and decodes the answer.
func get(t *testing.T, address string, status int, into any) *http.Response {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("%s: %s: %s", address, resp.Status, b)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v: %s", address, err, b)
	}
	return resp
}

func TestBadRequestsAreToldThePlaceAndTheWayOut(t *testing.T) { // I6
	base := serve(t, fakeViews{}, fakeHistory{})
	for _, bad := range []struct {
		path, want string
		status     int
	}{
		{"/", "/v1/openapi.json", 404},
		{"/v1/nothing", "/v1/openapi.json", 404},
		{"/v1/sites/nowhere/gateways", "GET /v1/sites lists", 404},
		{"/v1/sites/hq/devices/none", "GET /v1/sites/hq/devices lists", 404},
		{"/v1/sites/HQ/gateways", "path.site", 400},
		{"/v1/sites/hq/devices/c_1", "path.device", 400},
		{"/v1/sites?colour=red", "query.colour", 422},
		{"/v1/sites?limit=0", "query.limit", 422},
		{"/v1/sites/hq/ledger?after=x", "query.after", 400},
		{"/v1/sites/hq/devices/c1/history", "query.point", 422},
		{"/v1/sites/hq/devices/c1/history?point=Count", "query.point", 400},
		{"/v1/sites/hq/devices/c1/history?point=other", "GET /v1/sites/hq/devices/c1 lists", 404},
		{"/v1/sites/hq/devices/none/history?point=count", "no history of device hq/none", 404},
		{"/v1/sites/hq/devices/c1/history?point=count&since=yesterday", "10m", 400},
		{"/v1/sites/hq/devices/c1/history?point=count&since=1m&until=2m", "before since", 400},
		{"/v1/sites/hq/devices/c1/history?point=count&after=1.2.3", "query.after", 400},
	} {
		var problem map[string]any
		resp := get(t, base+bad.path, bad.status, &problem)
		if ct := resp.Header.Get("Content-Type"); ct != "application/problem+json" {
			t.Errorf("%s: content type %s", bad.path, ct)
		}
		if text := fmt.Sprint(problem); !strings.Contains(text, bad.want) {
			t.Errorf("%s: %s; want %q", bad.path, text, bad.want)
		}
	}
}

func TestAMethodThatIsNotAllowedIsAnsweredWithTheOnesThatAre(t *testing.T) {
	resp, err := http.Post(serve(t, fakeViews{}, fakeHistory{})+"/v1/sites", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(resp.Header.Get("Allow"), "GET") || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Fatal(resp.Status, resp.Header)
	}
}

func TestAStoreThatFailsIsAnErrorAndNotAnEmptyList(t *testing.T) {
	c := newClient(t, fakeViews{}, fakeHistory{fault: io.ErrUnexpectedEOF})
	for _, err := range c.History(t.Context(), c1, "count", time.Time{}, time.Time{}, true) {
		if err == nil || !strings.Contains(err.Error(), "unexpected EOF") {
			t.Fatal(err)
		}
	}
	_, err := c.Gateways(t.Context(), "nowhere")
	if !client.NotFound(err) || !strings.Contains(err.Error(), "GET http://") {
		t.Fatal(err)
	}
}

func TestTheContractIsServed(t *testing.T) {
	var doc struct {
		OpenAPI string         `json:"openapi"`
		Paths   map[string]any `json:"paths"`
	}
	get(t, serve(t, fakeViews{}, fakeHistory{})+"/v1/openapi.json", http.StatusOK, &doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.") || len(doc.Paths) != 28 {
		t.Fatalf("version %s, %d paths", doc.OpenAPI, len(doc.Paths))
	}
}

func TestOnlyLoopbackIsServedUnlessAllowed(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:8080", "[::1]:0", "localhost:80"} {
		if err := api.CheckListen(addr, false); err != nil {
			t.Error(err)
		}
	}
	for _, addr := range []string{":8080", "0.0.0.0:8080", "192.0.2.1:80", "[::]:80", "example.org:80", "8080"} {
		if err := api.CheckListen(addr, false); err == nil || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if err := api.CheckListen("0.0.0.0:8080", true); err != nil {
		t.Error(err)
	}
}

func TestVerificationFetchesWhatIsCompared(t *testing.T) { // I1
	var truth []verify.Sample
	for n := range size {
		truth = append(truth, verify.Sample{Device: c1, N: int64(n + 1)})
	}
	in, err := newClient(t, fakeViews{}, fakeHistory{}).Verification(t.Context(), truth)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Readings) != size || len(in.Runs) != 2 || in.Runs[0].Retired || !in.Runs[1].Retired || in.Runs[1].Boot != (id.Boot{1}) || len(in.Twins) != 1 || len(in.Ledger) != 2100 || in.Ledger[0].Cause != verify.Declared {
		t.Fatalf("%d readings, %d runs, %d twins, %d entries", len(in.Readings), len(in.Runs), len(in.Twins), len(in.Ledger))
	}
	in.Ledger = nil // the fake's gaps contradict its readings
	if r := verify.Compare(in); !r.OK() || r.Readings != size {
		t.Fatal(r, r.Findings)
	}
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	for _, bad := range []string{"", "localhost:8080", "ftp://x", "http://"} {
		if _, err := client.New(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
