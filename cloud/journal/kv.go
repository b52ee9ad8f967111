package journal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// kvTimeout bounds one call: a compare-and-set takes microseconds on one
	// node, milliseconds on three.
	kvTimeout = 5 * time.Second
	// maxBucket bounds a key-value bucket in bytes. Two fit the least store
	// beside logs and objects (Server.ObjectBytes).
	maxBucket = 16 << 20
	// lagEvery is how often a watch is compared with the leader. What the leader
	// held then the watch must have shown the next time: a change arrives within
	// milliseconds, on a busy machine within some hundred.
	lagEvery = 2 * time.Second
	// markerTTL is how long a deleted key leaves a marker. A watch that broke
	// comes back within seconds, and a node that starts reads what exists.
	markerTTL = 24 * time.Hour
)

// MaxValue bounds one value in bytes: a text of 64 KiB, which as a JSON
// string may take twice as much, and what stands beside it.
const MaxValue = 132 << 10

// Entry is one revision of a key. A nil Value says that the key was deleted.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64
}

// KV is a bucket of small documents, each written under compare-and-set.
type KV struct {
	kv       jetstream.KeyValue
	stream   jetstream.Stream // beneath it, to ask what the leader holds
	subjects string
	replicas int
}

// OpenKV makes or opens a bucket, named with letters, digits, "_" and "-".
func OpenKV(ctx context.Context, s *Server, bucket string) (*KV, error) {
	k := &KV{subjects: "$KV." + bucket + ".>", replicas: s.Replicas()}
	var err error
	// The stream of a key-value bucket (NATS ADR-8), of one revision a key.
	if k.stream, err = s.openStream(ctx, jetstream.StreamConfig{
		Name: "KV_" + bucket, Subjects: []string{k.subjects},
		MaxMsgsPerSubject: 1, MaxBytes: maxBucket, MaxMsgSize: MaxValue, Discard: jetstream.DiscardNew,
		AllowRollup: true, DenyDelete: true, AllowMsgTTL: true, SubjectDeleteMarkerTTL: markerTTL,
	}); err != nil {
		return nil, fmt.Errorf("journal: open bucket %s: %w", bucket, err)
	}
	k.kv, err = asked(ctx, k.replicas, func(ctx context.Context) (jetstream.KeyValue, error) { return s.js.KeyValue(ctx, bucket) })
	if err != nil {
		return nil, fmt.Errorf("journal: open bucket %s: %w", bucket, err)
	}
	return k, nil
}

// Get returns the newest revision of a key. ErrNotFound.
func (k *KV) Get(ctx context.Context, key string) (Entry, error) {
	ctx, cancel := bounded(ctx, kvTimeout)
	defer cancel()
	e, err := asked(ctx, k.replicas, func(ctx context.Context) (jetstream.KeyValueEntry, error) { return k.kv.Get(ctx, key) })
	if err != nil {
		return Entry{}, fmt.Errorf("journal: get %s: %w", key, unanswered(kvError(err)))
	}
	return Entry{key, e.Value(), e.Revision()}, nil
}

