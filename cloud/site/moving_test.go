package site

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/actor"
)

// movable is a history with holes, as history.Store is.
type movable struct {
	*memHistory
	hole    history.Hole
	adopted map[history.Adoption]history.Hole // by site and shard
	stop    error                             // of the next Fill: it is cut short before the hole shrinks
}

func newMovable(t interface{ Errorf(string, ...any) }) *movable {
	return &movable{memHistory: newMemHistory(t)}
}

// Hole implements Holes.
func (h *movable) Hole(int) history.Hole {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hole
}

// OpenHole implements Holes.
func (h *movable) OpenHole(_ int, to uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if to <= h.position {
		return nil
	}
	if !h.hole.Open() {
		h.hole.After = h.position
	}
	h.position, h.hole.To = to, to
	return nil
}

// Fill implements Holes.
func (h *movable) Fill(p *history.Part) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.hole.Open() || p.After > h.hole.After || p.To <= h.hole.After {
		return fmt.Errorf("a part after %d to %d does not fit the hole %v", p.After, p.To, h.hole)
	}
	if err := p.Each(func(q *history.Projections) error { h.put(q); return nil }); err != nil {
		return err
	}
	if err := h.stop; err != nil {
		h.stop = nil
		return err
	}
	if h.hole.After = min(p.To, h.hole.To); !h.hole.Open() {
		h.hole = history.Hole{}
	}
	return nil
}

// tape is a log up to some message, which may be purged.
type tape struct {
	msgs  []journal.Message
	first uint64
	end   uint64
}

// Bounds implements Log.
func (l *tape) Bounds(context.Context) (first, last uint64, err error) { return l.first, l.end, nil }

// Read implements Log.
func (l *tape) Read(_ context.Context, from uint64) (journal.Reader, error) {
	if from < l.first || from > l.end+1 {
		return nil, &journal.GapError{Want: from, Got: l.first}
	}
	return &tapeReader{l, from}, nil
}

// Purge implements Log.
func (l *tape) Purge(_ context.Context, below uint64) error {
	l.first = max(l.first, below)
	return nil
}

type tapeReader struct {
	*tape
	next uint64
}

// Next implements journal.Reader.
func (r *tapeReader) Next(context.Context) (journal.Message, error) {
	r.next++
	return r.msgs[r.next-2], nil
}

// Close implements journal.Reader.
func (r *tapeReader) Close() {}

// barred owns a log whose last barrier is its last message.
type barred struct {
	noOwner
	tape *tape
}

func (o barred) Token() uint64                           { return o.tape.end }
func (o barred) Refence(context.Context) (uint64, error) { return o.tape.end, nil }

func (o barred) Publish(context.Context, []journal.Record) (uint64, error) { return o.tape.end, nil }

var errPower = errors.New("the power is off")

// bucket is a bucket of parts of some size, whose power fails after some Puts.
type bucket struct {
	Objects
	mu   sync.Mutex
	puts int    // until the power fails
	size uint64 // 0: without a bound
}

// Put implements Objects.
func (b *bucket) Put(ctx context.Context, name string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.puts == 0 {
		return errPower
	}
	b.puts--
	all, err := b.List(ctx)
	if err != nil {
		return err
	}
	held := uint64(len(data))
	for _, o := range all {
		held += o.Size
	}
	if b.size > 0 && held > b.size {
		return journal.ErrFull
	}
	return b.Objects.Put(ctx, name, data)
}

const manyPuts = 1 << 30

// roundabout is a shard that several nodes own after one another.
type roundabout struct {
	tape      *tape
	snapshots Objects
	parts     *bucket
	system    *actor.ActorSystem
}

func newRoundabout(msgs []journal.Message) *roundabout {
	mem := journaltest.NewMem(journaltest.Config{})
	return &roundabout{
		tape:      &tape{msgs: msgs, first: 1},
		snapshots: mem.Objects(0),
		parts:     &bucket{Objects: mem.Objects(1), puts: manyPuts},
		system:    actor.NewActorSystem(actor.Config{Address: "a", Port: 1, ClusterName: "test"}, quiet()),
	}
}

// life is one ownership.
type life struct {
	*Shard
	on   *roundabout
	held *movable
	fill *filler
	end  func()
}

