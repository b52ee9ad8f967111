package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// ownersBucket and the order of what follows are cloud/node's.
const ownersBucket = "owners"

// queueBytes bounds the coalescer; small, so that a stalled journal fills it.
const queueBytes = 256 << 10

// node is one start of a cloud node, composed as cloud/node does.
type node struct {
	cloud   *cloud
	name    string
	addr    *net.UDPAddr
	log     *slog.Logger
	history *historyHandle

	slot      int
	reach     *reach
	end       context.CancelFunc // of its process
	clustered *clustered         // what connects it to others; nil where nodes only follow each other

	catalog   *catalog.Catalog
	actors    *actor.ActorSystem
	coalescer *journal.Coalescer
	gate      *gate.Gate
	endpoint  *endpoint

	mu     sync.Mutex
	opened bool
	shards []*site.Shard // claimed ones, if it is not clustered
	until  time.Time     // reading the logs stands still
	slow   time.Time     // until then each message for the logs waits for a pause
	pause  time.Duration
}

// run opens, serves until ctx or a part ends, and releases.
func (n *node) run(ctx context.Context) error {
	err := n.open(ctx)
	if err == nil {
		err = n.serve(ctx)
	}
	return errors.Join(err, n.release())
}

func (n *node) open(ctx context.Context) (err error) {
	c := n.cloud
	n.catalog, err = catalog.Open(ctx, catalog.Config{ClusterID: c.ca.Cluster(), Shards: c.cfg.Shards, Zone: "home", Restored: c.restored.Load()}, n.kv(catalog.Bucket), n.log, nil)
	if err != nil {
		return err
	}
	c.restored.Store(false)
	n.actors = actor.NewActorSystem(actor.Config{Address: n.name, ClusterName: c.ca.Cluster()}, n.log)
	var logs []journal.Publisher
	for i := range c.cfg.Shards {
		logs = append(logs, n.logOf(i))
	}
	if err := n.take(ctx); err != nil {
		return err
	}
	n.mu.Lock()
	n.coalescer = journal.NewCoalescer(logs, journal.CoalescerConfig{QueueBytes: queueBytes}, n.log, nil)
	n.mu.Unlock()
	tls, err := c.ca.ServerTLS(n.name, nil)
	if err != nil {
		return err
	}
	var appender gate.Appender = noted{n.coalescer, n}
	if c.sabotage.AckEarly {
		appender = hasty{n.coalescer}
	}
	cfg := gate.Config{Cluster: c.ca.Cluster(), Node: n.name, TLS: tls, Identify: c.ca.GatewayOf, Owner: n.ownerOf}
	if n.clustered != nil {
		cfg.Nodes, cfg.Owner = n.gates, n.gateOf
	}
	n.gate = gate.New(cfg, n.catalog, appender, n.log, nil)
	n.mu.Lock()
	n.opened = true
	n.mu.Unlock()
	return nil
}

func (n *node) kv(bucket string) nodeKV { return nodeKV{n.cloud.mem.KV(bucket), n} }

func (n *node) logOf(shard int) *nodeLog { return &nodeLog{n.cloud.mem.Log(shard), n, shard} }

// take claims every shard, or joins the others, who share them.
func (n *node) take(ctx context.Context) error {
	if n.cloud.cfg.Nodes > 0 {
		return n.join(ctx)
	}
	for i := range n.cloud.cfg.Shards {
		owner, err := n.claim(ctx, i)
		if err != nil {
			return err
		}
		s, err := n.work(i, owner)
		if err != nil {
			return err
		}
		n.mu.Lock()
		n.shards = append(n.shards, s)
		n.mu.Unlock()
	}
	return nil
}

// serves reports whether the node has opened everything.
func (n *node) serves() bool { n.mu.Lock(); defer n.mu.Unlock(); return n.opened }

// kill ends the node's process: nothing of it leaves it any more.
func (n *node) kill() {
	n.reach.set(&n.reach.gone, true)
	n.cloud.net.isolate(n.addr)
	n.end()
}

func (n *node) claim(ctx context.Context, shard int) (*cluster.Ownership, error) {
	return cluster.Claim(ctx, cluster.Config{Node: n.name, Shard: shard, Incarnation: n.catalog.Cluster().Incarnation}, n.kv(ownersBucket), n.logOf(shard), n.log, nil)
}

func (n *node) work(shard int, claim *cluster.Ownership) (*site.Shard, error) {
	c := n.cloud
	out := &sender{node: n, by: reign{shard, n.name, claim.Epoch()}}
	s, err := site.New(site.Config{Shard: shard, Node: n.name, SnapshotEvery: c.cfg.SnapshotEvery, SnapshotMessages: c.cfg.SnapshotMessages}, site.Parts{
		Journal: n.logOf(shard), Owner: claim, Objects: nodeObjects{c.mem.Objects(shard), n}, History: nodeHistory{n.history, n},
		Documents: documents{n.catalog, c.sabotage.Catalog}, Sender: out, Actors: n.actors,
	}, n.log, nil)
	out.work = s
	return s, err
}

// nodeHistory is history as one node writes it.
type nodeHistory struct {
	*historyHandle
	node *node
}

// Write implements site.History.
func (h nodeHistory) Write(shard int, seq uint64, p *history.Projections) error {
	if h.node.reach.killed() {
		return errHistoryDown
	}
	return h.historyHandle.Write(shard, seq, p)
}

// documents connects the owners to the catalog as cloud/node does.
type documents struct {
	*catalog.Catalog
	sabotage func([]journal.Document) []journal.Document
}