// Put stores value if the key's revision is still the one given, 0 for a key
// that does not exist, and returns the new revision once it is durable.
// ErrConflict: another wrote it. ErrAmbiguous: read it again.
func (k *KV) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	ctx, cancel := bounded(ctx, kvTimeout)
	defer cancel()
	var rev uint64
	err := decided(ctx, func() (err error) {
		if revision == 0 {
			rev, err = k.kv.Create(ctx, key, value)
		} else {
			rev, err = k.kv.Update(ctx, key, value, revision)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("journal: put %s at revision %d: %w", key, revision, k.writeError(err))
	}
	return rev, nil
}

// Delete removes a key if its revision is still the one given, and returns once
// that is durable. Watches see it. Errors as Put's.
func (k *KV) Delete(ctx context.Context, key string, revision uint64) error {
	ctx, cancel := bounded(ctx, kvTimeout)
	defer cancel()
	if revision == 0 {
		return fmt.Errorf("journal: delete %s at revision 0: %w", key, ErrConflict)
	}
	err := decided(ctx, func() error {
		return k.kv.Purge(ctx, key, jetstream.LastRevision(revision), jetstream.PurgeTTL(markerTTL))
	})
	if err != nil {
		return fmt.Errorf("journal: delete %s at revision %d: %w", key, revision, k.writeError(err))
	}
	return nil
}

// Keys returns the keys that exist, in no order.
func (k *KV) Keys(ctx context.Context) ([]string, error) {
	ctx, cancel := bounded(ctx, kvTimeout)
	defer cancel()
	watching, done := context.WithCancel(ctx)
	defer done()
	exist := make(map[string]bool)
	err := k.watch(watching, func(e jetstream.KeyValueEntry) {
		exist[e.Key()] = e.Operation() == jetstream.KeyValuePut
	}, done, jetstream.MetaOnly())
	if ctx.Err() != nil || !errors.Is(err, context.Canceled) {
		return nil, fmt.Errorf("journal: list keys: %w", unanswered(err))
	}
	var keys []string
	for key, is := range exist {
		if is {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Watch calls each with the newest revision of every key that exists, then
// ready once, then each for every change as it comes; of quick changes to one
// key only the last may be seen. What was written before the call is seen
// before ready. It returns when ctx ends or the watch breaks: the caller
// watches again. The calls come one at a time.
func (k *KV) Watch(ctx context.Context, each func(Entry), ready func()) error {
	err := k.watch(ctx, func(e jetstream.KeyValueEntry) {
		if e.Operation() != jetstream.KeyValuePut {
			each(Entry{Key: e.Key(), Revision: e.Revision()})
			return
		}
		each(Entry{e.Key(), e.Value(), e.Revision()})
	}, ready)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("journal: watch: %w", err)
}

// watch is Watch with the server's entries. A watch is served by any replica,
// which may lag: it is ready once it has shown what the leader held at first,
// and over when it lags too far.
func (k *KV) watch(ctx context.Context, each func(jetstream.KeyValueEntry), ready func(), opts ...jetstream.WatchOpt) error {
	newest, err := k.newest(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	w, err := k.follow(ctx, opts)
	if err != nil {
		return kvError(err)
	}
	defer w.Stop() //nolint:errcheck // the watch is over either way
	lags, held := lag{}, k.held(ctx)
	var seen uint64
	shown, announced := false, false // what its replica held was shown, ready was called
	late := time.NewTimer(kvTimeout)
	defer late.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			if !announced {
				return fmt.Errorf("%w: the replica stands at %d, the leader at %d", ErrUnavailable, seen, newest)
			}
		case newest := <-held:
			if announced && lags.behind(newest, seen) {
				return fmt.Errorf("%w: the watch stands at %d, the leader at %d", ErrUnavailable, seen, newest)
			}
		case e, ok := <-w.Updates():
			switch {
			case !ok: // that ctx ended closes it, too
				return cmp.Or(ctx.Err(), ErrClosed)
			case e == nil:
				shown = true
			default:
				seen = max(seen, e.Revision())
				each(e)
			}
			if !announced && shown && seen >= newest {
				announced = true
				ready()
			}
		}
	}
}

// follow opens the server's watch, which lives until ctx ends. The leader of the
// whole store places it: while that one is elected nobody answers.
func (k *KV) follow(ctx context.Context, opts []jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	return asked(ctx, k.replicas, func(attempt context.Context) (jetstream.KeyWatcher, error) {
		watching, end := context.WithCancel(ctx)
		late := context.AfterFunc(attempt, end)
		w, err := k.kv.WatchAll(watching, opts...)
		if !late() { // the attempt is over, and with it the watch
			return nil, attempt.Err()
		}
		if err != nil {
			end()
		}
		return w, err
	})
}

// lag tells a watch that is behind for a moment from one that nobody serves any
// more: its replica died, which the client notices after two heartbeats of 5 s.
type lag struct{ held uint64 }

// behind takes what the leader holds now and what the watch has shown, and
// reports whether that is less than the leader held the last time.
func (l *lag) behind(newest, seen uint64) bool {
	before := l.held
	l.held = newest
	return seen < before
}

// held sends what the leader holds every lagEvery, until ctx ends. With one
// replica the watch is served by it.
func (k *KV) held(ctx context.Context) <-chan uint64 {
	if k.replicas == 1 {
		return nil
	}
	out := make(chan uint64)
	go func() {
		for wait(ctx, lagEvery) == nil {
			newest, err := k.newest(ctx)
			if err != nil {
				continue // a leader is elected, and nothing is written
			}
			select {
			case out <- newest:
			case <-ctx.Done():
			}
		}
	}()
	return out
}

// newest is the revision of the bucket's last entry, 0 if there is none.
func (k *KV) newest(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, kvTimeout)
	defer cancel()
	m, err := asked(ctx, k.replicas, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return k.stream.GetLastMsgForSubject(ctx, k.subjects)
	})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case err != nil:
		return 0, kvError(err)
	}
	return m.Sequence, nil
}

// writeError is kvError of a write, which may have been stored.
func (k *KV) writeError(err error) error {
	if inFlight(err) || undecided(err, k.replicas) {
		return fmt.Errorf("%w: %w", ErrAmbiguous, err)
	}
	return kvError(err)
}

func kvError(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		return ErrNotFound
	case errors.Is(err, jetstream.ErrKeyExists):
		return ErrConflict
	case errors.As(err, &api) && wrongLastSequence(api):
		return ErrConflict
	case errors.Is(err, nats.ErrConnectionClosed):
		return ErrClosed
	}
	return err
}
