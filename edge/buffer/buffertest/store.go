package buffertest

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
)

// Store is one opening of a Disk; it implements buffer.Store.
type Store struct {
	d      *Disk
	values map[string][]byte
	dead   bool
}

var _ buffer.Store = (*Store)(nil)

// Commit implements buffer.Store.
func (s *Store) Commit(b *buffer.Batch) error {
	s.d.mu.Lock()
	latency := s.d.latency
	s.d.mu.Unlock()
	if latency > 0 {
		time.Sleep(latency)
	}
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.dead {
		return ErrCrashed
	}
	if err := b.Check(); err != nil {
		return err
	}
	var fail failure
	if len(s.d.fails) > 0 {
		fail, s.d.fails = s.d.fails[0], s.d.fails[1:]
		if !fail.applied {
			return fail.err
		}
	}
	if err := s.d.step(); err != nil {
		return err
	}
	s.d.log = appendRecord(s.d.log, b)
	if err := s.d.step(); err != nil {
		return err
	}
	s.d.synced = len(s.d.log)
	s.d.writes++
	for _, op := range b.Ops {
		s.d.bytes += int64(len(op.Key) + len(op.Value))
	}
	apply(s.values, b)
	if err := s.d.step(); err != nil {
		return err
	}
	return fail.err
}

// Get implements buffer.Store.
func (s *Store) Get(key []byte) ([]byte, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.dead {
		return nil, ErrCrashed
	}
	v, ok := s.values[string(key)]
	if !ok {
		return nil, buffer.ErrNotFound
	}
	return slices.Clone(v), nil
}

// Scan implements buffer.Store. The store may be used from within each.
func (s *Store) Scan(prefix []byte, each func(key []byte, size int64) error) error {
	s.d.mu.Lock()
	if s.dead {
		s.d.mu.Unlock()
		return ErrCrashed
	}
	type entry struct {
		key  string
		size int64
	}
	var found []entry
	for _, k := range sortedKeys(s.values) {
		if bytes.HasPrefix([]byte(k), prefix) {
			found = append(found, entry{k, int64(len(s.values[k]))})
		}
	}
	s.d.mu.Unlock()
	for _, e := range found {
		if err := each([]byte(e.key), e.size); err != nil {
			return err
		}
	}
	return nil
}

// Size implements buffer.Store: the log, with what is deleted in it.
func (s *Store) Size() (int64, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	return int64(len(s.d.log)), nil
}

// Free implements buffer.Store.
func (s *Store) Free() (int64, error) {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.dead {
		return 0, ErrCrashed
	}
	return s.d.free, nil
}

// Reclaim implements buffer.Store: it writes the log anew.
func (s *Store) Reclaim(int64) error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.dead {
		return ErrCrashed
	}
	s.d.log = nil
	for _, k := range sortedKeys(s.values) {
		var b buffer.Batch
		b.Put([]byte(k), s.values[k])
		s.d.log = appendRecord(s.d.log, &b)
	}
	s.d.synced = len(s.d.log)
	return nil
}

// Close implements buffer.Store.
func (s *Store) Close() error {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.dead {
		return ErrCrashed
	}
	s.dead = true
	s.d.open = nil
	return nil
}

func sortedKeys(m map[string][]byte) []string {
	return slices.Sorted(maps.Keys(m))
}
