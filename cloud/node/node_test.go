package node

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/identity"
	"github.com/atrium-iot/atrium/shared/ops"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests; the machine may be busy, and three
// nodes elect leaders.
const patience = 2 * time.Minute

var (
	gateway = id.Gateway{Site: "hq", Name: "gw-1"}
	dev     = id.Device{Site: "hq", Name: "c1"}
	run     = id.Run{1}
	boot    = id.Boot{2}
)

// life is a node from its open to its end, in this process.
type life struct {
	t      *testing.T
	node   *node
	url    string
	api    *client.Client
	cancel context.CancelFunc
	served chan error
}

// open opens a node on a folder, and serves nothing yet.
func open(t *testing.T, data string) *life {
	t.Helper()
	cfg := Config{Data: data, Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", Name: "n1", Zone: "here", Shards: 2}
	n := &node{cfg: cfg, log: slog.New(slog.DiscardHandler), reg: ops.NewRegistry(), start: time.Now()}
	if err := n.open(t.Context()); err != nil {
		t.Fatal(err, n.release())
	}
	l := &life{t: t, node: n, url: "http://" + n.http.Addr().String(), served: make(chan error, 1)}
	var err error
	if l.api, err = client.New(l.url); err != nil {
		t.Fatal(err)
	}
	return l
}

// start opens a node, serves, and waits until it is ready.
func start(t *testing.T, data string) *life {
	t.Helper()
	l := open(t, data)
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go func() { l.served <- l.node.serve(ctx) }()
	until(t, "the node is ready", func() bool { status, _ := l.get("/readyz"); return status == http.StatusOK })
	return l
}

// stop ends a node cleanly.
func (l *life) stop() {
	l.t.Helper()
	l.cancel()
	if err := <-l.served; err != nil {
		l.t.Errorf("serve ended with %v", err)
	}
	if err := l.node.release(); err != nil {
		l.t.Errorf("release: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func (l *life) get(path string) (status int, body string) {
	resp, err := http.Get(l.url + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// until looks again and again, as clients of HTTP do, until it holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

// journal appends a gateway's records as the gate does, and returns when the
// last is durable.
func (l *life) journal(records ...journal.Record) {
	l.t.Helper()
	shard, err := l.node.catalog.Assign(l.t.Context(), gateway.Site)
	if err != nil {
		l.t.Fatal(err)
	}
	done := make(chan error, len(records))
	for _, rec := range records {
		if err := l.node.coalescer.Append(shard, gateway.String(), rec, func(_ uint64, err error) { done <- err }); err != nil {
			l.t.Fatal(err)
		}
	}
	for range records {
		if err := <-done; err != nil {
			l.t.Fatal(err)
		}
	}
}

func record(kind journal.RecordKind, body []byte) journal.Record {
	return journal.Record{Kind: kind, Origin: gateway.String(), Site: gateway.Site, Body: body}
}

// opening is what a gateway with one counter sends before its first frame.
func opening() []journal.Record {
	body := wire.Body{Profile: "atrium.counter", Version: 1, Tick: uint64(time.Millisecond), Columns: []wire.Column{{Point: "count", Unit: "1", Kind: wire.KindCounter, Mantissa: 1}}}
	columns := body.Append(nil)
	hello := wire.Hello{Min: 1, Max: 1, Agent: "test", Board: id.Board{3}, Interval: 1000, Now: 1, Boots: []id.Boot{boot}, Runs: []wire.RunInfo{{Run: run, Class: wire.Telemetry, First: 1}}}
	bind := wire.Bind{Devices: []id.Device{dev}}
	schema := wire.Schema{Run: run, SID: 1, Device: dev, Hash: wire.HashBody(columns), Grid: 1000, Body: columns}
	clock := wire.Clock{Run: run, Clk: 1, Boot: boot, UTC0: time.Now().Add(-time.Hour).UnixMicro(), Uncertainty: 1500, Source: wire.ClockSystem}
	return []journal.Record{
		record(journal.KindHello, hello.Append(nil)), record(journal.KindBind, bind.Append(nil)),
		record(journal.KindSchema, schema.Append(nil)), record(journal.KindClock, clock.Append(nil)),
	}
}

// frame has one reading: the number seq, at second seq of the boot.
func frame(seq uint64) journal.Record {
	var rows wire.Rows
	tick := int64(seq) * 1000
	rows.Append(tick, 0, []int64{int64(seq)})
	f := wire.Frame{Run: run, Seq: seq, Clk: 1, T0: tick, Blocks: []wire.Block{{
		SID: 1, N: 1, DT0: wire.DT0(tick, tick, uint64(time.Millisecond)), Data: wire.AppendColumns(nil, &rows, 1000),
	}}}
	return record(journal.KindFrame, f.Append(nil))
}

// reports waits until the twin holds a number, and returns its point.
func (l *life) reports(n int64) client.Point {
	l.t.Helper()
	var point client.Point
	until(l.t, "the twin holds the number", func() bool {
		d, err := l.api.Device(l.t.Context(), dev)
		if err != nil || len(d.Points) != 1 || d.Points[0].Raw != n {
			return false
		}
		point = d.Points[0]
		return true
	})
	return point
}

// numbers is the device's history.
func (l *life) numbers() []int64 {
	l.t.Helper()
	var got []int64
	for r, err := range l.api.History(l.t.Context(), dev, "count", time.Time{}, time.Time{}, true) {
		if err != nil {
			l.t.Fatal(err)
		}
		got = append(got, r.Raw)
	}
	return got
}

// I1: a reading that was journaled reaches its twin and history once, however
// often the node starts again.
func TestARestartKeepsTheClusterItsSitesTwinsAndHistory(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	l := start(t, data)
	first, err := l.api.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l.journal(append(opening(), frame(1), frame(2))...)
	if p := l.reports(2); p.UncertaintyUS != 1500 || p.Clock != "system" || p.Quality != "good" {
		t.Errorf("the twin's point is %+v", p)
	}
	l.stop()

	l = start(t, data)
	second, err := l.api.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if second.Cluster != first.Cluster || len(second.Shards) != len(first.Shards) {
		t.Errorf("cluster %s with %d shards, before %s with %d", second.Cluster, len(second.Shards), first.Cluster, len(first.Shards))
	}
	for i, s := range second.Shards {
		if s.Epoch != first.Shards[i].Epoch+1 {
			t.Errorf("shard %d has epoch %d after %d: a restart is a new claim", i, s.Epoch, first.Shards[i].Epoch)
		}
	}
	if sites, err := l.api.Sites(t.Context()); err != nil || len(sites) != 1 || sites[0].Site != "hq" {
		t.Errorf("sites %+v, %v", sites, err)
	}
	l.reports(2)
	l.journal(frame(2), frame(3)) // the gateway did not see the ack of 2
	l.reports(3)
	if got := l.numbers(); len(got) != 3 || got[0] != 1 || got[1] != 2 || got[2] != 3 {
		t.Errorf("history holds %v, want 1, 2, 3 once", got)
	}
	if gws, err := l.api.Gateways(t.Context(), "hq"); err != nil || len(gws) != 1 || len(gws[0].Runs) != 1 || gws[0].Runs[0].Next != 4 {
		t.Errorf("gateways %+v, %v", gws, err)
	}
	l.stop()
}

func TestANodeIsNotReadyUntilItsShardsAreActive(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "data"))
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- l.node.serveHTTP(ctx) }() // the shards' owners do not run yet
	if status, body := l.get("/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "shards: shard 0 has no owner yet") {
		t.Errorf("/readyz is %d %q before any shard is active", status, body)
	}
	if status, body := l.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz is %d %q: a node that recovers is not to be restarted", status, body)
	}
	owners, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.node.seats.Run(owners) }()
	until(t, "the node is ready", func() bool { status, _ := l.get("/readyz"); return status == http.StatusOK })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := l.node.release(); err != nil {
		t.Error(err)
	}
}

