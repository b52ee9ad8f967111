package journaltest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// stored is one message: its bytes are never written to again.
type stored struct {
	data    []byte
	at      time.Time
	barrier bool
}

// logState is a shard's stream, guarded by Mem.mu. Message i has the sequence
// first+i; the first durable of them survive a crash.
type logState struct {
	purged  uint64 // how many were removed from the front
	msgs    []stored
	durable int
	writer  chan struct{}
	changed chan struct{} // closed and replaced when something was stored
}

func (l *logState) last() uint64 { return l.purged + uint64(len(l.msgs)) }

func (l *logState) lastBarrier() uint64 {
	for i := len(l.msgs) - 1; i >= 0; i-- {
		if l.msgs[i].barrier {
			return l.purged + uint64(i) + 1
		}
	}
	return 0
}

func (l *logState) sync() { l.durable = len(l.msgs) }

func (l *logState) crash() { l.msgs = l.msgs[:l.durable:l.durable] }

func (l *logState) append(s stored) {
	l.msgs = append(l.msgs, s)
	close(l.changed)
	l.changed = make(chan struct{})
}

// Log is the double of journal.Log, with the same methods and errors.
type Log struct {
	m     *Mem
	st    *logState
	shard int
	dead  <-chan struct{}
}

// Publish as journal.Log's.
func (l *Log) Publish(ctx context.Context, recs []journal.Record) (uint64, error) {
	return l.PublishMessage(ctx, journal.AppendMessage(nil, recs))
}

// PublishMessage as journal.Log's.
func (l *Log) PublishMessage(ctx context.Context, msg []byte) (uint64, error) {
	return l.store(ctx, PublishData, msg, func() error {
		if l.st.last() == 0 {
			return journal.ErrNoBarrier
		}
		if l.st.lastBarrier() == 0 {
			return journal.ErrBarrierLost
		}
		return nil
	})
}

// PublishFenced as journal.Log's.
func (l *Log) PublishFenced(ctx context.Context, token uint64, recs []journal.Record) (uint64, error) {
	return l.store(ctx, PublishOwn, journal.AppendMessage(nil, recs), func() error {
		if token == 0 || l.st.lastBarrier() != token {
			return journal.ErrFenced
		}
		return nil
	})
}

// PublishBarrier as journal.Log's.
func (l *Log) PublishBarrier(ctx context.Context, previous uint64, b journal.Barrier) (uint64, error) {
	b.Previous = previous
	msg := journal.AppendMessage(nil, []journal.Record{b.Record()})
	return l.store(ctx, PublishBarrier, msg, func() error {
		if l.st.lastBarrier() != previous || previous == 0 && l.st.last() != 0 {
			return journal.ErrFenced
		}
		return nil
	})
}

func (l *Log) store(ctx context.Context, kind StepKind, msg []byte, allowed func() error) (uint64, error) {
	if _, err := journal.ParseMessage(msg); err != nil {
		return 0, fmt.Errorf("journaltest: publish: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("journaltest: publish: %w: %w", journal.ErrAmbiguous, err)
	}
	data := bytes.Clone(msg)
	var seq uint64
	w := &write{allowed: allowed, apply: func() {
		l.st.append(stored{data, time.Now(), kind == PublishBarrier})
		if !l.m.cfg.LazySync {
			l.st.sync()
		}
		seq = l.st.last()
	}}
	if err := l.m.durable(ctx, l.dead, l.st.writer, Step{Kind: kind, Shard: l.shard}, w); err != nil {
		return 0, fmt.Errorf("journaltest: publish: shard %d: %w", l.shard, err)
	}
	return seq, nil
}

// alive locks the store; its caller unlocks it.
func (l *Log) alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.m.mu.Lock()
	if isClosed(l.dead) {
		l.m.mu.Unlock()
		return journal.ErrClosed
	}
	return nil
}

