package site

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// quarter is a few shards over one store, whose owners come and go, and a gateway
// that sends through gates which know more or less of where its site is.
type quarter struct {
	t       *testing.T
	rnd     *rand.Rand
	mem     *journaltest.Mem
	catalog *catalog.Catalog
	system  *actor.ActorSystem // of the only node: all owners use it
	shards  []*ownedShard
	maps    []catalog.Assignment // of hq, oldest first: what a gate may believe
	sent    uint64               // frames, whose sequences these are
	lives   int
	puts    atomic.Int64 // that the bucket of another shard takes
}

// ownedShard is one with the history of the only node.
type ownedShard struct {
	*Shard
	history *memHistory
	reg     *prometheus.Registry
	stop    func()
}

func newQuarter(t *testing.T, seed uint64, shards int) *quarter {
	q := &quarter{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), mem: journaltest.NewMem(journaltest.Config{Sync: time.Millisecond})}
	q.puts.Store(manyPuts)
	q.system = actor.NewActorSystem(actor.Config{Address: "n", Port: 1, ClusterName: "test"}, quiet())
	var err error
	cfg := catalog.Config{ClusterID: "c", Shards: shards, Zone: "z"}
	if q.catalog, err = catalog.Open(t.Context(), cfg, q.mem.KV(catalog.Bucket), quiet(), nil); err != nil {
		t.Fatal(err)
	}
	for i := range shards {
		q.shards = append(q.shards, &ownedShard{history: newMemHistory(t), reg: prometheus.NewRegistry()})
		q.own(i)
	}
	if _, err := q.catalog.Assign(t.Context(), "hq"); err != nil {
		t.Fatal(err)
	}
	q.learn()
	return q
}

