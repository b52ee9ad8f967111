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
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
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

	catalog   *catalog.Catalog
	actors    *actor.ActorSystem
	coalescer *journal.Coalescer
	gate      *gate.Gate
	endpoint  *endpoint

	mu     sync.Mutex
	shards []*site.Shard // claimed ones
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
	n.catalog, err = catalog.Open(ctx, catalog.Config{ClusterID: c.ca.Cluster(), Shards: c.cfg.Shards, Zone: "home"}, c.mem.KV(catalog.Bucket), n.log, nil)
	if err != nil {
		return err
	}
	n.actors = actor.NewActorSystem(actor.Config{Address: n.name, ClusterName: c.ca.Cluster()}, n.log)
	var logs []journal.Publisher
	for i := range c.cfg.Shards {
		if err := n.claim(ctx, i); err != nil {
			return err
		}
		logs = append(logs, publisher{c.mem.Log(i), n})
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
	n.gate = gate.New(gate.Config{Cluster: c.ca.Cluster(), Node: n.name, TLS: tls, Identify: c.ca.GatewayOf, Owner: n.ownerOf}, n.catalog, appender, n.log, nil)
	return nil
}

func (n *node) claim(ctx context.Context, shard int) error {
	c := n.cloud
	log := &nodeLog{Log: c.mem.Log(shard), node: n}
	owner, err := cluster.Claim(ctx, cluster.Config{Node: n.name, Shard: shard, Incarnation: n.catalog.Cluster().Incarnation}, c.mem.KV(ownersBucket), log, n.log, nil)
	if err != nil {
		return err
	}
	s, err := site.New(site.Config{Shard: shard, Node: n.name, SnapshotEvery: c.cfg.SnapshotEvery, SnapshotMessages: c.cfg.SnapshotMessages}, site.Parts{
		Journal: log, Owner: owner, Objects: c.mem.Objects(shard), History: n.history,
		Documents: documents{n.catalog, c.sabotage.Catalog}, Sender: sender{n, shard}, Actors: n.actors,
	}, n.log, nil)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.shards = append(n.shards, s)
	n.mu.Unlock()
	return nil
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

// publisher is a log as the coalescer of one node sees it.
type publisher struct {
	journal.Publisher
	node *node
}

// PublishMessage implements journal.Publisher.
func (p publisher) PublishMessage(ctx context.Context, msg []byte) (uint64, error) {
	p.node.mu.Lock()
	wait, slow := p.node.pause, time.Until(p.node.slow) > 0
	p.node.mu.Unlock()
	if slow {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return p.Publisher.PublishMessage(ctx, msg)
}

// nodeLog is a log as one node sees it.
type nodeLog struct {
	*journaltest.Log
	node *node
}

// Read implements site.Log.
func (l *nodeLog) Read(ctx context.Context, from uint64) (journal.Reader, error) {
	r, err := l.Log.Read(ctx, from)
	if err != nil {
		return nil, err
	}
	return &nodeReader{r, l.node}, nil
}

// PublishFenced implements cluster.Log.
func (l *nodeLog) PublishFenced(ctx context.Context, token uint64, recs []journal.Record) (uint64, error) {
	if l.node.cloud.sabotage.Unfenced {
		return l.Log.Publish(ctx, recs)
	}
	return l.Log.PublishFenced(ctx, token, recs)
}

type nodeReader struct {
	journal.Reader
	node *node
}

// Next implements journal.Reader. A message that comes during a stall is held.
func (r *nodeReader) Next(ctx context.Context) (journal.Message, error) {
	m, err := r.Reader.Next(ctx)
	for d := r.node.stalled(); err == nil && d > 0; d = r.node.stalled() {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return journal.Message{}, fmt.Errorf("stalled: %w", ctx.Err())
		}
	}
	if err == nil && r.node.cloud.sabotage.Records != nil {
		m.Records = r.node.cloud.sabotage.Records(m.Records)
	}
	return m, err
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
	n.cloud.mu.Lock()
	n.cloud.redirects++
	n.cloud.mu.Unlock()
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
