package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// pullMessages and pullBytes bound what a reader holds ahead of its
	// caller. A pull must hold the largest message or it would never arrive.
	pullMessages = 1000
	pullBytes    = 4 * MaxMessage
	// pullHeartbeat shows within two of them that a pull was lost: a consumer on
	// another node may be known here before the way to it is.
	// It is the shortest that there is, as a shard's take-over waits for it.
	pullHeartbeat = 500 * time.Millisecond
	// inactiveAfter is when the server forgets a consumer that nobody pulls.
	inactiveAfter = time.Minute
)

// Reader gives a log's messages in order without a hole. Next blocks until
// there is one; it returns ErrGap (a *GapError) where the log is not dense,
// the context's error, or ErrClosed. It is for one goroutine, but Close may be
// called from another.
type Reader interface {
	Next(ctx context.Context) (Message, error)
	Close()
}

type logReader struct {
	l      *Log
	next   uint64
	closed chan struct{}

	mu sync.Mutex // guards it against Close
	it jetstream.MessagesContext
}

// Read returns a reader whose first message is from. It fails with ErrGap if
// the log begins later (it was purged) or ends before from-1 (its tail is
// missing: the caller knows more than the log holds).
func (l *Log) Read(ctx context.Context, from uint64) (Reader, error) {
	first, last, err := l.Bounds(ctx)
	if err != nil {
		return nil, fmt.Errorf("journal: read: %w", err)
	}
	if from < first || from > last+1 {
		l.metrics.gaps.Inc()
		return nil, fmt.Errorf("journal: read: shard %d: %w", l.shard, &GapError{Want: from, Got: min(max(from, first), last+1)})
	}
	r := &logReader{l: l, next: from, closed: make(chan struct{})}
	err = r.subscribe(ctx)
	if noAnswer(err) { // replicas elect a leader
		err = r.again(ctx, err)
	}
	if err != nil {
		return nil, fmt.Errorf("journal: read: shard %d from %d: %w", l.shard, from, err)
	}
	return r, nil
}

// subscribe makes a consumer that begins at r.next. The leader of the whole
// store places it: while that one is elected, the log's own may have been
// elected long ago, nobody answers, and who asks again soon is soon answered.
func (r *logReader) subscribe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	c, err := asked(ctx, r.l.replicas, func(ctx context.Context) (jetstream.Consumer, error) {
		return r.l.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
			DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
			OptStartSeq:       r.next,
			InactiveThreshold: inactiveAfter,
			MaxResetAttempts:  1,
		})
	})
	if err != nil {
		return err
	}
	it, err := c.Messages(jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes), jetstream.PullHeartbeat(pullHeartbeat))
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.it = it
	if r.isClosed() {
		it.Stop()
	}
	return nil
}

func (r *logReader) isClosed() bool {
	select {
	case <-r.closed:
		return true
	default:
		return false
	}
}

// Next returns the message after the one before it.
func (r *logReader) Next(ctx context.Context) (Message, error) {
	for {
		m, err := r.it.Next(jetstream.NextContext(ctx))
		switch {
		case err == nil:
			return r.accept(m)
		case r.isClosed():
			return Message{}, fmt.Errorf("journal: read: shard %d: %w", r.l.shard, ErrClosed)
		case ctx.Err() != nil:
			return Message{}, ctx.Err()
		}
		if err := r.again(ctx, err); err != nil {
			return Message{}, err
		}
	}
}

// again makes a new consumer in place of one that failed: it was deleted, its
// node stopped, or the server did not answer. It begins at r.next, so nothing is skipped unseen.
func (r *logReader) again(ctx context.Context, cause error) error {
	r.l.log.Warn("journal reader: consumer made again", "next", r.next, "cause", cause)
	if r.it != nil {
		r.it.Stop()
	}
	for {
		r.l.metrics.recreated.Inc()
		err := r.subscribe(ctx)
		switch {
		case r.isClosed():
			return fmt.Errorf("journal: read: shard %d: %w", r.l.shard, ErrClosed)
		case err == nil:
			return nil
		}
		if errors.Is(err, nats.ErrConnectionClosed) {
			return fmt.Errorf("journal: read: shard %d: %w", r.l.shard, ErrClosed)
		}
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("journal: read: shard %d: %w", r.l.shard, err)
		}
		if werr := wait(ctx, retryPause); werr != nil {
			return werr
		}
	}
}

// accept demands that m is the next message and that it is one.
func (r *logReader) accept(m jetstream.Msg) (Message, error) {
	meta, err := m.Metadata()
	if err != nil {
		return Message{}, fmt.Errorf("journal: read: shard %d: %w", r.l.shard, err)
	}
	seq := meta.Sequence.Stream
	if seq != r.next {
		r.l.metrics.gaps.Inc()
		return Message{}, fmt.Errorf("journal: read: shard %d: %w", r.l.shard, &GapError{Want: r.next, Got: seq})
	}
	recs, err := ParseMessage(m.Data())
	if err != nil {
		return Message{}, fmt.Errorf("journal: read: shard %d: message %d: %w", r.l.shard, seq, err)
	}
	r.next++
	return Message{Seq: seq, Time: meta.Timestamp, Records: recs}, nil
}

// Close ends a Next that waits and frees the consumer.
func (r *logReader) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isClosed() {
		close(r.closed)
		r.it.Stop()
	}
}