func TestAStopDuringTheStartIsClean(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cfg := Config{Data: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", Name: "n1", Shards: 2}
	if err := Run(ctx, cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("got %v", err)
	}
}

// A node with a part that failed would take frames that nobody applies, or
// serve what nobody updates: it ends, and cleanly, so that it can start again.
func TestTheFirstPartThatFailsEndsTheNode(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(n *node) error
		want string
	}{
		"HTTP": {func(n *node) error { return n.http.Close() }, "http: "},
		"UDP":  {func(n *node) error { return n.socket.Close() }, "gate: "},
		"TCP":  {func(n *node) error { return n.tcp.Close() }, "gate: "},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, filepath.Join(t.TempDir(), "data"))
			l.journal(append(opening(), frame(1))...)
			l.reports(1)
			http.DefaultClient.CloseIdleConnections()
			if err := c.fail(l.node); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-l.served:
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("serve ended with %v, want %q", err, c.want)
				}
			case <-time.After(patience):
				t.Fatal("the node goes on")
			}
			l.cancel()
			if err := l.node.release(); err != nil && name != "UDP" { // which is closed twice
				t.Errorf("release: %v", err)
			}
		})
	}
}

// I3: who claims a shard has it; the only node that lives takes it back, and
// nothing is lost or applied twice.
func TestAShardThatWasTakenAwayComesBackToTheOnlyNodeThatLives(t *testing.T) {
	l := start(t, filepath.Join(t.TempDir(), "data"))
	defer l.stop()
	l.journal(append(opening(), frame(1))...)
	l.reports(1)
	shard, known := l.node.catalog.Known(gateway.Site)
	seat, held := l.node.seats.Of(shard)
	if !known || !held {
		t.Fatalf("shard %d, known %t, held %t", shard, known, held)
	}
	other, err := cluster.Claim(t.Context(), cluster.Config{Node: "n2", Shard: shard, Incarnation: 1}, l.node.documents, l.node.logs[shard], l.node.log, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-seat.Claim.Lost()
	until(t, "the node has it again", func() bool {
		again, held := l.node.seats.Of(shard)
		return held && again.Claim.Epoch() > other.Epoch()
	})
	l.journal(frame(2))
	l.reports(2)
	if got := l.numbers(); len(got) != 2 {
		t.Errorf("history holds %v, want 1, 2", got)
	}
}

// A gateway that no UDP reaches finds the node on the same port over TCP.
func TestGatewaysAreServedOverTCPOnTheSamePort(t *testing.T) {
	l := start(t, filepath.Join(t.TempDir(), "data"))
	defer l.stop()
	issued, err := l.node.ca.Gateway(gateway)
	if err != nil {
		t.Fatal(err)
	}
	creds, err := identity.Parsed(issued.Cert, issued.Key, issued.CA)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := net.Dial("tcp", l.node.socket.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := carrier.DialTCP(t.Context(), raw, creds.ClientTLS(nil), carrier.TCPConfig{KeepAlive: time.Second, Idle: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { conn.Close(wire.CloseBye, ""); <-conn.Gone() }()
	control, err := conn.OpenControl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hello := wire.Hello{Min: 1, Max: 1, Boots: []id.Boot{boot}}
	greeting := wire.AppendItem(wire.AppendItem(nil, hello.Append(nil)), (&wire.Bind{Devices: []id.Device{dev}}).Append(nil))
	if _, err := control.Write(greeting); err != nil {
		t.Fatal(err)
	}
	msg, err := wire.NewReader(control, wire.MaxControl).Next()
	if err != nil {
		t.Fatal(err)
	}
	if w, err := wire.ParseWelcome(msg); err != nil || w.Cluster != l.node.ca.Cluster() {
		t.Errorf("welcome %+v, %v", w, err)
	}
	until(t, "the gateway is known", func() bool { g, err := l.api.Gateways(t.Context(), "hq"); return err == nil && len(g) == 1 })
}

func TestUnknownNamesAreNotFound(t *testing.T) {
	l := start(t, filepath.Join(t.TempDir(), "data"))
	defer l.stop()
	if _, err := l.api.Devices(t.Context(), "nowhere"); !client.NotFound(err) {
		t.Errorf("devices of an unknown site: %v", err)
	}
	l.journal(opening()...)
	until(t, "the gateway is known", func() bool { g, err := l.api.Gateways(t.Context(), "hq"); return err == nil && len(g) == 1 })
	if _, err := l.api.Device(t.Context(), id.Device{Site: "hq", Name: "none"}); !client.NotFound(err) {
		t.Errorf("an unknown device: %v", err)
	}
}

func TestASecondNodeOnTheFolderIsRefused(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	l := start(t, data)
	defer l.stop()
	err := Run(t.Context(), Config{Data: data, Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", Name: "n2", Shards: 2}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "Another process is using this") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if status, _ := l.get("/readyz"); status != http.StatusOK {
		t.Errorf("the first node's /readyz is %d", status)
	}
}
