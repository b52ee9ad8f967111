package seat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// world is what all nodes share: the stores, and who is there.
type world struct {
	t      *testing.T
	mem    *journaltest.Mem
	shards int
	kv     cluster.Watcher
	hang   func(ctx context.Context, shard int) error // before a claim, if set

	mu        sync.Mutex
	nodes     []placement.Node
	stable    time.Time
	changed   chan struct{}
	positions map[int]uint64 // of a history that all nodes share
}

func newWorld(t *testing.T, shards int) *world {
	mem := journaltest.NewMem(journaltest.Config{})
	return &world{
		t: t, mem: mem, shards: shards, kv: mem.KV("owners"), stable: time.Now(),
		changed: make(chan struct{}), positions: make(map[int]uint64),
	}
}

// set makes a node known, in a state.
func (w *world) set(name string, state placement.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes = slices.DeleteFunc(slices.Clone(w.nodes), func(n placement.Node) bool { return n.Name == name })
	w.nodes = append(w.nodes, placement.Node{Name: name, Capacity: 4, State: state})
	if state != placement.Draining {
		w.stable = time.Now()
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) Nodes() []placement.Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes
}

func (w *world) Rate(int) float64 { return 0 }

func (w *world) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func (w *world) StableSince() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stable
}

// Position and Write are a history's.
func (w *world) Position(shard int) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.positions[shard]
}

func (w *world) Write(shard int, seq uint64, _ *history.Projections) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.positions[shard] = max(w.positions[shard], seq)
	return nil
}

// no documents, and nobody to send to.
type nothing struct{}

func (nothing) Sites(int) []id.Site                    { return nil }
func (nothing) Of(id.Site) []journal.Document          { return nil }
func (nothing) Changed() <-chan struct{}               { return nil }
func (nothing) Command(id.Gateway, wire.Command) error { return nil }

// node is a node's seats at work.
type node struct {
	*Seats
	w      *world
	name   string
	reg    *prometheus.Registry
	cancel context.CancelFunc
	ended  chan error
}

// start runs a node that the others know at once.
func (w *world) start(name string, settle time.Duration, broken func(int) error) *node {
	w.t.Helper()
	owners, err := cluster.WatchOwners(w.t.Context(), w.kv, w.shards, quiet(), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	actors := actor.NewActorSystem(actor.Config{Address: name, ClusterName: "test"}, quiet())
	reg := prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	n := &node{w: w, name: name, reg: reg, cancel: cancel, ended: make(chan error, 1)}
	n.Seats = New(Config{Node: name, Shards: w.shards, Settle: settle}, Parts{
		Owners: owners, Peers: w,
		Zones: func(int) []placement.ZoneLoad { return nil },
		Claim: func(ctx context.Context, shard int) (*cluster.Ownership, error) {
			if w.hang != nil {
				if err := w.hang(ctx, shard); err != nil {
					return nil, err
				}
			}
			return cluster.Claim(ctx, cluster.Config{Node: name, Shard: shard, Incarnation: 1}, w.mem.KV("owners"), w.mem.Log(shard), quiet(), reg)
		},
		Open: func(shard int, claim *cluster.Ownership) (*site.Shard, error) {
			if broken != nil {
				if err := broken(shard); err != nil {
					return nil, err
				}
			}
			return site.New(site.Config{Shard: shard, Node: name}, site.Parts{
				Journal: w.mem.Log(shard), Owner: claim, Objects: w.mem.Objects(shard), History: w,
				Documents: nothing{}, Sender: nothing{}, Actors: actors,
			}, quiet(), reg)
		},
	}, quiet(), reg)
	w.set(name, placement.Live)
	w.t.Cleanup(cancel)
	go func() {
		err := n.Run(ctx)
		owners.Close()
		n.ended <- errors.Join(err, actors.Stop(context.Background()))
	}()
	return n
}

// stop ends a node; the others learn of it by its state.
func (n *node) stop() {
	n.w.t.Helper()
	families, err := n.reg.Gather()
	if err != nil {
		n.w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "atrium_seat_undecided_total" && f.GetMetric()[0].GetCounter().GetValue() != 0 {
			n.w.t.Errorf("%s could not decide", n.name)
		}
	}
	n.cancel()
	if err := <-n.ended; err != nil {
		n.w.t.Errorf("%s ended with %v", n.name, err)
	}
}

// active returns the shards that the node serves.
func (n *node) active() (all []int) {
	for _, s := range n.Held() {
		select {
		case <-s.Work.Active():
			all = append(all, s.Shard)
		default:
		}
	}
	return all
}

// settled requires that every shard is served by one of the nodes, and by one
// only, and returns how many each has.
func (w *world) settled(nodes ...*node) (counts []int) {
	w.t.Helper()
	by := make(map[int]string)
	for _, n := range nodes {
		for _, shard := range n.active() {
			if other, twice := by[shard]; twice {
				w.t.Fatalf("shard %d is served by %s and %s", shard, other, n.name) // I3
			}
			by[shard] = n.name
			if seat, ok := n.Of(shard); !ok || seat.Claim.Err() != nil {
				w.t.Fatalf("shard %d of %s: %v", shard, n.name, seat.Claim.Err())
			}
		}
		counts = append(counts, len(n.active()))
	}
	if len(by) != w.shards {
		w.t.Fatalf("%d of %d shards are served: %v", len(by), w.shards, by)
	}
	for _, n := range nodes {
		for shard, name := range by {
			if h := n.parts.Owners.Of(shard); h.Serving() != name || h.Owner != name {
				w.t.Fatalf("%s believes that shard %d is %s at %s, it is served by %s", n.name, shard, h.State, h.Serving(), name)
			}
		}
	}
	return counts
}

// after waits in fake time.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// publish appends a frame's worth of records to a shard's log, as gates do, and
// returns its sequence.
func (w *world) publish(shard int) uint64 {
	w.t.Helper()
	name := id.Site(fmt.Sprintf("s%d", shard))
	hello := wire.Hello{Min: 1, Max: 1, Agent: "test", Board: id.Board{1}, Interval: 1000, Now: 1, Boots: []id.Boot{{1}}}
	seq, err := w.mem.Log(shard).Publish(w.t.Context(), []journal.Record{{Kind: journal.KindHello, Origin: string(name) + "/gw", Site: name, Body: hello.Append(nil)}})
	if err != nil {
		w.t.Fatal(err)
	}
	return seq
}
