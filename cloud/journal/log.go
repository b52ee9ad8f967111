package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// defaultAckTimeout is how long a publish waits: longer than an election
	// of replicas (4-9 s) is of no use, a slow disk answers in less.
	defaultAckTimeout = 5 * time.Second
	// ownerShare of a log, at least minOwnerBytes, is kept from the gates' data:
	// purging begins with a barrier and a record of the owner, which a stream
	// filled by data would refuse for ever.
	ownerShare    = 16
	minOwnerBytes = 4 << 20
	// allowanceShare of the room that is left may be filled before the stream's
	// size is read again, as other nodes fill it too.
	allowanceShare = 8
	// infoTimeout bounds a question about the stream, for callers whose
	// context has no deadline.
	infoTimeout = 5 * time.Second
)

// MaxShards bounds a cluster's shards: a stream each, which costs memory and,
// replicated, publish rate.
const MaxShards = 64

// LogConfig bounds one shard's log.
type LogConfig struct {
	MaxBytes   int64         // reserved on each replica's disk; see Server.LogBytes
	AckTimeout time.Duration // of one publish; zero means 5 s
}

// Log is one shard's log. Its methods may be called from any goroutine.
type Log struct {
	js       jetstream.JetStream
	stream   jetstream.Stream
	replicas int
	shard    int
	timeout  time.Duration
	metrics  *logMetrics
	log      *slog.Logger

	dataSubject, ownSubject, epochSubject string

	limit     int64        // bytes that data may fill
	allowance atomic.Int64 // bytes of data until the stream's size is read again

	begun  atomic.Bool   // a barrier was seen: data may be published
	fenced chan struct{} // holds one token: one conditional publish in flight
}

// OpenLog makes or opens the stream of a shard. It refuses a stream that could
// lose or skip messages: one with another retention, an age limit, or
// asynchronous persistence.
func OpenLog(ctx context.Context, s *Server, shard int, cfg LogConfig, log *slog.Logger, reg prometheus.Registerer) (*Log, error) {
	if shard < 0 || shard >= MaxShards {
		return nil, fmt.Errorf("journal: open log: shard %d, want 0 to %d", shard, MaxShards-1)
	}
	if cfg.MaxBytes < 2*minOwnerBytes && !s.worker() {
		return nil, fmt.Errorf("journal: open log: shard %d: MaxBytes is %d, want at least %d", shard, cfg.MaxBytes, 2*minOwnerBytes)
	}
	l := &Log{
		js: s.js, replicas: s.Replicas(), shard: shard, timeout: cfg.AckTimeout,
		metrics:      newLogMetrics(reg, shard),
		log:          log.With("shard", shard),
		dataSubject:  fmt.Sprintf("in.%d.data", shard),
		ownSubject:   fmt.Sprintf("in.%d.own", shard),
		epochSubject: fmt.Sprintf("in.%d.epoch", shard),
		fenced:       make(chan struct{}, 1),
	}
	if l.timeout == 0 {
		l.timeout = defaultAckTimeout
	}
	var err error
	if l.stream, err = s.openStream(ctx, streamConfig(shard, cfg.MaxBytes)); err != nil {
		return nil, fmt.Errorf("journal: open log: shard %d: %w", shard, err)
	}
	made := l.stream.CachedInfo().Config
	if err := checkStream(made, l.replicas); err != nil {
		return nil, fmt.Errorf("journal: open log: shard %d: %w", shard, err)
	}
	l.limit = made.MaxBytes - max(made.MaxBytes/ownerShare, minOwnerBytes)
	return l, nil
}

func streamConfig(shard int, maxBytes int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:               streamName(shard),
		Subjects:           []string{fmt.Sprintf("in.%d.>", shard)},
		Retention:          jetstream.LimitsPolicy,
		Discard:            jetstream.DiscardNew,
		MaxBytes:           maxBytes,
		MaxMsgSize:         MaxMessage + 4096, // and the headers of a condition
		AllowAtomicPublish: true,
		DenyDelete:         true, // a hole would stop every reader
	}
}

const logPrefix = "INGEST_"

func streamName(shard int) string { return fmt.Sprintf("%s%d", logPrefix, shard) }

func isLog(stream string) bool { return strings.HasPrefix(stream, logPrefix) }

