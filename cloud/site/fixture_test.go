package site

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

const tickNanos = 1_000_000

var (
	boot1 = id.Boot{1}
	gw1   = id.Gateway{Site: "hq", Name: "gw1"}
	gw2   = id.Gateway{Site: "hq", Name: "gw2"}
	dev1  = id.Device{Site: "hq", Name: "t1"}
)

func run(n byte) id.Run { return id.Run{n} }

func counterBody() []byte {
	b := wire.Body{Profile: "atrium.counter", Version: 1, Tick: tickNanos, Columns: []wire.Column{{Point: "count", Unit: "1", Kind: wire.KindCounter, Mantissa: 1}}}
	return b.Append(nil)
}

func wireRecord(kind journal.RecordKind, gw id.Gateway, body []byte) journal.Record {
	return journal.Record{Kind: kind, Origin: gw.String(), Site: gw.Site, Body: body}
}

func hello(gw id.Gateway, board byte, boots []id.Boot, runs ...wire.RunInfo) journal.Record {
	m := wire.Hello{Min: 1, Max: 1, Agent: "test", Board: id.Board{board}, Interval: 1000, Now: 1, Boots: boots, Runs: runs}
	return wireRecord(journal.KindHello, gw, m.Append(nil))
}

func bindTo(gw id.Gateway, devices ...id.Device) journal.Record {
	m := wire.Bind{Devices: devices}
	return wireRecord(journal.KindBind, gw, m.Append(nil))
}

func schemaOf(gw id.Gateway, r id.Run, sid uint32, dev id.Device) journal.Record {
	body := counterBody()
	m := wire.Schema{Run: r, SID: sid, Device: dev, Hash: wire.HashBody(body), Grid: 1000, Body: body}
	return wireRecord(journal.KindSchema, gw, m.Append(nil))
}

func clockOf(gw id.Gateway, r id.Run, clk uint32, boot id.Boot, utc0 int64) journal.Record {
	m := wire.Clock{Run: r, Clk: clk, Boot: boot, UTC0: utc0, Uncertainty: 1000, Source: wire.ClockSystem}
	return wireRecord(journal.KindClock, gw, m.Append(nil))
}

// frameOf makes a frame of one series with a value a millisecond from tick on.
func frameOf(gw id.Gateway, r id.Run, seq uint64, sid uint32, tick int64, values ...int64) journal.Record {
	return frameBy(gw, r, seq, 1, sid, tick, values...)
}

// frameBy is frameOf with another clock.
func frameBy(gw id.Gateway, r id.Run, seq uint64, clk, sid uint32, tick int64, values ...int64) journal.Record {
	var rows wire.Rows
	for i, v := range values {
		rows.Append(tick+int64(i), 0, []int64{v})
	}
	m := wire.Frame{Run: r, Seq: seq, Clk: clk, T0: tick, Blocks: []wire.Block{{SID: sid, N: len(values), DT0: wire.DT0(tick, tick, tickNanos), Data: wire.AppendColumns(nil, &rows, 1000)}}}
	return wireRecord(journal.KindFrame, gw, m.Append(nil))
}

func gapOf(gw id.Gateway, r id.Run, a, b uint64, why wire.GapReason) journal.Record {
	m := wire.Gap{Run: r, A: a, B: b, Reason: why, Readings: b - a + 1}
	return wireRecord(journal.KindGap, gw, m.Append(nil))
}

// opening is what a gateway sends before its first frame of a run with one
// device as sid 1.
func opening(gw id.Gateway, r id.Run, boot id.Boot, dev id.Device) []journal.Record {
	return []journal.Record{
		hello(gw, 1, []id.Boot{boot}, wire.RunInfo{Run: r, Class: wire.Telemetry, First: 1}),
		bindTo(gw, dev), schemaOf(gw, r, 1, dev), clockOf(gw, r, 1, boot, 0),
	}
}

func itoa(n uint64) string { return fmt.Sprint(n) }

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// memHistory is a history whose rows have the real one's key identity. It
// fails the test when a key is written again with another row.
type memHistory struct {
	t  interface{ Errorf(string, ...any) }
	mu sync.Mutex

	position uint64
	rows     map[string]string
	ledger   map[string]history.Entry
	dead     map[string]history.DeadLetter
	windows  map[string]history.Window
	alarms   map[string]history.AlarmEntry
	fail     error
	claimed  uint64 // what Position says, if lower than the truth
}

func newMemHistory(t interface{ Errorf(string, ...any) }) *memHistory {
	return &memHistory{
		t: t, rows: map[string]string{}, ledger: map[string]history.Entry{}, dead: map[string]history.DeadLetter{},
		windows: map[string]history.Window{}, alarms: map[string]history.AlarmEntry{},
	}
}

