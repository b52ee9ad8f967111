package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// reach is a node's way to the store. The node's process may stand still, be cut
// off from the store, or have been killed: then nothing that it does comes there,
// and no answer comes back.
type reach struct {
	timeout time.Duration // of a request without an answer

	mu      sync.Mutex
	gone    bool
	still   bool
	cut     bool
	changed chan struct{}
}

// errSilent is a request that nobody answers.
var errSilent = errors.New("no answer")

func newReach(timeout time.Duration) *reach {
	return &reach{timeout: timeout, changed: make(chan struct{})}
}

func (r *reach) set(what *bool, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*what = on
	close(r.changed)
	r.changed = make(chan struct{})
}

// mute says whether others hear nothing of the node.
func (r *reach) mute() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone || r.still || r.cut
}

func (r *reach) killed() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.gone }

// pass waits while the process stands still. errSilent: it is cut off, and its
// patience is over.
func (r *reach) pass(ctx context.Context) error {
	for {
		r.mu.Lock()
		gone, still, cut, changed := r.gone, r.still, r.cut, r.changed
		r.mu.Unlock()
		var over <-chan time.Time
		switch {
		case gone:
			return journal.ErrClosed
		case still:
		case cut:
			over = time.After(r.timeout)
		default:
			return nil
		}
		select {
		case <-changed:
			if cut && !still {
				return errSilent // what was on its way is lost
			}
		case <-over:
			return errSilent
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", errSilent, ctx.Err())
		}
	}
}

// hold waits until the node is reached again, as a stream of messages does.
func (r *reach) hold(ctx context.Context) error {
	for {
		err := r.pass(ctx)
		if !errors.Is(err, errSilent) || ctx.Err() != nil {
			return err
		}
	}
}

// stored performs a durable step of a node: it may not come to the store, or its
// answer not back, and the node may die before or after it.
func stored[T any](ctx context.Context, n *node, at protocolStep, do func() (T, error)) (T, error) {
	var none T
	if n.cloud.deaths.strikes(at, false) {
		n.kill()
	}
	if err := n.reach.pass(ctx); err != nil {
		return none, noWord(err)
	}
	v, err := do()
	if err == nil && n.cloud.deaths.strikes(at, true) {
		n.kill()
	}
	if passed := n.reach.pass(ctx); passed != nil {
		return none, noWord(passed)
	}
	return v, err
}

// noWord is what becomes of a write without an answer.
func noWord(err error) error {
	if errors.Is(err, errSilent) {
		return fmt.Errorf("%w: %w", journal.ErrAmbiguous, err)
	}
	return err
}

// looked performs a read of a node.
func looked[T any](ctx context.Context, n *node, do func() (T, error)) (T, error) {
	err := n.reach.pass(ctx)
	if err == nil {
		var v T
		if v, err = do(); err != nil {
			return v, err
		}
		if err = n.reach.pass(ctx); err == nil {
			return v, nil
		}
	}
	var none T
	if errors.Is(err, errSilent) {
		err = fmt.Errorf("%w: %w", journal.ErrUnavailable, err)
	}
	return none, err
}

// nodeLog is a log as one node sees it.
type nodeLog struct {
	*journaltest.Log
	node  *node
	shard int
}

type barrierAt struct {
	barrier journal.Barrier
	seq     uint64
}

// LastBarrier implements cluster.Log.
func (l *nodeLog) LastBarrier(ctx context.Context) (journal.Barrier, uint64, error) {
	at, err := looked(ctx, l.node, func() (at barrierAt, err error) {
		at.barrier, at.seq, err = l.Log.LastBarrier(ctx)
		return at, err
	})
	return at.barrier, at.seq, err
}

// PublishBarrier implements cluster.Log.
func (l *nodeLog) PublishBarrier(ctx context.Context, previous uint64, b journal.Barrier) (uint64, error) {
	step := fences
	if last := l.node.cloud.tap.last(l.shard); last.Owner == b.Owner && last.Compare(b) == 0 {
		step = refences
	}
	return stored(ctx, l.node, step, func() (uint64, error) { return l.Log.PublishBarrier(ctx, previous, b) })
}