// checkStream reads back what the server made of the configuration.
func checkStream(c jetstream.StreamConfig, replicas int) error {
	switch {
	case c.Replicas != replicas:
		return fmt.Errorf("stream has %d replicas, want %d", c.Replicas, replicas)
	case c.Storage != jetstream.FileStorage:
		return fmt.Errorf("stream is kept in %v, want file", c.Storage)
	case c.PersistMode != jetstream.DefaultPersistMode:
		return fmt.Errorf("stream persists %v, want each message before its ack", c.PersistMode)
	case c.Retention != jetstream.LimitsPolicy || c.Discard != jetstream.DiscardNew:
		return fmt.Errorf("stream discards by %v, %v: want limits, new", c.Retention, c.Discard)
	case c.MaxAge != 0 || c.MaxMsgsPerSubject > 0 || c.MaxMsgs > 0:
		return errors.New("stream drops messages by age or count: it would not stay dense")
	}
	return nil
}

// Shard returns the shard's number.
func (l *Log) Shard() int { return l.shard }

// Publish appends recs as one message, unconditionally, and returns its
// sequence once it is fsynced on a majority. ErrNoBarrier: the log has no
// owner yet. ErrFull: wait for a purge. ErrAmbiguous: publish the same records again before any later.
func (l *Log) Publish(ctx context.Context, recs []Record) (uint64, error) {
	msg, err := encode(recs)
	if err != nil {
		return 0, fmt.Errorf("journal: publish: %w", err)
	}
	return l.PublishMessage(ctx, msg)
}

// PublishMessage is Publish for a message that is encoded already, as
// AppendMessage does. msg is not kept.
func (l *Log) PublishMessage(ctx context.Context, msg []byte) (uint64, error) {
	if !l.begun.Load() {
		if _, _, err := l.LastBarrier(ctx); err != nil {
			return 0, fmt.Errorf("journal: publish: %w", err)
		}
	}
	if err := l.admit(ctx, int64(len(msg))); err != nil {
		return 0, fmt.Errorf("journal: publish: shard %d: %w", l.shard, err)
	}
	seq, err := l.publish(ctx, l.dataSubject, msg)
	if err != nil {
		return 0, fmt.Errorf("journal: publish: shard %d: %w", l.shard, err)
	}
	return seq, nil
}

// admit keeps data out of the owner's share of the stream.
func (l *Log) admit(ctx context.Context, size int64) error {
	if l.allowance.Add(-size) >= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	info, err := l.info(ctx)
	if err != nil {
		return unanswered(err)
	}
	room := l.limit - int64(info.State.Bytes) - size
	if room < 0 {
		l.metrics.full.Inc()
		return fmt.Errorf("%w: %d MiB", ErrFull, info.State.Bytes>>20)
	}
	l.allowance.Store(room / allowanceShare)
	return nil
}

// PublishFenced appends an owner's records on the condition that the last
// barrier is the one with sequence token; otherwise ErrFenced, and nothing is
// stored (I3). One such publish of a Log is in flight at a time: replicated
// streams refuse more. It waits while another node's is being decided.
func (l *Log) PublishFenced(ctx context.Context, token uint64, recs []Record) (uint64, error) {
	msg, err := encode(recs)
	if err != nil {
		return 0, fmt.Errorf("journal: publish fenced: %w", err)
	}
	if token == 0 { // on an empty log the server would take it as true
		return 0, fmt.Errorf("journal: publish fenced: shard %d: no token: %w", l.shard, ErrFenced)
	}
	seq, err := l.conditional(ctx, l.ownSubject, msg, jetstream.WithExpectLastSequenceForSubject(token, l.epochSubject))
	if err != nil {
		return 0, fmt.Errorf("journal: publish fenced: shard %d: token %d: %w", l.shard, token, err)
	}
	return seq, nil
}

// PublishBarrier appends b with Previous set, on the condition that the last
// barrier is the one with sequence previous (0: the log has never held a
// message). The sequence that it returns is the fencing token. Of two
// claimants with the same previous one gets ErrFenced.
func (l *Log) PublishBarrier(ctx context.Context, previous uint64, b Barrier) (uint64, error) {
	b.Previous = previous
	msg, err := encode([]Record{b.Record()})
	if err != nil {
		return 0, fmt.Errorf("journal: publish barrier: %w", err)
	}
	opts := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(previous)}
	if previous == 0 {
		opts = append(opts, jetstream.WithExpectLastSequence(0))
	}
	token, err := l.conditional(ctx, l.epochSubject, msg, opts...)
	if err != nil {
		return 0, fmt.Errorf("journal: publish barrier: shard %d: previous %d: %w", l.shard, previous, err)
	}
	l.begun.Store(true)
	return token, nil
}

func (l *Log) conditional(ctx context.Context, subject string, msg []byte, opts ...jetstream.PublishOpt) (uint64, error) {
	select {
	case l.fenced <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-l.fenced }()
	return l.publish(ctx, subject, msg, opts...)
}

