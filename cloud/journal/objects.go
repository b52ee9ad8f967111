package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
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

// Objects is a bucket of a shard: snap_<shard> of its snapshots and manifests,
// or hist_<shard> of what its history is made of.
type Objects struct {
	store  jetstream.ObjectStore
	stream jetstream.Stream // beneath the store, to remove without a trace
	bucket string
	shard  int

	replicas int

	turn  chan struct{} // holds one token: a sweep must not take a Put's chunks
	dirty bool          // under turn: a Put failed, here or elsewhere, its chunks may be left
}

// OpenObjects makes or opens the bucket of a shard's snapshots, of at most
// maxBytes; see Server.ObjectBytes.
func OpenObjects(ctx context.Context, s *Server, shard int, maxBytes int64) (*Objects, error) {
	o, err := openBucket(ctx, s, "snap", shard, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("journal: open objects: shard %d: %w", shard, err)
	}
	return o, nil
}

// OpenHistory makes or opens the bucket of a shard's history, of at most
// maxBytes; see Server.HistoryBytes.
func OpenHistory(ctx context.Context, s *Server, shard int, maxBytes int64) (*Objects, error) {
	o, err := openBucket(ctx, s, "hist", shard, maxBytes)
	if err != nil {
		return nil, fmt.Errorf("journal: open history: shard %d: %w", shard, err)
	}
	return o, nil
}

func openBucket(ctx context.Context, s *Server, kind string, shard int, maxBytes int64) (*Objects, error) {
	if maxBytes <= 0 && !s.worker() {
		return nil, errors.New("maxBytes must be set: an unbounded bucket fills the disk")
	}
	// Of what others left the first Put knows nothing. Opening removes nothing:
	// the owner, on another node, may be in the middle of a Put.
	o := &Objects{shard: shard, replicas: s.Replicas(), bucket: fmt.Sprintf("%s_%d", kind, shard), turn: make(chan struct{}, 1), dirty: true}
	var err error
	// The stream of an object store (NATS ADR-20).
	if o.stream, err = s.openStream(ctx, jetstream.StreamConfig{
		Name: "OBJ_" + o.bucket, Subjects: []string{o.chunks(">"), o.descriptions()},
		MaxBytes: maxBytes, Discard: jetstream.DiscardNew, AllowRollup: true,
	}); err != nil {
		return nil, err
	}
	o.store, err = asked(ctx, o.replicas, func(ctx context.Context) (jetstream.ObjectStore, error) { return s.js.ObjectStore(ctx, o.bucket) })
	return o, err
}

// The subjects of an object's chunks and of its description (NATS ADR-20).
func (o *Objects) chunks(nuid string) string { return "$O." + o.bucket + ".C." + nuid }

func (o *Objects) descriptions() string { return "$O." + o.bucket + ".M.>" }

func (o *Objects) description(name string) string {
	return "$O." + o.bucket + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
}

// sweep removes chunks that no object names: a crash in Put or Delete leaves
// them, and so does a Put whose time is over. They would fill the bucket in
// time, and on a slow disk soon.
func (o *Objects) sweep(ctx context.Context) error {
	ctx, cancel := bounded(ctx, objectTimeout)
	defer cancel()
	chunks, err := o.held(ctx, o.chunks("*"))
	if err != nil || len(chunks) == 0 {
		return err
	}
	infos, err := o.infos(ctx)
	if err != nil {
		return err
	}
	for _, i := range infos {
		delete(chunks, o.chunks(i.NUID))
	}
	for subject := range chunks {
		if err := o.stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return err
		}
	}
	return nil
}

// held returns the subjects that match a filter and have a message, as the
// leader knows them.
func (o *Objects) held(ctx context.Context, filter string) (map[string]uint64, error) {
	info, err := o.stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, unanswered(err)
	}
	return info.State.Subjects, nil
}

// infos returns the objects' descriptions. A list comes from any replica,
// which may lag: where it differs from what the leader holds the leader is
// asked for the one object.
func (o *Objects) infos(ctx context.Context) ([]*jetstream.ObjectInfo, error) {
	names, err := o.held(ctx, o.descriptions())
	if err != nil || len(names) == 0 {
		return nil, err
	}
	chunks, err := o.held(ctx, o.chunks("*"))
	if err != nil {
		return nil, err
	}
	listed, err := o.store.List(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, unanswered(err)
	}
	var infos []*jetstream.ObjectInfo
	for _, i := range listed {
		subject := o.description(i.Name)
		_, there := names[subject]
		_, whole := chunks[o.chunks(i.NUID)]
		if there && (whole || i.Chunks == 0) {
			infos = append(infos, i)
			delete(names, subject)
		}
	}
	for subject := range names {
		name, err := base64.URLEncoding.DecodeString(subject[len(o.description("")):])
		if err != nil {
			return nil, fmt.Errorf("description %s: %w", subject, err)
		}
		i, err := o.store.GetInfo(ctx, string(name))
		switch {
		case err == nil:
			infos = append(infos, i)
		case !errors.Is(err, jetstream.ErrObjectNotFound):
			return nil, unanswered(err)
		}
	}
	return infos, nil
}

// Put stores data under name, whole or not at all; it is durable when Put
// returns nil. An object of that name is replaced. ErrFull: something must be
// deleted first. One Put runs at a time; the one after a failed one first
// removes what that left.
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
		if full(err) {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		return fmt.Errorf("journal: put %s: shard %d: %w", name, o.shard, err)
	}
	return nil
}

// Get returns the object's data; its SHA-256 has been checked. ErrNotFound.
func (o *Objects) Get(ctx context.Context, name string) ([]byte, error) {
	ctx, cancel := bounded(ctx, objectTimeout)
	defer cancel()
	b, err := asked(ctx, o.replicas, func(ctx context.Context) ([]byte, error) { return o.store.GetBytes(ctx, name) })
	if errors.Is(err, jetstream.ErrDigestMismatch) {
		// The chunks came from some replica, which may not have had them all.
		b, err = o.fromLeader(ctx, name)
	}
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("journal: get %s: shard %d: %w", name, o.shard, unanswered(err))
	}
	return b, nil
}

// fromLeader reads an object chunk by chunk from the stream's leader.
func (o *Objects) fromLeader(ctx context.Context, name string) ([]byte, error) {
	info, err := o.store.GetInfo(ctx, name)
	if err != nil {
		return nil, err
	}
	data := make([]byte, 0, min(info.Size, MaxObject))
	for seq := uint64(0); ; {
		m, err := o.stream.GetMsg(ctx, seq+1, jetstream.WithGetMsgSubject(o.chunks(info.NUID)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return nil, err
		}
		seq = m.Sequence
		data = append(data, m.Data...)
	}
	want, err := jetstream.DecodeObjectDigest(info.Digest)
	if sum := sha256.Sum256(data); err != nil || !bytes.Equal(sum[:], want) {
		return nil, errors.Join(jetstream.ErrDigestMismatch, err)
	}
	return data, nil
}

// List returns what the bucket holds, in no order.
func (o *Objects) List(ctx context.Context) ([]Object, error) {
	ctx, cancel := bounded(ctx, objectTimeout)
	defer cancel()
	infos, err := asked(ctx, o.replicas, o.infos)
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