// PublishFenced implements cluster.Log.
func (l *nodeLog) PublishFenced(ctx context.Context, token uint64, recs []journal.Record) (uint64, error) {
	return stored(ctx, l.node, noStep, func() (uint64, error) {
		if l.node.cloud.sabotage.Unfenced {
			return l.Log.Publish(ctx, recs)
		}
		return l.Log.PublishFenced(ctx, token, recs)
	})
}

// PublishMessage implements journal.Publisher. It waits where the node is slow
// to publish.
func (l *nodeLog) PublishMessage(ctx context.Context, msg []byte) (uint64, error) {
	if wait := l.node.lateness(); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
	return stored(ctx, l.node, noStep, func() (uint64, error) { return l.Log.PublishMessage(ctx, msg) })
}

// Bounds implements site.Log.
func (l *nodeLog) Bounds(ctx context.Context) (first, last uint64, err error) {
	at, err := looked(ctx, l.node, func() (at [2]uint64, err error) {
		at[0], at[1], err = l.Log.Bounds(ctx)
		return at, err
	})
	return at[0], at[1], err
}

// Purge implements site.Log.
func (l *nodeLog) Purge(ctx context.Context, below uint64) error {
	_, err := stored(ctx, l.node, purges, func() (struct{}, error) { return struct{}{}, l.Log.Purge(ctx, below) })
	return err
}

// Read implements site.Log.
func (l *nodeLog) Read(ctx context.Context, from uint64) (journal.Reader, error) {
	r, err := looked(ctx, l.node, func() (journal.Reader, error) { return l.Log.Read(ctx, from) })
	if err != nil {
		return nil, err
	}
	return &nodeReader{r, l.node}, nil
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
	if err == nil {
		err = r.node.reach.hold(ctx)
	}
	if err == nil && r.node.cloud.sabotage.Records != nil {
		m.Records = r.node.cloud.sabotage.Records(m.Records)
	}
	return m, err
}

// nodeObjects is a shard's bucket of objects as one node sees it.
type nodeObjects struct {
	*journaltest.Objects
	node *node
}

// Put implements site.Objects.
func (o nodeObjects) Put(ctx context.Context, name string, data []byte) error {
	_, err := stored(ctx, o.node, stepOfObject(name), func() (struct{}, error) { return struct{}{}, o.Objects.Put(ctx, name, data) })
	return err
}

// Delete implements site.Objects.
func (o nodeObjects) Delete(ctx context.Context, name string) error {
	_, err := stored(ctx, o.node, noStep, func() (struct{}, error) { return struct{}{}, o.Objects.Delete(ctx, name) })
	return err
}

// Get implements site.Objects.
func (o nodeObjects) Get(ctx context.Context, name string) ([]byte, error) {
	return looked(ctx, o.node, func() ([]byte, error) { return o.Objects.Get(ctx, name) })
}

// List implements site.Objects.
func (o nodeObjects) List(ctx context.Context) ([]journal.Object, error) {
	return looked(ctx, o.node, func() ([]journal.Object, error) { return o.Objects.List(ctx) })
}

// nodeKV is a bucket of documents as one node sees it.
type nodeKV struct {
	*journaltest.KV
	node *node
}

// Get implements the buckets of catalog, cluster and membership, as the methods
// below do.
func (k nodeKV) Get(ctx context.Context, key string) (journal.Entry, error) {
	return looked(ctx, k.node, func() (journal.Entry, error) { return k.KV.Get(ctx, key) })
}

// Put says by what is written to which step of the protocol it belongs.
func (k nodeKV) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return stored(ctx, k.node, stepOfDocument(key, value), func() (uint64, error) { return k.KV.Put(ctx, key, value, revision) })
}

func (k nodeKV) Delete(ctx context.Context, key string, revision uint64) error {
	_, err := stored(ctx, k.node, noStep, func() (struct{}, error) { return struct{}{}, k.KV.Delete(ctx, key, revision) })
	return err
}

func (k nodeKV) Watch(ctx context.Context, each func(journal.Entry), ready func()) error {
	return k.KV.Watch(ctx, func(e journal.Entry) {
		if k.node.reach.hold(ctx) == nil {
			each(e)
		}
	}, ready)
}

var (
	_ cluster.Log       = (*nodeLog)(nil)
	_ cluster.KV        = nodeKV{}
	_ journal.Publisher = (*nodeLog)(nil)
)
