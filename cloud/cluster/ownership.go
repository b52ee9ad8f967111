package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/journal"
)

const (
	// retryFirst and retryMost bound the pause after a publish without an
	// answer: a disk stall is short, a full disk lasts minutes.
	retryFirst = 50 * time.Millisecond
	retryMost  = 2 * time.Second
	// maxChecks bounds how often one publish may be refused although the last
	// barrier is ours: more says that the log and its fence disagree.
	maxChecks = 3
)

// KV is where the shards' documents are: journal.KV or its double.
type KV interface {
	Get(ctx context.Context, key string) (journal.Entry, error)
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// Log is the fence of a shard's log: journal.Log or its double.
type Log interface {
	LastBarrier(ctx context.Context) (journal.Barrier, uint64, error)
	PublishBarrier(ctx context.Context, previous uint64, b journal.Barrier) (token uint64, err error)
	PublishFenced(ctx context.Context, token uint64, recs []journal.Record) (seq uint64, err error)
}

// Config says who claims what.
type Config struct {
	Node        string // of this node, unique in the cluster
	Shard       int
	Incarnation uint64 // of the cluster, from the catalog
}

// Ownership is a node's claim to a shard, until Lost. Its methods may be
// called from any goroutine.
type Ownership struct {
	cfg     Config
	epoch   uint64
	kv      KV
	journal Log
	log     *slog.Logger
	metrics *metrics

	token atomic.Uint64
	turn  chan struct{} // holds one token: one conversation with the log at a time
	m     machine       // under turn

	offered atomic.Pointer[Document]

	once sync.Once
	gone chan struct{}
	err  atomic.Pointer[error]
}

// Claim makes this node the shard's owner: it returns once the node's barrier
// is the last in the log. Recover up to Token, then call Activate. ErrTaken:
// another was quicker. journal.ErrBarrierLost: the log has lost its fence and
// needs a person.
func Claim(ctx context.Context, cfg Config, kv KV, l Log, log *slog.Logger, reg prometheus.Registerer) (*Ownership, error) {
	o := &Ownership{
		cfg: cfg, kv: kv, journal: l,
		log:     log.With("shard", cfg.Shard),
		metrics: newMetrics(reg, cfg.Shard),
		turn:    make(chan struct{}, 1),
		gone:    make(chan struct{}),
		m:       machine{node: cfg.Node, incarnation: cfg.Incarnation},
	}
	o.offered.Store(&Document{})
	if cfg.Node == "" || len(cfg.Node) > journal.MaxOrigin {
		return nil, fmt.Errorf("cluster: claim shard %d: node name %q: want 1 to %d bytes", cfg.Shard, cfg.Node, journal.MaxOrigin)
	}
	if err := o.drive(ctx, event{kind: start}); err != nil {
		o.metrics.claimsFailed.Inc()
		return nil, fmt.Errorf("cluster: claim shard %d: %w", cfg.Shard, err)
	}
	o.epoch = o.m.doc.Epoch
	o.metrics.claims.Inc()
	o.metrics.epoch.Set(float64(o.epoch))
	o.metrics.owned.Set(1)
	o.log.Info("shard claimed", "epoch", o.epoch, "barrier", o.Token())
	return o, nil
}

// Shard returns the shard's number.
func (o *Ownership) Shard() int { return o.cfg.Shard }

// Incarnation returns the cluster's incarnation at the claim.
func (o *Ownership) Incarnation() uint64 { return o.cfg.Incarnation }

// Epoch returns the epoch of the claim.
func (o *Ownership) Epoch() uint64 { return o.epoch }

// Token returns the sequence of the owner's last barrier: what its records are
// conditional on. Refence changes it.
func (o *Ownership) Token() uint64 { return o.token.Load() }

// Lost is closed when the shard belongs to another; Err then says to whom.
func (o *Ownership) Lost() <-chan struct{} { return o.gone }

// Err returns nil, or the reason for Lost.
func (o *Ownership) Err() error {
	if p := o.err.Load(); p != nil {
		return *p
	}
	return nil
}

// Activate writes into the shard's document that the owner serves.
func (o *Ownership) Activate(ctx context.Context) error {
	if err := o.converse(ctx, event{kind: activate}); err != nil {
		return fmt.Errorf("cluster: activate shard %d: %w", o.cfg.Shard, err)
	}
	return nil
}

// Offer names the node that is to own the shard next, after a durable snapshot
// up to a sequence. This node goes on until that one's claim, which takes the
// offer, has its barrier in the log; then it is Lost with ErrHandedOver. An
// offer that nobody takes is replaced by another, to this node itself if it is
// to claim again.
func (o *Ownership) Offer(ctx context.Context, node string, upTo uint64) error {
	if node == "" || len(node) > journal.MaxOrigin {
		return fmt.Errorf("cluster: offer shard %d: node name %q: want 1 to %d bytes", o.cfg.Shard, node, journal.MaxOrigin)
	}
	if err := o.converse(ctx, event{kind: offer, doc: Document{Owner: node, Barrier: upTo}}); err != nil {
		return fmt.Errorf("cluster: offer shard %d to %s: %w", o.cfg.Shard, node, err)
	}
	o.metrics.offers.Inc()
	o.log.Info("shard offered", "to", node, "snapshot", upTo)
	return nil
}

// Refence publishes the barrier again, on the condition of the one before, and
// returns the new token. It must come before each purge: a log without its
// barrier has no fence.
func (o *Ownership) Refence(ctx context.Context) (token uint64, err error) {
	if err := o.converse(ctx, event{kind: refence}); err != nil {
		return 0, fmt.Errorf("cluster: refence shard %d: %w", o.cfg.Shard, err)
	}
	o.metrics.refences.Inc()
	return o.Token(), nil
}

// Observe tells of a barrier that was read in the log; a higher one than this
// owner's ends the ownership.
func (o *Ownership) Observe(b journal.Barrier) {
	mine := journal.Barrier{Incarnation: o.cfg.Incarnation, Epoch: o.epoch}
	if b.Compare(mine) > 0 {
		o.lose(superseded(b, *o.offered.Load()))
	}
}

// Publish appends the owner's records under its fence and returns when they
// are durable. While no answer comes it publishes the same again, so records
// may be stored twice and must be idempotent. ErrLost: nothing of recs counts
// any more, unless a try before was stored.
func (o *Ownership) Publish(ctx context.Context, recs []journal.Record) (uint64, error) {
	if err := o.enter(ctx); err != nil {
		return 0, fmt.Errorf("cluster: publish: shard %d: %w", o.cfg.Shard, err)
	}
	defer o.leave()
	seq, err := o.publish(ctx, recs)
	if err != nil {
		return 0, fmt.Errorf("cluster: publish: shard %d: %w", o.cfg.Shard, err)
	}
	return seq, nil
}

func (o *Ownership) publish(ctx context.Context, recs []journal.Record) (uint64, error) {
	pause := retryFirst
	for refused := 0; ; {
		seq, err := o.journal.PublishFenced(ctx, o.Token(), recs)
		switch {
		case err == nil:
			return seq, nil
		case errors.Is(err, journal.ErrFenced):
			o.metrics.fenced.Inc()
			if refused++; refused > maxChecks {
				return 0, o.lose(fmt.Errorf("%w: %d refusals although the last barrier is ours: %w", ErrLost, refused, err))
			}
			if err := o.drive(ctx, event{kind: fenced}); err != nil {
				return 0, err
			}
		case errors.Is(err, journal.ErrAmbiguous) && ctx.Err() == nil:
			if pause == retryFirst { // once a publish: the log has a metric for the rest
				o.log.Warn("no answer from the log, publishing again", "err", err)
			}
			if err := sleep(ctx, pause); err != nil {
				return 0, err
			}
			pause = min(2*pause, retryMost)
		default:
			return 0, err
		}
	}
}

func (o *Ownership) converse(ctx context.Context, e event) error {
	if err := o.enter(ctx); err != nil {
		return err
	}
	defer o.leave()
	return o.drive(ctx, e)
}

func (o *Ownership) enter(ctx context.Context) error {
	if err := o.Err(); err != nil {
		return err
	}
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := o.Err(); err != nil {
		o.leave()
		return err
	}
	return nil
}

func (o *Ownership) leave() { <-o.turn }

// drive performs the machine's commands until it is done. What an error or a
// context cut short is finished first: whether it was done is unknown.
func (o *Ownership) drive(ctx context.Context, e event) error {
	if o.m.midway() {
		if err := o.perform(ctx, o.m.step(event{kind: unknown})); err != nil {
			return err
		}
	}
	return o.perform(ctx, o.m.step(e))
}

func (o *Ownership) perform(ctx context.Context, c command) error {
	pause, refused := retryFirst, 0
	for {
		var e event
		var err error
		switch c.kind {
		case done:
			o.token.Store(o.m.token)
			offered := o.m.offered
			o.offered.Store(&offered)
			return nil
		case stop:
			return o.lose(c.err)
		case readDocument:
			e, err = o.readDocument(ctx)
		case writeDocument:
			e, err = o.writeDocument(ctx, c)
		case readBarrier:
			e, err = o.readBarrier(ctx)
		case publishBarrier:
			e, err = o.publishBarrier(ctx, c)
		}
		unread := errors.Is(err, journal.ErrUnavailable) // replicas elect a leader: ask again
		if err != nil && (!unread || ctx.Err() != nil) {
			return err
		}
		if e.kind == fenced || e.kind == conflict {
			refused++
		}
		if !unread {
			c = o.m.step(e)
		}
		if unread || e.kind == unknown || c.again || refused > 1 && c.kind != done && c.kind != stop {
			if err := sleep(ctx, pause); err != nil {
				return err
			}
			pause = min(2*pause, retryMost)
		}
	}
}

func (o *Ownership) readDocument(ctx context.Context) (event, error) {
	entry, err := o.kv.Get(ctx, Key(o.cfg.Shard))
	if errors.Is(err, journal.ErrNotFound) {
		return event{kind: document}, nil
	}
	if err != nil {
		return event{}, err
	}
	d, err := ParseDocument(entry.Value)
	if err != nil {
		return event{}, err
	}
	return event{kind: document, doc: d, rev: entry.Revision}, nil
}

func (o *Ownership) writeDocument(ctx context.Context, c command) (event, error) {
	rev, err := o.kv.Put(ctx, Key(o.cfg.Shard), c.doc.encode(), c.rev)
	switch {
	case err == nil:
		return event{kind: written, rev: rev}, nil
	case errors.Is(err, journal.ErrConflict):
		return event{kind: conflict}, nil
	case errors.Is(err, journal.ErrAmbiguous):
		return event{kind: unknown}, nil
	}
	return event{}, err
}

func (o *Ownership) readBarrier(ctx context.Context) (event, error) {
	b, seq, err := o.journal.LastBarrier(ctx)
	if errors.Is(err, journal.ErrNoBarrier) {
		return event{kind: noBarrier}, nil
	}
	if err != nil {
		return event{}, err
	}
	return event{kind: barrierRead, barrier: b, seq: seq}, nil
}

func (o *Ownership) publishBarrier(ctx context.Context, c command) (event, error) {
	seq, err := o.journal.PublishBarrier(ctx, c.previous, c.barrier)
	switch {
	case err == nil:
		return event{kind: stored, seq: seq}, nil
	case errors.Is(err, journal.ErrFenced):
		return event{kind: fenced}, nil
	case errors.Is(err, journal.ErrAmbiguous):
		return event{kind: unknown}, nil
	}
	return event{}, err
}

// lose ends the ownership once and returns the reason that was first.
func (o *Ownership) lose(err error) error {
	o.once.Do(func() {
		o.err.Store(&err)
		o.metrics.lost.Inc()
		o.metrics.owned.Set(0)
		level := slog.LevelWarn
		if errors.Is(err, ErrHandedOver) {
			level = slog.LevelInfo
		}
		o.log.Log(context.Background(), level, "shard lost", "err", err)
		close(o.gone)
	})
	return o.Err()
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