// LastBarrier as journal.Log's.
func (l *Log) LastBarrier(ctx context.Context) (journal.Barrier, uint64, error) {
	if err := l.alive(ctx); err != nil {
		return journal.Barrier{}, 0, err
	}
	defer l.m.mu.Unlock()
	seq := l.st.lastBarrier()
	switch {
	case l.st.last() == 0:
		return journal.Barrier{}, 0, fmt.Errorf("journaltest: shard %d: %w", l.shard, journal.ErrNoBarrier)
	case seq == 0:
		return journal.Barrier{}, 0, fmt.Errorf("journaltest: shard %d: %w", l.shard, journal.ErrBarrierLost)
	}
	recs, err := journal.ParseMessage(l.st.msgs[seq-l.st.purged-1].data)
	if err != nil {
		return journal.Barrier{}, 0, err
	}
	b, _, err := journal.Message{Records: recs}.Barrier()
	return b, seq, err
}

// Bounds as journal.Log's.
func (l *Log) Bounds(ctx context.Context) (first, last uint64, err error) {
	if err := l.alive(ctx); err != nil {
		return 0, 0, err
	}
	defer l.m.mu.Unlock()
	return l.st.purged + 1, l.st.last(), nil
}

// Purge as journal.Log's.
func (l *Log) Purge(ctx context.Context, below uint64) error {
	w := &write{
		allowed: func() error {
			if token := l.st.lastBarrier(); below > token {
				return fmt.Errorf("journaltest: purge: below %d would remove the barrier at %d", below, token)
			}
			return nil
		},
		apply: func() {
			if below > l.st.purged+1 {
				n := int(below - 1 - l.st.purged)
				l.st.msgs = append([]stored(nil), l.st.msgs[n:]...)
				l.st.durable = max(l.st.durable-n, 0)
				l.st.purged = below - 1
			}
		},
	}
	return l.m.durable(ctx, l.dead, l.st.writer, Step{Kind: PurgeLog, Shard: l.shard}, w)
}

// Read as journal.Log's.
func (l *Log) Read(ctx context.Context, from uint64) (journal.Reader, error) {
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	if from < first || from > last+1 {
		return nil, fmt.Errorf("journaltest: read: %w", &journal.GapError{Want: from, Got: min(max(from, first), last+1)})
	}
	return &reader{l: l, next: from, closed: make(chan struct{})}, nil
}

type reader struct {
	l      *Log
	next   uint64
	closed chan struct{}
	once   sync.Once
}

// Next as journal.Reader's.
func (r *reader) Next(ctx context.Context) (journal.Message, error) {
	for {
		m, changed, err := r.look(ctx)
		if err != nil || changed == nil {
			return m, err
		}
		select {
		case <-changed:
		case <-r.closed:
			return journal.Message{}, fmt.Errorf("journaltest: read: %w", journal.ErrClosed)
		case <-r.l.dead:
			return journal.Message{}, fmt.Errorf("journaltest: read: %w", journal.ErrClosed)
		case <-ctx.Done():
			return journal.Message{}, ctx.Err()
		}
	}
}

// look returns the next message, or what to wait for.
func (r *reader) look(ctx context.Context) (journal.Message, <-chan struct{}, error) {
	if isClosed(r.closed) {
		return journal.Message{}, nil, fmt.Errorf("journaltest: read: %w", journal.ErrClosed)
	}
	if err := r.l.alive(ctx); err != nil {
		return journal.Message{}, nil, err
	}
	defer r.l.m.mu.Unlock()
	st := r.l.st
	if r.next <= st.purged {
		return journal.Message{}, nil, fmt.Errorf("journaltest: read: %w", &journal.GapError{Want: r.next, Got: st.purged + 1})
	}
	if r.next > st.last() {
		return journal.Message{}, st.changed, nil
	}
	s := st.msgs[r.next-st.purged-1]
	recs, err := journal.ParseMessage(s.data)
	if err != nil {
		return journal.Message{}, nil, fmt.Errorf("journaltest: read: message %d: %w", r.next, err)
	}
	m := journal.Message{Seq: r.next, Time: s.at, Records: recs}
	r.next++
	return m, nil, nil
}

// Close as journal.Reader's.
func (r *reader) Close() { r.once.Do(func() { close(r.closed) }) }
