package journaltest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// cell is a value under a name; a nil value says that there is none.
type cell struct {
	value    []byte
	revision uint64
	at       time.Time
}

// table is a bucket, of objects or of documents, guarded by Mem.mu.
type table struct {
	cells    map[string]cell
	durable  map[string]cell
	revision uint64
	writer   chan struct{}
	changed  chan struct{} // closed and replaced at each change
}

func newTable() *table {
	return &table{
		cells: make(map[string]cell), durable: make(map[string]cell),
		writer: make(chan struct{}, 1), changed: make(chan struct{}),
	}
}

func (t *table) set(name string, value []byte, lazy bool) uint64 {
	t.revision++
	t.cells[name] = cell{value, t.revision, time.Now()}
	if !lazy {
		t.durable[name] = t.cells[name]
	}
	close(t.changed)
	t.changed = make(chan struct{})
	return t.revision
}

func (t *table) sync()  { t.durable = maps.Clone(t.cells) }
func (t *table) crash() { t.cells = maps.Clone(t.durable) }

// Objects is the double of journal.Objects.
type Objects struct {
	m     *Mem
	t     *table
	shard int
	dead  <-chan struct{}
}

// Put as journal.Objects'.
func (o *Objects) Put(ctx context.Context, name string, data []byte) error {
	if len(data) > journal.MaxObject {
		return fmt.Errorf("journaltest: put %s: %d bytes, at most %d are allowed", name, len(data), journal.MaxObject)
	}
	value := append([]byte{}, data...)
	return o.write(ctx, PutObject, name, value)
}

// Delete as journal.Objects'.
func (o *Objects) Delete(ctx context.Context, name string) error {
	return o.write(ctx, DeleteObject, name, nil)
}

func (o *Objects) write(ctx context.Context, kind StepKind, name string, value []byte) error {
	w := &write{
		allowed: func() error { return nil },
		apply:   func() { o.t.set(name, value, o.m.cfg.LazySync) },
	}
	err := o.m.durable(ctx, o.dead, o.t.writer, Step{Kind: kind, Shard: o.shard, Name: name}, w)
	if err != nil {
		return fmt.Errorf("journaltest: object %s: %w", name, err)
	}
	return nil
}

// Get as journal.Objects'.
func (o *Objects) Get(ctx context.Context, name string) ([]byte, error) {
	c, err := read(ctx, o.m, o.dead, o.t, name)
	return c.value, err
}

// List as journal.Objects'.
func (o *Objects) List(ctx context.Context) ([]journal.Object, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	if isClosed(o.dead) {
		return nil, journal.ErrClosed
	}
	var all []journal.Object
	for name, c := range o.t.cells {
		if c.value != nil {
			all = append(all, journal.Object{Name: name, Size: uint64(len(c.value)), Time: c.at})
		}
	}
	return all, nil
}

func read(ctx context.Context, m *Mem, dead <-chan struct{}, t *table, name string) (cell, error) {
	if err := ctx.Err(); err != nil {
		return cell{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if isClosed(dead) {
		return cell{}, journal.ErrClosed
	}
	c, ok := t.cells[name]
	if !ok || c.value == nil {
		return cell{}, fmt.Errorf("journaltest: %s: %w", name, journal.ErrNotFound)
	}
	c.value = append([]byte{}, c.value...)
	return c, nil
}

// KV is the double of journal.KV.
type KV struct {
	m    *Mem
	t    *table
	dead <-chan struct{}
}

// Get as journal.KV's.
func (k *KV) Get(ctx context.Context, key string) (journal.Entry, error) {
	c, err := read(ctx, k.m, k.dead, k.t, key)
	if err != nil {
		return journal.Entry{}, err
	}
	return journal.Entry{Key: key, Value: c.value, Revision: c.revision}, nil
}

// Put as journal.KV's.
func (k *KV) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if len(value) > journal.MaxValue {
		return 0, fmt.Errorf("journaltest: put %s: %d bytes, at most %d are allowed", key, len(value), journal.MaxValue)
	}
	rev, err := k.replace(ctx, key, append([]byte{}, value...), revision)
	if err != nil {
		return 0, fmt.Errorf("journaltest: put %s: %w", key, err)
	}
	return rev, nil
}

// Delete as journal.KV's.
func (k *KV) Delete(ctx context.Context, key string, revision uint64) error {
	if revision == 0 {
		return fmt.Errorf("journaltest: delete %s at revision 0: %w", key, journal.ErrConflict)
	}
	if _, err := k.replace(ctx, key, nil, revision); err != nil {
		return fmt.Errorf("journaltest: delete %s: %w", key, err)
	}
	return nil
}

// replace stores value, nil to delete, at a revision, 0 for a key that does
// not exist.
func (k *KV) replace(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	var rev uint64
	w := &write{
		allowed: func() error {
			present := k.t.cells[key].revision
			if k.t.cells[key].value == nil {
				present = 0
			}
			if present != revision {
				return journal.ErrConflict
			}
			return nil
		},
		apply: func() { rev = k.t.set(key, value, k.m.cfg.LazySync) },
	}
	if err := k.m.durable(ctx, k.dead, k.t.writer, Step{Kind: PutKey, Name: key}, w); err != nil {
		return 0, err // rev may still be set, by a write that arrives late
	}
	return rev, nil
}

// Keys as journal.KV's.
func (k *KV) Keys(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	if isClosed(k.dead) {
		return nil, journal.ErrClosed
	}
	var keys []string
	for key, c := range k.t.cells {
		if c.value != nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Watch as journal.KV's.
func (k *KV) Watch(ctx context.Context, each func(journal.Entry), ready func()) error {
	var seen uint64
	for first := true; ; first = false {
		entries, changed, err := k.since(seen)
		if err != nil {
			return err
		}
		for _, e := range entries {
			each(e)
			seen = e.Revision
		}
		if first {
			ready()
		}
		select {
		case <-changed:
		case <-k.dead:
			return fmt.Errorf("journaltest: watch: %w", journal.ErrClosed)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// since returns the entries newer than a revision, oldest first.
func (k *KV) since(revision uint64) ([]journal.Entry, <-chan struct{}, error) {
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	if isClosed(k.dead) {
		return nil, nil, journal.ErrClosed
	}
	var entries []journal.Entry
	for key, c := range k.t.cells {
		if c.revision > revision {
			entries = append(entries, journal.Entry{Key: key, Value: bytes.Clone(c.value), Revision: c.revision})
		}
	}
	slices.SortFunc(entries, func(a, b journal.Entry) int { return cmp.Compare(a.Revision, b.Revision) })
	return entries, k.t.changed, nil
}