func (h *memHistory) Position(int) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.claimed > 0 {
		return min(h.claimed, h.position)
	}
	return h.position
}

func (h *memHistory) Write(_ int, seq uint64, p *history.Projections) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return h.fail
	}
	if seq <= h.position {
		return nil
	}
	h.put(p)
	h.position = seq
	return nil
}

// put stores projections under the real one's keys.
func (h *memHistory) put(p *history.Projections) {
	for _, r := range p.Rows {
		key := fmt.Sprintf("%s %s %d %s %d %d", r.Device, r.Schema, r.From, r.Run, r.Seq, r.SID)
		value := fmt.Sprintf("%d %d %d %d %x %d", r.N, r.First, r.Bind, r.Boot, r.Data, r.Received)
		if had, ok := h.rows[key]; ok && had != value {
			h.t.Errorf("history: row %s rewritten:\n%s\n%s", key, had, value)
		}
		h.rows[key] = value
	}
	for _, e := range p.Ledger {
		key := fmt.Sprintf("%d %d %d", e.At.Seq, e.At.Index, e.At.N)
		if had, ok := h.ledger[key]; ok && had != e {
			h.t.Errorf("history: ledger entry %s rewritten:\n%+v\n%+v", key, had, e)
		}
		h.ledger[key] = e
	}
	for _, w := range p.Windows {
		key := fmt.Sprintf("%s/%s %d %s %d %d %s %d", w.Site, w.Pipeline, w.Revision, w.Device, w.Stage, w.Start, w.Run, w.Seq)
		if had, ok := h.windows[key]; ok && had != w {
			h.t.Errorf("history: window %s rewritten:\n%+v\n%+v", key, had, w)
		}
		h.windows[key] = w
	}
	for _, e := range p.Alarms {
		key := fmt.Sprintf("%d %d %d", e.At.Seq, e.At.Index, e.At.N)
		if had, ok := h.alarms[key]; ok && had != e {
			h.t.Errorf("history: alarm entry %s rewritten:\n%+v\n%+v", key, had, e)
		}
		h.alarms[key] = e
	}
	for _, d := range p.Dead {
		h.dead[fmt.Sprintf("%d %d %d", d.At.Seq, d.At.Index, d.At.N)] = d
	}
}

func (h *memHistory) reasons() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []history.Entry
	for _, e := range h.ledger {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b history.Entry) int {
		if a.At.Seq != b.At.Seq {
			return int(int64(a.At.Seq) - int64(b.At.Seq))
		}
		return int(int64(a.At.Index)*1000 + int64(a.At.N) - int64(b.At.Index)*1000 - int64(b.At.N))
	})
	var s []string
	for _, e := range all {
		s = append(s, fmt.Sprintf("%s %d..%d", e.Reason, e.A, e.B))
	}
	return s
}

// line is one node's way from the log to the twins, over a store that
// outlives it.
type line struct {
	t       testing.TB
	mem     *journaltest.Mem
	log     *journaltest.Log
	owner   *cluster.Ownership
	history *memHistory
	shard   *Shard
	reg     *prometheus.Registry
	stop    func() error

	documents *fakeDocuments
	sender    *fakeSender
}

