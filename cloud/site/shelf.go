package site

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// PartBytes is the size at which a part is cut, before it is compressed: some
	// of them in memory are bearable, and to read one back takes a moment.
	PartBytes = 4 << 20
	// maxWaiting is how many parts may wait for the bucket, beside the one on its
	// way there: enough to go on during one slow write. Beyond it the shard reads
	// no more of its log.
	maxWaiting = 1
	// partRetry is the pause after a part that could not be put or read.
	partRetry = time.Second
	// givenShare of the bucket gives way when it is full, so that not each part
	// has to look for what is oldest.
	givenShare = 16
)

// shelf keeps parts of what a shard projects, so that its next owner, on
// another node, can fill its history. The loop collects, one goroutine puts what
// was cut, in order, and another fills this node's own history. A nil shelf
// keeps nothing.
//
// Where parts are cut depends on the messages since the manifest that the owner
// began with, and on nothing else but its snapshots: a replay puts the same
// again. Two owners' parts may overlap.
type shelf struct {
	s       *Shard
	objects Objects
	partsOf func(shard int) Objects // of other shards
	history Holes
	codec   *history.PartCodec

	partBytes int // PartBytes, but in tests

	// Of the loop.
	body  bytes.Buffer
	after uint64 // the last message of the part before

	queue  chan *history.Part
	signal chan struct{} // there is room again

	mu      sync.Mutex
	end     uint64           // all parts up to here are durable
	err     error            // of the last try
	changed chan struct{}    // closed when one of them changes
	adopted map[id.Site]bool // sites that are here and came from other shards

	adopting chan struct{} // a site was adopted

	limit uint64 // the log's end when this owner began

	// Of the goroutine that puts.
	small int       // parts put since the last look for some to join
	aged  time.Time // the last look for old ones
}

func newShelf(s *Shard, p Parts, holes Holes) (*shelf, error) {
	codec, err := history.NewPartCodec()
	if err != nil {
		return nil, err
	}
	return &shelf{
		s: s, objects: p.Parts, partsOf: p.PartsOf, history: holes, codec: codec, partBytes: PartBytes,
		queue: make(chan *history.Part, maxWaiting), signal: make(chan struct{}, 1), changed: make(chan struct{}),
		adopted: make(map[id.Site]bool), adopting: make(chan struct{}, 1),
	}, nil
}

// begin forgets what was collected: the shard goes on behind another message.
// The parts up to there are those of owners before.
func (h *shelf) begin() {
	if h == nil {
		return
	}
	h.body.Reset()
	h.after = h.s.applied
	h.tried(h.after, nil)
}

// collect takes what the message that was applied last left.
func (h *shelf) collect(ctx context.Context, p history.Projections) error {
	if h == nil {
		return nil
	}
	if err := h.codec.Append(&h.body, &p); err != nil {
		return err
	}
	if h.body.Len() < h.partBytes {
		return nil
	}
	return h.cut(ctx)
}

// cut ends a part behind the message that was applied last, and waits for its
// place in the queue.
func (h *shelf) cut(ctx context.Context) error {
	if h == nil || h.after == h.s.applied {
		return nil
	}
	p := &history.Part{Shard: h.s.cfg.Shard, After: h.after, To: h.s.applied, Time: h.s.now, Body: bytes.Clone(h.body.Bytes())}
	select {
	case h.queue <- p:
	case <-ctx.Done():
		return ctx.Err()
	}
	h.body.Reset()
	h.after = p.To
	return nil
}

// crowded reports whether the next part would have to wait.
func (h *shelf) crowded() bool { return h != nil && len(h.queue) == cap(h.queue) }

// room says that crowded may have changed.
func (h *shelf) room() <-chan struct{} {
	if h == nil {
		return nil
	}
	return h.signal
}