// Of implements site.Documents.
func (d documents) Of(name id.Site) []journal.Document {
	all := d.Catalog.Of(name)
	if d.sabotage != nil {
		all = d.sabotage(all)
	}
	return all
}

func (d documents) Sites(shard int) (names []id.Site) {
	for _, a := range d.Catalog.Sites() {
		if a.Shard == shard {
			names = append(names, a.Site)
		}
	}
	return names
}

// serve ends when ctx does, a part fails, or the store's power is cut.
func (n *node) serve(ctx context.Context) error {
	n.endpoint = n.cloud.net.endpoint(n.addr)
	g, failing := errgroup.WithContext(ctx)
	owners, stopOwners := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOwners()
	if n.clustered != nil {
		n.accompany(g, failing, owners)
	}
	for _, s := range n.owned() {
		g.Go(func() error { return s.Run(owners) })
	}
	dead := n.cloud.mem.Dead()
	g.Go(func() error {
		select {
		case <-dead:
			return errors.New("power cut")
		case <-failing.Done():
			return nil
		}
	})
	g.Go(func() error {
		if err := n.fenced(failing); err != nil {
			stopOwners()
			return ignoreStop(failing, err)
		}
		transport := gate.Transport(n.endpoint, gate.Keys{Reset: [32]byte{1}, Token: [32]byte{2}})
		gates, serving := errgroup.WithContext(failing)
		gates.Go(func() error { return n.gate.Serve(serving, transport) })
		gates.Go(func() error { return n.gate.ServeTCP(serving, n.cloud.net.listen(n.addr)) })
		err := gates.Wait()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, ignoreClosed(n.coalescer.Close(stop)))
		stopOwners()
		return errors.Join(err, transport.Close())
	})
	return g.Wait()
}

func ignoreClosed(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // records were given up, unacked
	}
	return err
}

// ignoreStop is nil of a node that was stopped while it waited.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// fenced returns once every log has a barrier, as cloud/node does: a log's first
// message is one.
func (n *node) fenced(ctx context.Context) error {
	for i := range n.cloud.cfg.Shards {
		for {
			_, _, err := n.logOf(i).LastBarrier(ctx)
			if err == nil {
				break
			}
			if !errors.Is(err, journal.ErrNoBarrier) && !errors.Is(err, journal.ErrUnavailable) {
				return fmt.Errorf("shard %d: %w", i, err)
			}
			select {
			case <-time.After(fencedAgain):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// fencedAgain is how often a log without a barrier is looked at again.
const fencedAgain = 200 * time.Millisecond

func (n *node) release() error {
	stop, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var err error
	if n.coalescer != nil {
		err = ignoreClosed(n.coalescer.Close(stop))
	}
	if n.actors != nil {
		err = errors.Join(err, n.actors.Stop(stop))
	}
	if n.clustered != nil {
		n.clustered.close()
	}
	if n.catalog != nil {
		n.catalog.Close()
	}
	if n.endpoint != nil {
		err = errors.Join(err, n.endpoint.Close())
	}
	return err
}

// owned returns the shards that are claimed and serve.
func (n *node) owned() []*site.Shard {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*site.Shard(nil), n.shards...)
}

// stallReading makes the node blind to its logs for a while, as a long pause
// of its disk or its process does: a zombie that still writes.
func (n *node) stallReading(d time.Duration) {
	n.mu.Lock()
	n.until = time.Now().Add(d)
	n.mu.Unlock()
}

func (n *node) stalled() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Until(n.until)
}

// delayPublishing makes each message that a gate's frames become wait, as a slow
// way to the journal does: another node may have journaled them meanwhile.
func (n *node) delayPublishing(by, during time.Duration) {
	n.mu.Lock()
	n.pause, n.slow = by, time.Now().Add(during)
	n.mu.Unlock()
}

// lateness is how long a message waits now.
func (n *node) lateness() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Now().Before(n.slow) {
		return n.pause
	}
	return 0
}

// hasty acks what the journal only has in its queue.
type hasty struct{ *journal.Coalescer }

// Append implements gate.Appender.
func (h hasty) Append(shard int, key string, rec journal.Record, done func(uint64, error)) error {
	err := h.Coalescer.Append(shard, key, rec, func(uint64, error) {})
	if err == nil {
		done(0, nil)
	}
	return err
}

// ownerOf names the gate of the node in charge: gate.Config.Owner.
func (n *node) ownerOf(id.Site) (address string, here bool) {
	at := nodeAddr(n.cloud.charge()).String()
	if n.cloud.sabotage.Astray {
		at = (&net.UDPAddr{IP: net.IP{10, 0, 1, 99}, Port: n.addr.Port}).String()
	}
	if at == n.addr.String() {
		return "", true
	}
	n.cloud.redirected()
	return at, false
}

// noted tells which node took a frame.
type noted struct {
	*journal.Coalescer
	node *node
}

// Append implements gate.Appender.
func (a noted) Append(shard int, key string, rec journal.Record, done func(uint64, error)) error {
	if run, _, _, err := wire.PeekSeq(rec.Body); err == nil && rec.Kind == journal.KindFrame {
		a.node.cloud.tap.took(run, a.node.name)
	}
	return a.Coalescer.Append(shard, key, rec, done)
}

// lag is how many bytes wait for the journal.
func (n *node) lag() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.coalescer == nil {
		return 0
	}
	return n.coalescer.Lag()
}