// start claims the shard and runs it until it serves. cfg needs no names.
func start(t testing.TB, mem *journaltest.Mem, h *memHistory, node string, cfg Config) *line {
	t.Helper()
	l, err := tryStart(t, mem, h, node, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// tryStart is start over a store that may fail meanwhile.
func tryStart(t testing.TB, mem *journaltest.Mem, h *memHistory, node string, cfg Config) (*line, error) {
	t.Helper()
	return startOver(t, mem, h, node, cfg, func(l Log) Log { return l })
}

// startOver is tryStart with something around the log.
func startOver(t testing.TB, mem *journaltest.Mem, h *memHistory, node string, cfg Config, around func(Log) Log) (*line, error) {
	t.Helper()
	return startAll(t, mem, h, node, cfg, around, newFakeDocuments())
}

// startWith is start over a catalog that has documents already.
func startWith(t testing.TB, mem *journaltest.Mem, h *memHistory, node string, cfg Config, documents *fakeDocuments) *line {
	t.Helper()
	l, err := startAll(t, mem, h, node, cfg, func(l Log) Log { return l }, documents)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func startAll(t testing.TB, mem *journaltest.Mem, h *memHistory, node string, cfg Config, around func(Log) Log, documents *fakeDocuments) (*line, error) {
	t.Helper()
	return startOn(t, mem, h, node, cfg, around, documents, func(*Parts) {})
}

// startOn is startAll with other parts; h is what reach looks at.
func startOn(t testing.TB, mem *journaltest.Mem, h *memHistory, node string, cfg Config, around func(Log) Log, documents *fakeDocuments, change func(*Parts)) (*line, error) {
	t.Helper()
	l := &line{t: t, mem: mem, log: mem.Log(0), history: h, reg: prometheus.NewRegistry()}
	var err error
	l.owner, err = cluster.Claim(t.Context(), cluster.Config{Node: node, Incarnation: 1}, mem.KV("cluster"), l.log, quiet(), nil)
	if err != nil {
		return nil, err
	}
	system := actor.NewActorSystem(actor.Config{Address: node, Port: 1, ClusterName: "test"}, quiet())
	cfg.Node = node
	l.sender, l.documents = &fakeSender{}, documents
	parts := Parts{
		Journal: around(l.log), Owner: l.owner, Objects: mem.Objects(0), History: h,
		Documents: l.documents, Sender: l.sender, Actors: system,
	}
	change(&parts)
	l.shard, err = New(cfg, parts, quiet(), l.reg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.shard.Run(ctx) }()
	stopped := false
	l.stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		err := <-ended
		if serr := system.Stop(context.Background()); serr != nil {
			t.Error(serr)
		}
		return err
	}
	t.Cleanup(func() { _ = l.stop() })
	select {
	case <-l.shard.Active():
		return l, nil
	case <-l.shard.ended:
		return nil, l.stop()
	}
}

// publish appends one message and returns its sequence.
func (l *line) publish(recs ...journal.Record) uint64 {
	l.t.Helper()
	seq, err := l.log.Publish(context.Background(), recs)
	if err != nil {
		l.t.Fatal(err)
	}
	return seq
}

// reach waits until the shard has applied seq and history has it.
func (l *line) reach(seq uint64) {
	l.t.Helper()
	deadline := time.After(time.Minute)
	for {
		progress, err := l.shard.Progress(l.t.Context())
		if err != nil {
			l.t.Fatalf("waiting for message %d: %v", seq, err)
		}
		l.history.mu.Lock()
		position := l.history.position
		l.history.mu.Unlock()
		if progress.Applied >= seq && position >= seq {
			return
		}
		select {
		case <-deadline:
			l.t.Fatalf("message %d is not applied: at %d, history at %d", seq, progress.Applied, position)
		case <-time.After(time.Millisecond):
		}
	}
}

// metric reads a counter of the shard.
func (l *line) metric(name string) float64 {
	l.t.Helper()
	families, err := l.reg.Gather()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	l.t.Fatalf("no metric %s", name)
	return 0
}

// bytes is the state of all sites, as a snapshot at the same sequence would
// hold it.
func (s *Shard) bytes() map[id.Site]string {
	all := make(map[id.Site]string)
	for name, st := range s.sites {
		b, err := s.codec.encode(st, 0)
		if err != nil {
			panic(err)
		}
		all[name] = string(b)
	}
	return all
}

func (l *line) state() map[id.Site]string {
	l.t.Helper()
	var all map[id.Site]string
	if err := l.shard.ask(l.t.Context(), func() { all = l.shard.bytes() }); err != nil {
		l.t.Fatal(err)
	}
	return all
}

// offline is a shard without a log, to which a test applies messages itself.
func offline(t interface{ Errorf(string, ...any) }, node string) *Shard {
	system := actor.NewActorSystem(actor.Config{Address: node, Port: 1, ClusterName: "test"}, quiet())
	s, err := New(Config{Node: node}, Parts{
		Journal: noLog{}, Owner: noOwner{}, History: newMemHistory(t), Documents: newFakeDocuments(), Sender: &fakeSender{}, Actors: system,
	}, quiet(), nil)
	if err != nil {
		panic(err)
	}
	return s
}

var errOffline = errors.New("offline")

type noLog struct{}

func (noLog) Bounds(context.Context) (uint64, uint64, error) { return 0, 0, errOffline }

func (noLog) Read(context.Context, uint64) (journal.Reader, error) { return nil, errOffline }
func (noLog) Purge(context.Context, uint64) error                  { return errOffline }

type noOwner struct{}

func (noOwner) Token() uint64                                             { return 0 }
func (noOwner) Lost() <-chan struct{}                                     { return nil }
func (noOwner) Err() error                                                { return nil }
func (noOwner) Activate(context.Context) error                            { return nil }
func (noOwner) Refence(context.Context) (uint64, error)                   { return 0, errOffline }
func (noOwner) Observe(journal.Barrier)                                   {}
func (noOwner) Publish(context.Context, []journal.Record) (uint64, error) { return 0, errOffline }