// publish counts and translates the result.
func (l *Log) publish(ctx context.Context, subject string, msg []byte, opts ...jetstream.PublishOpt) (uint64, error) {
	attempt, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	start := time.Now()
	var seq uint64
	err := decided(attempt, func() error {
		ack, err := l.js.PublishMsg(attempt, &nats.Msg{Subject: subject, Data: msg}, opts...)
		if err == nil {
			seq = ack.Sequence
		}
		return err
	})
	if err == nil {
		l.metrics.seconds.Observe(time.Since(start).Seconds())
		l.metrics.ok.Inc()
		return seq, nil
	}
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && wrongLastSequence(api):
		l.metrics.fenced.Inc()
		return 0, ErrFenced
	case errors.As(err, &api) && !inFlight(err) && !undecided(err, l.replicas):
		l.metrics.failed.Inc()
		return 0, err
	case errors.Is(err, nats.ErrConnectionClosed):
		l.metrics.failed.Inc()
		return 0, ErrClosed
	}
	l.metrics.ambiguous.Inc()
	if ctx.Err() != nil {
		return 0, fmt.Errorf("%w: %w", ErrAmbiguous, ctx.Err())
	}
	return 0, fmt.Errorf("%w (waited %v: %v)", ErrAmbiguous, time.Since(start).Round(time.Millisecond), err)
}

// LastBarrier returns the barrier in force and its sequence. ErrNoBarrier: the
// log has never held a message. ErrBarrierLost: it has, so refuse it. In a
// cluster a leader that was cut off may still answer for a while, so that what
// is read may be old: only a conditional publish decides.
func (l *Log) LastBarrier(ctx context.Context) (Barrier, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	raw, err := l.rawBarrier(ctx)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		raw, err = l.barrierAfterAll(ctx)
	}
	if err != nil {
		return Barrier{}, 0, fmt.Errorf("journal: last barrier: shard %d: %w", l.shard, unanswered(err))
	}
	recs, err := ParseMessage(raw.Data)
	if err != nil {
		return Barrier{}, 0, fmt.Errorf("journal: last barrier: shard %d: message %d: %w", l.shard, raw.Sequence, err)
	}
	b, ok, err := Message{Records: recs}.Barrier()
	if err != nil {
		return Barrier{}, 0, fmt.Errorf("shard %d: message %d: %w", l.shard, raw.Sequence, err)
	}
	if !ok {
		return Barrier{}, 0, fmt.Errorf("journal: last barrier: shard %d: message %d is no barrier", l.shard, raw.Sequence)
	}
	l.begun.Store(true)
	return b, raw.Sequence, nil
}

func (l *Log) rawBarrier(ctx context.Context) (*jetstream.RawStreamMsg, error) {
	return asked(ctx, l.replicas, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return l.stream.GetLastMsgForSubject(ctx, l.epochSubject)
	})
}

func (l *Log) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	return asked(ctx, l.replicas, func(ctx context.Context) (*jetstream.StreamInfo, error) { return l.stream.Info(ctx) })
}

// barrierAfterAll says why there was no barrier. A log that holds messages by
// now may have got its first barrier since: only a second look says that it is
// lost.
func (l *Log) barrierAfterAll(ctx context.Context) (*jetstream.RawStreamMsg, error) {
	_, last, err := l.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	if last == 0 {
		return nil, ErrNoBarrier
	}
	raw, err := l.rawBarrier(ctx)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("last message %d: %w", last, ErrBarrierLost)
	}
	return raw, err
}

// Bounds returns the first and last sequence that the log holds. first is
// last+1 when it holds none, so (1, 0) before the first message.
func (l *Log) Bounds(ctx context.Context) (first, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	info, err := l.info(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("journal: bounds: shard %d: %w", l.shard, unanswered(err))
	}
	if info.State.Msgs == 0 {
		return info.State.LastSeq + 1, info.State.LastSeq, nil
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}

// Purge removes the messages below a sequence. It refuses to remove the
// barrier in force: without it every fence is open (DESIGN.md, Read and purge).
func (l *Log) Purge(ctx context.Context, below uint64) error {
	_, token, err := l.LastBarrier(ctx)
	if err != nil {
		return fmt.Errorf("journal: purge: %w", err)
	}
	if below > token {
		return fmt.Errorf("journal: purge: shard %d: below %d would remove the barrier at %d", l.shard, below, token)
	}
	if below <= 1 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, infoTimeout)
	defer cancel()
	if err := l.stream.Purge(ctx, jetstream.WithPurgeSequence(below)); err != nil {
		return fmt.Errorf("journal: purge: shard %d: below %d: %w", l.shard, below, unanswered(err))
	}
	l.metrics.purges.Inc()
	return nil
}
