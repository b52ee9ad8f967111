package journal

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// defaultFlushers a shard: while one waits for an fsync the other fills; a
	// third adds nothing on one disk.
	defaultFlushers = 2
	// defaultBatchBytes is where an fsync a message becomes nearly free.
	defaultBatchBytes = 512 << 10
	// defaultQueueBytes bounds what a shard's flushers hold: half a second of
	// what a fast disk takes, a few seconds of a slow one.
	defaultQueueBytes = 32 << 20
	// defaultQueueRecords bounds the entries where records are tiny.
	defaultQueueRecords = 32 << 10
	// retryFirst and retryMost bound the pause before a batch is published
	// again: a full disk stays full for minutes.
	retryFirst = 50 * time.Millisecond
	retryMost  = 2 * time.Second
	// complainEvery limits the log while publishes keep failing.
	complainEvery = 10 * time.Second
	// idleBuffers are kept by a flusher: one fills while one is in flight.
	idleBuffers = 2
)

// Publisher is the end of a shard's log that a Coalescer writes to: Log, or
// its double in journaltest.
type Publisher interface {
	// PublishMessage as Log's: nil only once msg is durable; msg is not kept.
	PublishMessage(ctx context.Context, msg []byte) (seq uint64, err error)
}

// CoalescerConfig bounds a coalescer. Zero means the default.
type CoalescerConfig struct {
	Flushers     int   // a shard; 2
	BatchBytes   int   // aimed at for one message; 512 KiB, at most MaxMessage
	QueueBytes   int64 // a shard, in flight included; 32 MiB
	QueueRecords int   // a shard, in flight included; 32,768
}

func (c CoalescerConfig) withDefaults() CoalescerConfig {
	if c.Flushers <= 0 {
		c.Flushers = defaultFlushers
	}
	if c.BatchBytes <= 0 {
		c.BatchBytes = defaultBatchBytes
	}
	c.BatchBytes = min(c.BatchBytes, MaxMessage)
	if c.QueueBytes <= 0 {
		c.QueueBytes = defaultQueueBytes
	}
	if c.QueueRecords <= 0 {
		c.QueueRecords = defaultQueueRecords
	}
	return c
}

// Coalescer joins gateways' records into messages and publishes them, so that
// one fsync serves many frames. Records of one key stay in order: a key is
// pinned to one flusher, a flusher has one message in flight, and a message
// whose ack did not come is published again before anything later.
//
// Sites share a queue that is contended (share.go): a key's records are of one
// site.
//
// Goroutines: one a flusher; they end with Close.
type Coalescer struct {
	shards [][]*flusher
	queued atomic.Int64
	sites  atomic.Int64 // of which something waits; one of a shard counts once a flusher
	gaveUp atomic.Bool  // records whose done got ErrClosed, since the last Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// NewCoalescer starts the flushers of each shard; logs is indexed by shard.
func NewCoalescer(logs []Publisher, cfg CoalescerConfig, log *slog.Logger, reg prometheus.Registerer) *Coalescer {
	cfg = cfg.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	c := &Coalescer{cancel: cancel, shards: make([][]*flusher, len(logs))}
	for shard, p := range logs {
		m := newCoalescerMetrics(reg, shard)
		for i := range cfg.Flushers {
			f := &flusher{
				to: p, metrics: m, total: &c.queued, waiting: &c.sites, gaveUp: &c.gaveUp,
				log:        log.With("shard", shard, "flusher", i),
				batchLimit: min(2*cfg.BatchBytes, MaxMessage),
				maxBytes:   cfg.QueueBytes / int64(cfg.Flushers),
				maxRecords: max(cfg.QueueRecords/cfg.Flushers, 1),
				wake:       make(chan struct{}, 1),
				sites:      make(map[id.Site]*share),
			}
			c.shards[shard] = append(c.shards[shard], f)
			c.wg.Go(func() { f.run(ctx) })
		}
	}
	return c
}

// Append queues rec for a shard and returns; rec is copied. key is the
// gateway's name. done is called once, from a flusher's goroutine, after the
// record is durable (I2), with the sequence of its message; or with ErrClosed,
// when it may or may not have been stored. done must not block.
//
// ErrBusy: the queue is full, or rec's site holds its share of it; rec was not
// taken, stop reading. Any other error says what is wrong with rec.
func (c *Coalescer) Append(shard int, key string, rec Record, done func(seq uint64, err error)) error {
	if shard < 0 || shard >= len(c.shards) {
		return fmt.Errorf("journal: append: shard %d, want 0 to %d", shard, len(c.shards)-1)
	}
	if err := rec.Check(); err != nil {
		return fmt.Errorf("journal: append: %w", err)
	}
	h := fnv.New32a()
	h.Write([]byte(key)) //nolint:errcheck // a hash never fails
	flushers := c.shards[shard]
	if err := flushers[h.Sum32()%uint32(len(flushers))].add(rec, done); err != nil {
		return fmt.Errorf("journal: append: shard %d: %w", shard, err)
	}
	return nil
}

// Lag returns the bytes accepted and not yet durable, of all shards.
func (c *Coalescer) Lag() int64 { return c.queued.Load() }

// Close refuses further records and publishes what is queued. When ctx ends
// first, what is left is given up: its done gets ErrClosed. It returns when
// every done was called, with an error if anything was given up: ctx's, or
// ErrClosed where the log was closed before. A second Close does nothing.
func (c *Coalescer) Close(ctx context.Context) error {
	for _, flushers := range c.shards {
		for _, f := range flushers {
			f.close()
		}
	}
	stop := context.AfterFunc(ctx, c.cancel)
	c.wg.Wait()
	stop()
	c.cancel()
	if !c.gaveUp.Swap(false) {
		return nil
	}
	err := context.Cause(ctx)
	if err == nil {
		err = ErrClosed
	}
	return fmt.Errorf("journal: close coalescer: records were given up: %w", err)
}

// batch is one message while it fills. Its first maxMessageHead bytes are kept
// free for the head, whose size depends on the count.
type batch struct {
	buf     []byte
	entries []entry
	parts   []part // by site
	number  uint64 // of the flusher's batches, from 1
}

type entry struct {
	done func(seq uint64, err error)
	at   time.Time
}

// message writes the head in front of the records.
func (b *batch) message() []byte {
	head := appendMessageHead(make([]byte, 0, maxMessageHead), len(b.entries))
	from := maxMessageHead - len(head)
	copy(b.buf[from:], head)
	return b.buf[from:]
}

func (b *batch) size() int64 { return int64(len(b.buf) - maxMessageHead) }

type flusher struct {
	to         Publisher
	metrics    *coalescerMetrics
	log        *slog.Logger
	total      *atomic.Int64
	waiting    *atomic.Int64 // sites, of all flushers
	gaveUp     *atomic.Bool
	batchLimit int
	maxBytes   int64
	maxRecords int
	wake       chan struct{} // holds at most one: there is something to do

	mu      sync.Mutex
	queue   []*batch // oldest first
	taken   uint64   // the number of the last batch that left it
	sites   map[id.Site]*share
	idle    []*batch
	bytes   int64 // in queue and in flight
	records int
	closed  bool
}

func (f *flusher) add(rec Record, done func(uint64, error)) error {
	size := recordSize(rec)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	// An empty queue takes any record, or a small limit would refuse it for ever.
	s := f.shareLocked(rec.Site)
	if full, overdrawn := f.admitLocked(s, int64(size)); f.records > 0 && (full || overdrawn) {
		f.refuseLocked(s, full)
		return ErrBusy
	}
	b := f.openLocked(s, size)
	b.holdLocked(s, int64(size))
	b.buf = appendRecord(b.buf, rec)
	b.entries = append(b.entries, entry{done, time.Now()})
	f.countLocked(int64(size), 1)
	f.signal()
	return nil
}

// refuseLocked counts a record that was not taken.
func (f *flusher) refuseLocked(s *share, full bool) {
	if full {
		f.metrics.full.Inc()
	} else {
		f.metrics.overdrawn.Inc()
	}
	if s.records == 0 {
		f.forgetLocked(s)
	}
}

func (f *flusher) countLocked(bytes int64, records int) {
	f.bytes += bytes
	f.records += records
	f.total.Add(bytes)
	f.metrics.queued.Add(float64(bytes))
	f.metrics.queuedRecords.Add(float64(records))
}

func (f *flusher) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *flusher) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.signal()
}

