package journal

import (
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
	kv jetstream.KeyValue
}

// OpenKV makes or opens a bucket, named with letters, digits, "_" and "-".
func OpenKV(ctx context.Context, js jetstream.JetStream, bucket string, replicas int) (*KV, error) {
	var kv jetstream.KeyValue
	err := untilAnswered(ctx, func(ctx context.Context) (err error) {
		kv, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: bucket, History: 1, Storage: jetstream.FileStorage,
			MaxBytes: maxBucket, MaxValueSize: MaxValue, Replicas: max(replicas, 1), LimitMarkerTTL: markerTTL,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("journal: open bucket %s: %w", bucket, err)
	}
	return &KV{kv}, nil
}

// Get returns the newest revision of a key. ErrNotFound.
func (k *KV) Get(ctx context.Context, key string) (Entry, error) {
	ctx, cancel := bounded(ctx, kvTimeout)
	defer cancel()
	e, err := k.kv.Get(ctx, key)
	if err != nil {
		return Entry{}, fmt.Errorf("journal: get %s: %w", key, kvError(err))
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
	var err error
	if revision == 0 {
		rev, err = k.kv.Create(ctx, key, value)
	} else {
		rev, err = k.kv.Update(ctx, key, value, revision)
	}
	if err != nil {
		return 0, fmt.Errorf("journal: put %s at revision %d: %w", key, revision, kvError(err))
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
	if err := k.kv.Purge(ctx, key, jetstream.LastRevision(revision), jetstream.PurgeTTL(markerTTL)); err != nil {
		return fmt.Errorf("journal: delete %s at revision %d: %w", key, revision, kvError(err))
	}
	return nil
}

// Keys returns the keys that exist, in no order.
func (k *KV) Keys(ctx context.Context) ([]string, error) {
	ctx, cancel := bounded(ctx, kvTimeout)
	defer cancel()
	lister, err := k.kv.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("journal: list keys: %w", kvError(err))
	}
	var keys []string
	for key := range lister.Keys() {
		keys = append(keys, key)
	}
	return keys, ctx.Err()
}

// Watch calls each with the newest revision of every key that exists, then
// ready once, then each for every change as it comes; of quick changes to one
// key only the last may be seen. It returns when ctx ends or the watch breaks:
// the caller watches again. The calls come one at a time.
func (k *KV) Watch(ctx context.Context, each func(Entry), ready func()) error {
	w, err := k.kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("journal: watch: %w", kvError(err))
	}
	defer w.Stop() //nolint:errcheck // the watch is over either way
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return fmt.Errorf("journal: watch: %w", ErrClosed)
			case e == nil:
				ready()
			case e.Operation() != jetstream.KeyValuePut:
				each(Entry{Key: e.Key(), Revision: e.Revision()})
			default:
				each(Entry{e.Key(), e.Value(), e.Revision()})
			}
		}
	}
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
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: %w", ErrAmbiguous, err)
	}
	return err
}