// durable is the message up to which no part has still to be put.
func (h *shelf) durable() uint64 {
	if h == nil {
		return math.MaxUint64 - 1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.end
}

// reach waits until the parts up to a message, which are cut, are durable. It
// does not wait for a bucket that takes none.
func (h *shelf) reach(ctx context.Context, seq uint64) error {
	if h == nil {
		return nil
	}
	for {
		h.mu.Lock()
		end, err, changed := h.end, h.err, h.changed
		h.mu.Unlock()
		if end >= seq || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tried notes what became of a part.
func (h *shelf) tried(end uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end, h.err = max(h.end, end), err
	close(h.changed)
	h.changed = make(chan struct{})
}

// start puts parts until stop is called, which waits.
func (h *shelf) start(ctx context.Context) (stop func()) {
	return h.background(ctx, h.run)
}

func (h *shelf) background(ctx context.Context, work func(context.Context)) (stop func()) {
	if h == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		work(ctx)
	}()
	return func() { cancel(); <-done }
}

func (h *shelf) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-h.queue:
			select {
			case h.signal <- struct{}{}:
			default:
			}
			if h.untilPut(ctx, p) != nil {
				return
			}
			h.tidy(ctx)
		}
	}
}

// untilPut tries as long as it takes: without the part nothing behind it may be
// purged.
func (h *shelf) untilPut(ctx context.Context, p *history.Part) error {
	for {
		err := h.put(ctx, p)
		if err == nil {
			h.s.metrics.parts.Inc()
			h.tried(p.To, nil)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		h.s.metrics.partErrors.Inc()
		h.s.log.Error("a part of history could not be kept, it is tried again", "after", p.After, "to", p.To, "err", err)
		h.tried(0, err)
		if pause(ctx, partRetry) != nil {
			return err
		}
	}
}

func (h *shelf) put(ctx context.Context, p *history.Part) error {
	data, err := h.codec.Seal(p)
	if err != nil {
		return err
	}
	at := span{after: p.After, to: p.To, size: uint64(len(data))}
	for {
		err := h.objects.Put(ctx, at.name(), data)
		if !errors.Is(err, journal.ErrFull) {
			return err
		}
		given, gerr := h.giveWay(ctx, at)
		if gerr != nil || !given {
			return errors.Join(err, gerr)
		}
	}
}

// giveWay removes the oldest parts of a full bucket: enough for one more, and
// more than that (I5). It never removes what is to be put, and reports whether
// there was something.
func (h *shelf) giveWay(ctx context.Context, part span) (bool, error) {
	held, err := h.listKnown(ctx)
	if err != nil {
		return false, err
	}
	var all uint64
	for _, s := range held.parts {
		all += s.size
	}
	need := max(part.size, all/givenShare)
	given, last, n := uint64(0), uint64(0), 0
	for _, s := range held.parts {
		if given >= need {
			break
		}
		if s.name() == part.name() {
			continue
		}
		if err := h.objects.Delete(ctx, s.name()); err != nil {
			return n > 0, err
		}
		given, last, n = given+s.size, max(last, s.to), n+1
	}
	if n > 0 {
		h.s.metrics.partsGiven.Add(float64(n))
		h.s.log.Warn("the bucket of history is full: its oldest parts gave way, another node would lack their rows", "parts", n, "bytes", given, "up to", last)
	}
	return n > 0, nil
}

// list returns what the bucket holds for an owner that begins at the end of the
// log; nothing without a shelf.
func (h *shelf) list(ctx context.Context, end uint64) (holding, error) {
	if h == nil {
		return holding{}, nil
	}
	h.mu.Lock()
	h.limit = end
	h.mu.Unlock()
	return h.listKnown(ctx)
}

// listKnown returns what the bucket holds of what this owner has seen of the
// log. Beyond that are the parts of a later owner, which it is about to meet.
func (h *shelf) listKnown(ctx context.Context) (holding, error) {
	h.mu.Lock()
	upTo := max(h.limit, h.end)
	h.mu.Unlock()
	all, err := h.objects.List(ctx)
	if err != nil {
		return holding{}, fmt.Errorf("list parts: %w", err)
	}
	return holdingOf(all, upTo), nil
}

// pause waits unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