// run publishes batch after batch until it is closed and empty. After a batch
// that was given up nothing is published: it would be ahead of it for ever.
func (f *flusher) run(ctx context.Context) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	for {
		b, closed := f.take()
		if b == nil {
			if closed {
				return
			}
			<-f.wake
			continue
		}
		seq, err := f.flush(ctx, b.message(), len(b.entries))
		if err != nil {
			f.gaveUp.Store(true)
			giveUp()
		}
		now := time.Now()
		for _, e := range b.entries {
			if err == nil {
				f.metrics.seconds.Observe(now.Sub(e.at).Seconds())
			}
			e.done(seq, err)
		}
		f.release(b)
	}
}

func (f *flusher) take() (b *batch, closed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		return nil, f.closed
	}
	b = f.queue[0]
	f.queue[0] = nil
	f.queue = f.queue[1:]
	f.taken = b.number
	return b, f.closed
}

func (f *flusher) release(b *batch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.countLocked(-b.size(), -len(b.entries))
	f.freeLocked(b)
	if len(f.idle) < idleBuffers {
		clear(b.entries)
		clear(b.parts)
		b.buf, b.entries, b.parts = b.buf[:maxMessageHead], b.entries[:0], b.parts[:0]
		f.idle = append(f.idle, b)
	}
}

// flush publishes msg until it is acked. The answer that did not come may mean
// that it is stored: the same bytes go again before anything later, so that
// first occurrences are in order and the owner drops the second by (run, seq).
func (f *flusher) flush(ctx context.Context, msg []byte, records int) (uint64, error) {
	f.metrics.records.Observe(float64(records))
	f.metrics.bytes.Observe(float64(len(msg)))
	pause := retryFirst
	var complained time.Time
	for attempt := 0; ; attempt++ {
		if ctx.Err() != nil { // nothing may follow a batch that was given up
			return 0, ErrClosed
		}
		seq, err := f.to.PublishMessage(ctx, msg)
		if err == nil {
			if attempt > 0 {
				f.metrics.stalled.Dec()
				f.log.Info("journal: publishing again", "attempts", attempt+1)
			}
			return seq, nil
		}
		if attempt == 0 {
			f.metrics.stalled.Inc()
		}
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			f.metrics.stalled.Dec()
			return 0, ErrClosed
		}
		f.metrics.retries.Inc()
		if now := time.Now(); now.Sub(complained) >= complainEvery {
			complained = now
			f.log.Error("journal: publish failed, nothing is acked until it succeeds", "records", records, "bytes", len(msg), "err", err)
		}
		if wait(ctx, pause) != nil {
			f.metrics.stalled.Dec()
		}
		pause = min(2*pause, retryMost)
	}
}
