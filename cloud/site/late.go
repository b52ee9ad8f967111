package site

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// maxLate bounds the bytes of late records that wait for their site to have
	// arrived, and for the other log: what gates append in some seconds. Beyond it
	// the shard reads no more of its log.
	maxLate = 8 << 20
	// lateCost is what a record costs beside its body.
	lateCost = 256
	// lateRetry is the pause while the other log's queue is full, or the catalog
	// has not said yet that a site has arrived.
	lateRetry = 20 * time.Millisecond
)

// forwarding forwards what gates append for a site behind its departure: to the shard
// that it went to, once the catalog says that it is there, in the order of this
// log, with origin and bytes as they are. A record may come there twice: its
// (run, seq) says so.
type forwarding struct {
	s      *Shard
	signal chan struct{} // something was forwarded
	wake   chan struct{} // something waits

	mu    sync.Mutex
	queue []*lateRecord // in the order of the log; those at the front are not durable yet
	bytes int
	upTo  uint64 // the last message that was applied
}

type lateRecord struct {
	pos  journal.Position
	gone gone
	rec  journal.Record
	sent bool // it is in the other log's queue
	done bool // it is durable there
}

func newLate(s *Shard) *forwarding {
	return &forwarding{s: s, signal: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take queues a copy of a record.
func (l *forwarding) take(pos journal.Position, g gone, rec *journal.Record) {
	one := *rec
	one.Body = bytes.Clone(rec.Body)
	l.mu.Lock()
	l.queue = append(l.queue, &lateRecord{pos: pos, gone: g, rec: one})
	l.bytes += len(one.Body) + lateCost
	l.mu.Unlock()
	poke(l.wake)
}

// reached notes the message that was applied.
func (l *forwarding) reached(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.upTo = seq
}

func (l *forwarding) crowded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes >= maxLate
}

// passed reports whether everything up to a message has been applied or, of a
// site that has left, is in the log of its shard after that. site "" means all.
func (l *forwarding) passed(site id.Site, seq uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.upTo < seq {
		return false
	}
	for _, r := range l.queue {
		if r.pos.Seq > seq {
			return true
		}
		if site == "" || r.rec.Site == site {
			return false
		}
	}
	return true
}

// run forwards until ctx ends.
func (l *forwarding) run(ctx context.Context) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		if !l.forward() && pause(ctx, lateRetry) == nil {
			poke(l.wake)
		}
	}
}

// forward hands on what it can and reports whether that is all.
func (l *forwarding) forward() bool {
	l.mu.Lock()
	var next []*lateRecord
	for _, r := range l.queue {
		if !r.sent {
			next = append(next, r)
		}
	}
	l.mu.Unlock()
	waits := make(map[id.Site]bool) // whose order would be broken
	for _, r := range next {
		if waits[r.rec.Site] || !l.s.arrivedThere(r.rec.Site, &r.gone) {
			waits[r.rec.Site] = true
			continue
		}
		err := l.s.moves.Append(r.gone.To, r.rec.Origin, r.rec, func(_ uint64, err error) { l.answered(r, err) })
		if err != nil {
			waits[r.rec.Site] = true
			if !errors.Is(err, journal.ErrBusy) {
				l.s.log.Warn("a late record could not be forwarded, it is tried again", "site", r.rec.Site, "to", r.gone.To, "err", err)
			}
			continue
		}
		r.sent = true
	}
	return len(waits) == 0
}

// answered takes what became of a record. One without an answer ends with this
// node, and is forwarded by the next owner: until then no snapshot passes it.
func (l *forwarding) answered(r *lateRecord, err error) {
	if err != nil {
		return
	}
	l.s.metrics.forwarded.Inc()
	l.mu.Lock()
	r.done = true
	n := 0
	for n < len(l.queue) && l.queue[n].done {
		l.bytes -= len(l.queue[n].rec.Body) + lateCost
		n++
	}
	clear(l.queue[:n])
	l.queue = l.queue[n:]
	l.mu.Unlock()
	poke(l.signal)
}
