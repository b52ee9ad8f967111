package cluster

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/ops"
)

// watchAgain is the pause after a watch that broke: replicas elect a leader in
// seconds.
const watchAgain = 500 * time.Millisecond

// Watcher is a bucket that tells of changes: journal.KV or its double.
type Watcher interface {
	Watch(ctx context.Context, each func(journal.Entry), ready func()) error
}

// Holding is who has a shard, as far as this node has heard: whom to ask, never
// who decides. The zero value is a shard that nobody has claimed yet.
type Holding struct {
	Document
	// From serves the shard while it is offered; "" if this node has not seen
	// who offered it.
	From string
}

// Serving is the node that has the shard now: of one that is offered, the node
// before.
func (h Holding) Serving() string {
	if h.State == Offered && h.From != "" {
		return h.From
	}
	return h.Owner
}

// Owners is a node's map of the shards' owners. It is kept by a watch, so that
// it lags behind the documents by a message's way, or while replicas elect a
// leader by seconds. Its methods may be called from any goroutine.
//
// Goroutines: one watch; it ends with Close.
type Owners struct {
	kv      Watcher
	log     *slog.Logger
	watches prometheus.Counter
	cancel  context.CancelFunc
	stopped chan struct{}

	mu      sync.Mutex
	shards  []Holding
	changed chan struct{}
}

// WatchOwners returns the map once it shows all that is stored.
func WatchOwners(ctx context.Context, kv Watcher, shards int, log *slog.Logger, reg prometheus.Registerer) (*Owners, error) {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	o := &Owners{
		kv: kv, log: log, cancel: cancel, stopped: make(chan struct{}),
		shards: make([]Holding, shards), changed: make(chan struct{}),
		watches: ops.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_cluster_owners_watches_broken_total", Help: "Watches of the shards' owners that broke; the map is old until the next one.",
		})),
	}
	ready := make(chan struct{})
	go o.run(watching, sync.OnceFunc(func() { close(ready) }))
	select {
	case <-ready:
		return o, nil
	case <-ctx.Done():
		o.Close()
		return nil, ctx.Err()
	}
}

// Close ends the watch and returns when it has ended.
func (o *Owners) Close() {
	o.cancel()
	<-o.stopped
}

// Of returns who has a shard.
func (o *Owners) Of(shard int) Holding {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.shards[shard]
}

// Changed returns a channel that the next change of an owner closes. Who waits
// for changes takes it before it looks.
func (o *Owners) Changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

func (o *Owners) run(ctx context.Context, ready func()) {
	defer close(o.stopped)
	for {
		err := o.kv.Watch(ctx, o.learn, ready)
		if ctx.Err() != nil {
			return
		}
		o.watches.Inc()
		o.log.Warn("cluster: watch of the owners broke, the map is old", "err", err)
		if sleep(ctx, watchAgain) != nil {
			return
		}
	}
}

// learn takes a document, unless it is older than what is known: a watch that
// begins again may be served by a replica that lags.
func (o *Owners) learn(e journal.Entry) {
	shard, ok := shardOf(e.Key)
	if !ok || e.Value == nil {
		return
	}
	d, err := ParseDocument(e.Value)
	if err != nil {
		o.log.Error("cluster: the document of a shard is ignored", "key", e.Key, "revision", e.Revision, "err", err)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if shard >= len(o.shards) {
		o.log.Error("cluster: a document of a shard that this cluster has not is ignored", "key", e.Key, "shards", len(o.shards))
		return
	}
	before := o.shards[shard]
	if before.Incarnation > d.Incarnation || before.Incarnation == d.Incarnation && before.Epoch > d.Epoch {
		return
	}
	next := Holding{Document: d}
	if d.State == Offered && before.Epoch > 0 {
		next.From = before.Serving()
	}
	if next == before {
		return
	}
	o.shards[shard] = next
	close(o.changed)
	o.changed = make(chan struct{})
}

// shardOf is the shard of a document's key.
func shardOf(key string) (int, bool) {
	n, ok := strings.CutPrefix(key, keyPrefix)
	if !ok {
		return 0, false
	}
	shard, err := strconv.Atoi(n)
	return shard, err == nil && shard >= 0 && Key(shard) == key
}
