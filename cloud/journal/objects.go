package journal

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// objectTimeout bounds one call where the caller's context has no deadline: a
// site's snapshot is some MiB.
const objectTimeout = 30 * time.Second

// MaxObject bounds one object in bytes: it is held in memory whole.
const MaxObject = 256 << 20

// Object describes a stored object.
type Object struct {
	Name string
	Size uint64
	Time time.Time
}

// Objects is the bucket snap_<shard>: a shard's snapshots and manifests.
type Objects struct {
	store  jetstream.ObjectStore
	stream jetstream.Stream // beneath the store, to remove without a trace
	bucket string
	shard  int

	turn  chan struct{} // holds one token: a sweep must not take a Put's chunks
	dirty bool          // under turn: a Put failed, its chunks may be left
}

// OpenObjects makes or opens the bucket of a shard, of at most maxBytes.
func OpenObjects(ctx context.Context, js jetstream.JetStream, shard int, maxBytes int64, replicas int) (*Objects, error) {
	if maxBytes <= 0 {
		return nil, fmt.Errorf("journal: open objects: shard %d: maxBytes must be set: an unbounded bucket fills the disk", shard)
	}
	o := &Objects{shard: shard, bucket: fmt.Sprintf("snap_%d", shard), turn: make(chan struct{}, 1)}
	err := untilAnswered(ctx, func(ctx context.Context) (err error) {
		o.store, err = js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket: o.bucket, Storage: jetstream.FileStorage,
			MaxBytes: maxBytes, Replicas: max(replicas, 1),
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("journal: open objects: shard %d: %w", shard, err)
	}
	if o.stream, err = js.Stream(ctx, "OBJ_"+o.bucket); err != nil {
		return nil, fmt.Errorf("journal: open objects: shard %d: %w", shard, err)
	}
	if err := o.sweep(ctx); err != nil {
		return nil, fmt.Errorf("journal: open objects: shard %d: sweep: %w", shard, err)
	}
	return o, nil
}

// The subjects of an object's chunks and of its description (NATS ADR-20).
func (o *Objects) chunks(nuid string) string { return "$O." + o.bucket + ".C." + nuid }

func (o *Objects) description(name string) string {
	return "$O." + o.bucket + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
}

// sweep removes chunks that no object names: a crash in Put or Delete leaves
// them, and so does a Put whose time is over. They would fill the bucket in
// time, and on a slow disk soon.
func (o *Objects) sweep(ctx context.Context) error {
	ctx, cancel := bounded(ctx, objectTimeout)
	defer cancel()
	infos, err := o.store.List(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return err
	}
	named := make(map[string]bool, len(infos))
	for _, i := range infos {
		named[o.chunks(i.NUID)] = true
	}
	state, err := o.stream.Info(ctx, jetstream.WithSubjectFilter(o.chunks("*")))
	if err != nil {
		return err
	}
	for subject := range state.State.Subjects {
		if named[subject] {
			continue
		}
		if err := o.stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return err
		}
	}
	return nil
}

// Put stores data under name, whole or not at all; it is durable when Put
// returns nil. An object of that name is replaced. One Put runs at a time; the
// one after a failed one first removes what that left.
func (o *Objects) Put(ctx context.Context, name string, data []byte) error {
	if len(data) > MaxObject {
		return fmt.Errorf("journal: put %s: %d bytes, at most %d are allowed", name, len(data), MaxObject)
	}
	ctx, cancel := bounded(ctx, objectTimeout)
	defer cancel()
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("journal: put %s: shard %d: %w", name, o.shard, ctx.Err())
	}
	defer func() { <-o.turn }()
	if o.dirty {
		if err := o.sweep(ctx); err != nil {
			return fmt.Errorf("journal: put %s: shard %d: sweep: %w", name, o.shard, err)
		}
		o.dirty = false
	}
	if _, err := o.store.PutBytes(ctx, name, data); err != nil {
		o.dirty = true
		return fmt.Errorf("journal: put %s: shard %d: %w", name, o.shard, err)
	}
	return nil
}

// Get returns the object's data; its SHA-256 has been checked. ErrNotFound.
func (o *Objects) Get(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := bounded(ctx, objectTimeout)
	defer cancel()
	b, err := o.store.GetBytes(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("journal: get %s: shard %d: %w", name, o.shard, err)
	}
	return b, nil
}

// List returns what the bucket holds, in no order.
func (o *Objects) List(ctx context.Context) ([]Object, error) {
	ctx, cancel := bounded(ctx, objectTimeout)
	defer cancel()
	infos, err := o.store.List(ctx)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal: list objects: shard %d: %w", o.shard, err)
	}
	objects := make([]Object, 0, len(infos))
	for _, i := range infos {
		objects = append(objects, Object{i.Name, i.Size, i.ModTime})
	}
	return objects, nil
}

// Delete removes an object; one that is not there is no error. It publishes
// nothing, so that it works on a full bucket and leaves no marker behind.
func (o *Objects) Delete(ctx context.Context, name string) error {
	ctx, cancel := bounded(ctx, objectTimeout)
	defer cancel()
	info, err := o.store.GetInfo(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil
	}
	if err == nil {
		err = o.stream.Purge(ctx, jetstream.WithPurgeSubject(o.description(name)))
	}
	if err == nil {
		err = o.stream.Purge(ctx, jetstream.WithPurgeSubject(o.chunks(info.NUID)))
	}
	if err != nil {
		return fmt.Errorf("journal: delete %s: shard %d: %w", name, o.shard, err)
	}
	return nil
}

func bounded(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}