// own recovers the shard on a node that has some history.
func (r *roundabout) own(t failer, h *movable, partBytes int) *life {
	s, err := New(Config{Node: "node"}, Parts{
		Journal: r.tape, Owner: barred{tape: r.tape}, Objects: r.snapshots, History: h, Parts: r.parts,
		Documents: newFakeDocuments(), Sender: &fakeSender{}, Actors: r.system,
	}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.shelf.partBytes = partBytes
	ctx, cancel := context.WithCancel(context.Background())
	stop := s.shelf.start(ctx)
	l := &life{Shard: s, on: r, held: h, fill: s.shelf.holeFiller(), end: func() { cancel(); stop(); s.closeSites() }}
	if err := s.recoverAgain(ctx); err != nil {
		l.end()
		t.Fatal(err)
	}
	if s.last != nil {
		s.keeper.manifests = []*manifest{s.last}
	}
	return l
}

type failer interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// goOn applies the next message, and reports whether there was one.
func (l *life) goOn(t failer) bool {
	if int(l.applied) == len(l.on.tape.msgs) {
		return false
	}
	l.on.tape.end = l.applied + 1
	if err := l.apply(context.Background(), l.on.tape.msgs[l.applied]); err != nil {
		t.Fatal(err)
	}
	return true
}

// keep makes a snapshot and waits for it.
func (l *life) keep(t failer) error {
	ctx := context.Background()
	err := l.flush()
	if err == nil {
		err = l.shelf.cut(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	job, err := l.snapshot(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	job.err = l.keeper.keep(ctx, job)
	l.stored(job)
	return job.err
}

// step fills the hole by a step, and reports whether there is more to do.
func (l *life) step(t failer, stop error) bool {
	hole := l.held.Hole(0)
	if !hole.Open() {
		return false
	}
	l.held.stop = stop
	if err := l.fill.step(context.Background(), hole); err != nil && !errors.Is(err, stop) {
		t.Fatal(err)
	}
	l.held.stop = nil
	return true
}

func (h *memHistory) equal(o *memHistory) bool {
	dead := func(a, b history.DeadLetter) bool {
		return a.At == b.At && a.Reason == b.Reason && bytes.Equal(a.Body, b.Body)
	}
	return maps.Equal(h.rows, o.rows) && maps.Equal(h.ledger, o.ledger) && maps.Equal(h.windows, o.windows) &&
		maps.Equal(h.alarms, o.alarms) && maps.EqualFunc(h.dead, o.dead, dead)
}

// I1, I7: however a shard moves between nodes, whenever they lose power and
// their fills are cut short: the last owner's history is that of a node that
// had the shard all the time, and nothing counts as lost.
func TestAShardThatMovesBringsAllItsRows(t *testing.T) {
	moved := 0 // holes that were filled
	rapid.Check(t, func(t *rapid.T) {
		msgs := drawLog(t)
		whole := offline(t, "node")
		defer whole.done()
		whole.play(t, msgs)
		r := newRoundabout(msgs)
		defer func() { _ = r.system.Stop(context.Background()) }()
		nodes := []*movable{newMovable(t), newMovable(t), newMovable(t)}
		r.tape.end = 1
		for range rapid.IntRange(1, 6).Draw(t, "owners") {
			l := r.own(t, rapid.SampledFrom(nodes).Draw(t, "node"), rapid.IntRange(1, 2000).Draw(t, "part"))
			l.live(t)
			l.end()
			r.parts.fail(manyPuts)
		}
		l := r.own(t, nodes[0], 500)
		defer l.end()
		for l.goOn(t) {
		}
		if err := l.keep(t); err != nil {
			t.Fatal(err)
		}
		for l.step(t, nil) {
			moved++
		}
		if !nodes[0].equal(whole.history.(*memHistory)) {
			t.Fatalf("%d rows, want %d", len(nodes[0].rows), len(whole.history.(*memHistory).rows))
		}
		if n := counted(l.metrics.lost); n != 0 {
			t.Fatalf("%v messages counted as lost", n)
		}
	})
	if moved == 0 {
		t.Error("nothing was ever filled in")
	}
}

// live is an owner's life until its power fails or it gives the shard up.
func (l *life) live(t *rapid.T) {
	for range rapid.IntRange(0, 25).Draw(t, "doings") {
		switch rapid.SampledFrom([]string{"go", "go", "go", "go", "flush", "keep", "fill", "cut short", "fail"}).Draw(t, "do") {
		case "go":
			l.goOn(t)
		case "flush":
			if err := l.flush(); err != nil {
				t.Fatal(err)
			}
		case "keep":
			if err := l.keep(t); err != nil {
				return
			}
		case "fill":
			l.step(t, nil)
		case "cut short":
			l.step(t, errPower)
		case "fail":
			l.on.parts.fail(rapid.IntRange(0, 2).Draw(t, "puts"))
		}
		if l.shelf.crowded() && l.on.parts.stopped() {
			return // the loop would wait for ever
		}
	}
}

// fail lets the power fail after so many Puts.
func (b *bucket) fail(after int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts = after
}

func (b *bucket) stopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.puts == 0
}

func counted(c prometheus.Counter) float64 {
	var m dto.Metric
	_ = c.Write(&m)
	return m.GetCounter().GetValue()
}