// own has another owner take a shard; the one before ends where it is.
func (q *quarter) own(shard int) {
	o := q.shards[shard]
	if o.stop != nil {
		o.stop()
	}
	q.lives++
	node := fmt.Sprintf("n%d", q.lives)
	claim, err := cluster.Claim(q.t.Context(), cluster.Config{Node: node, Shard: shard, Incarnation: 1}, q.mem.KV("cluster"), q.mem.Log(shard), quiet(), nil)
	if err != nil {
		q.t.Fatal(err)
	}
	o.Shard, err = New(Config{Shard: shard, Node: node, SnapshotMessages: 5, SnapshotEvery: time.Hour}, Parts{
		Journal: q.mem.Log(shard), Owner: claim, Objects: q.mem.Objects(shard), History: o.history,
		Documents: newFakeDocuments(), Moves: townMoves{q}, Sender: &fakeSender{}, Actors: q.system,
	}, quiet(), o.reg)
	if err != nil {
		q.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	work := o.Shard
	ended.Go(func() {
		if err := work.Run(ctx); err != nil {
			q.t.Errorf("shard %d: %v", shard, err)
		}
	})
	o.stop = func() { cancel(); ended.Wait() }
}

func (q *quarter) close() {
	for _, o := range q.shards {
		o.stop()
	}
	_ = q.system.Stop(context.Background())
	q.catalog.Close()
}

// learn notes where the site is, if that is news.
func (q *quarter) learn() {
	a, _ := q.catalog.Assigned("hq")
	if n := len(q.maps); n == 0 || q.maps[n-1].Shard != a.Shard || len(q.maps[n-1].Past) != len(a.Past) {
		q.maps = append(q.maps, a)
	}
}

// townMoves is what a node gives its shards.
type townMoves struct{ q *quarter }

func moveOf(a catalog.Assignment) Move {
	m := Move{Site: a.Site, Shard: a.Shard, To: -1, Revision: a.Revision}
	if a.Moving != nil {
		m.To, m.Out, m.Digest = a.Moving.To, a.Moving.Out, a.Moving.Digest
	}
	return m
}

func (m townMoves) Under(shard int) (all []Move) {
	for _, a := range m.q.catalog.Moves(shard) {
		all = append(all, moveOf(a))
	}
	return all
}

func (m townMoves) Where(site id.Site) (Move, bool) {
	a, ok := m.q.catalog.Assigned(site)
	return moveOf(a), ok
}

func (m townMoves) of(v Move) catalog.Assignment {
	a, _ := m.q.catalog.Assigned(v.Site)
	if a.Revision != v.Revision {
		a.Revision = v.Revision // the write finds that it is late
	}
	return a
}

func (m townMoves) Departed(ctx context.Context, v Move, at uint64, digest [32]byte) error {
	return m.q.catalog.Departed(ctx, m.of(v), at, digest)
}

func (m townMoves) Arrived(ctx context.Context, v Move) error {
	return m.q.catalog.Arrived(ctx, m.of(v))
}

func (m townMoves) Objects(shard int) Objects {
	return &bucket{Objects: m.q.mem.Objects(shard), puts: int(m.q.puts.Load())}
}

func (m townMoves) Append(shard int, _ string, rec journal.Record, done func(uint64, error)) error {
	seq, err := m.q.mem.Log(shard).Publish(context.Background(), []journal.Record{rec})
	done(seq, err)
	return nil
}

func (q *quarter) publish(shard int, recs ...journal.Record) uint64 {
	seq, err := q.mem.Log(shard).Publish(context.Background(), recs)
	if err != nil {
		q.t.Fatal(err)
	}
	return seq
}

// connect is a gate's new connection by what it believes: first it passes the
// shards that the site has left. False: an owner has not come that far in time.
func (q *quarter) connect(believed catalog.Assignment) bool {
	for _, past := range believed.Past {
		seq := q.publish(past, journal.Record{Kind: journal.KindMark, Origin: gw1.String(), Site: "hq", Body: journal.AppendMark(nil)})
		for tries := 0; !q.shards[past].Passed("hq", seq); tries++ {
			if tries == 200 {
				return false
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return true
}

// send sends some frames on a connection of a gate's belief.
func (q *quarter) send(believed catalog.Assignment, n int) {
	if !q.connect(believed) {
		return
	}
	first := q.sent + 1
	q.publish(believed.Shard, hello(gw1, 1, []id.Boot{boot1}, wire.RunInfo{Run: run(1), Class: wire.Telemetry, First: 1, Last: first}),
		bindTo(gw1, dev1), schemaOf(gw1, run(1), 1, dev1), clockOf(gw1, run(1), 1, boot1, 0))
	for range n {
		q.sent++
		q.publish(believed.Shard, frameOf(gw1, run(1), q.sent, 1, int64(q.sent)*10, int64(q.sent)))
		if q.rnd.IntN(3) == 0 {
			time.Sleep(time.Duration(q.rnd.IntN(5)) * time.Millisecond)
		}
	}
}

// settle waits until nothing moves and everything is applied.
func (q *quarter) settle() *ownedShard {
	q.t.Helper()
	for range 600 {
		time.Sleep(time.Second)
		q.learn()
		a, _ := q.catalog.Assigned("hq")
		if a.Moving == nil && q.connect(a) {
			o := q.shards[a.Shard]
			_, last, err := q.mem.Log(a.Shard).Bounds(q.t.Context())
			if err != nil {
				q.t.Fatal(err)
			}
			if p, err := o.Progress(q.t.Context()); err == nil && p.Applied >= last {
				return o
			}
		}
	}
	a, _ := q.catalog.Assigned("hq")
	q.t.Fatalf("the site never comes to rest: %+v", a)
	return nil
}

// I1, I2: wherever a site goes, whoever owns the shards on its way and however
// often they die, and whatever the gates know of it: each frame that was acked is
// applied once, in order, and none is missing.
func TestASiteThatMovesLosesNothing(t *testing.T) {
	moves := 0
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			q := newQuarter(t, seed, 3)
			defer q.close()
			for range 40 {
				switch q.rnd.IntN(10) {
				case 0, 1:
					if _, err := q.catalog.MoveSite(t.Context(), "hq", q.rnd.IntN(3), 0); err == nil {
						moves++
					}
				case 2, 3:
					q.own(q.rnd.IntN(3))
				case 4:
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					_, _ = q.shards[q.rnd.IntN(3)].Save(ctx)
					cancel()
				case 5:
					time.Sleep(time.Duration(q.rnd.IntN(2000)) * time.Millisecond)
				default:
					q.learn()
					believed := q.maps[len(q.maps)-1]
					if q.rnd.IntN(2) == 0 {
						believed = q.maps[q.rnd.IntN(len(q.maps))]
					}
					q.send(believed, 1+q.rnd.IntN(4))
				}
				time.Sleep(time.Duration(q.rnd.IntN(20)) * time.Millisecond)
			}
			q.check(q.settle())
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if moves < 60 {
		t.Errorf("%d moves: too few to say anything", moves)
	}
}

func (q *quarter) check(o *ownedShard) {
	q.t.Helper()
	if q.sent == 0 {
		return
	}
	all, err := o.Gateways(q.t.Context(), "hq")
	if err != nil || len(all) != 1 {
		q.t.Fatalf("%d gateways: %v", len(all), err)
	}
	if n := all[0].Count; n.Frames != q.sent || n.Missing != 0 || n.Dead != 0 {
		q.t.Errorf("%d frames were acked: %+v", q.sent, n)
	}
	rows := make(map[string]int)
	for _, s := range q.shards {
		for _, why := range s.history.reasons() {
			q.t.Errorf("in the ledger: %s", why)
		}
		for key := range s.history.rows {
			rows[key]++
		}
	}
	for key, n := range rows {
		if n > 1 {
			q.t.Errorf("row %s is stored by %d shards", key, n)
		}
	}
	if uint64(len(rows)) != q.sent {
		q.t.Errorf("%d rows of %d frames", len(rows), q.sent)
	}
}

// The objects that hand a site over go when nothing needs them, and not before:
// in the end none is left.
func TestWhatHandsASiteOverIsSweptInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuarter(t, 1, 2)
		defer q.close()
		q.send(q.maps[0], 3)
		if _, err := q.catalog.MoveSite(t.Context(), "hq", 1, 0); err != nil {
			t.Fatal(err)
		}
		q.settle()
		if _, err := q.shards[1].Save(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := q.handed(1); n != 1 { // there is no second snapshot to fall back to
			t.Fatalf("%d objects, want the one that a replay needs", n)
		}
		q.own(1) // it replays the arrival
		q.learn()
		for range 3 {
			q.send(q.maps[len(q.maps)-1], 2)
			time.Sleep(time.Second)
			if _, err := q.shards[1].Save(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := q.handed(1); n != 0 {
			t.Errorf("%d objects are left", n)
		}
		q.own(1)
		q.check(q.settle())
	})
}

// I1: while the state of a site that leaves is nowhere else, no snapshot of its
// former shard is kept without it, whoever owns that.
func TestAStateThatIsNotHandedOverIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuarter(t, 1, 2)
		defer q.close()
		q.send(q.maps[0], 3)
		q.puts.Store(0)
		if _, err := q.catalog.MoveSite(t.Context(), "hq", 1, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if _, err := q.shards[0].Devices(t.Context(), "hq"); !errors.Is(err, ErrMoved) {
			t.Errorf("asked of a site that has left: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if seq, err := q.shards[0].Save(ctx); err == nil {
			t.Errorf("a snapshot at %d is kept without the site's state", seq)
		}
		q.own(0)
		time.Sleep(3 * time.Second)
		q.puts.Store(manyPuts)
		q.check(q.settle())
	})
}

// I1: what is late waits in the log until it is in the other one: while that shard
// has no owner, no snapshot lets it be purged.
func TestALateRecordIsKeptUntilItIsForwarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQuarter(t, 1, 2)
		defer q.close()
		q.send(q.maps[0], 3)
		q.shards[1].stop()
		if _, err := q.catalog.MoveSite(t.Context(), "hq", 1, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		q.send(q.maps[0], 2)
		// Another site of the shard is news for a snapshot.
		other := id.Gateway{Site: "lab", Name: "gw"}
		q.publish(0, opening(other, run(9), boot1, id.Device{Site: "lab", Name: "d"})...)
		time.Sleep(3 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if seq, err := q.shards[0].Save(ctx); err == nil {
			t.Errorf("a snapshot at %d is kept beyond what is late", seq)
		}
		q.own(0)
		q.own(1)
		q.check(q.settle())
	})
}

func (q *quarter) handed(shard int) (n int) {
	all, err := q.mem.Objects(shard).List(q.t.Context())
	if err != nil {
		q.t.Fatal(err)
	}
	for _, o := range all {
		if strings.HasPrefix(o.Name, movedPrefix) {
			n++
		}
	}
	return n
}
