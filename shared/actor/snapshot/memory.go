package snapshot

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// Memory keeps snapshots in memory. They are gone with the process.
type Memory struct {
	limit int

	mu   sync.RWMutex
	data map[string][]byte
	used int // bytes of IDs and snapshots
}

// NewMemory makes an empty store of at most limitBytes, IDs and snapshots
// counted.
func NewMemory(limitBytes int) *Memory {
	return &Memory{limit: limitBytes, data: make(map[string][]byte)}
}

// Save keeps a copy of data in place of what the ID had before. ErrFull.
func (m *Memory) Save(ctx context.Context, id string, data []byte) error {
	if err := check(ctx, id, data); err != nil {
		return fmt.Errorf("snapshot: save %q: %w", id, err)
	}
	own := append([]byte{}, data...)
	m.mu.Lock()
	defer m.mu.Unlock()
	used := m.used + len(id) + len(own)
	if old, ok := m.data[id]; ok {
		used -= len(id) + len(old)
	}
	if used > m.limit {
		return fmt.Errorf("snapshot: save %q: %d bytes of %d are used: %w", id, m.used, m.limit, ErrFull)
	}
	m.data[id], m.used = own, used
	return nil
}

// Load returns a copy of what was last saved under the ID. ErrNone.
func (m *Memory) Load(ctx context.Context, id string) ([]byte, error) {
	if err := check(ctx, id, nil); err != nil {
		return nil, fmt.Errorf("snapshot: load %q: %w", id, err)
	}
	m.mu.RLock()
	data, ok := m.data[id] // replaced as a whole, never written to
	m.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("snapshot: load %q: %w", id, ErrNone)
	}
	return bytes.Clone(data), nil
}

// Delete forgets the snapshot of the ID. It is no error when there is none.
func (m *Memory) Delete(ctx context.Context, id string) error {
	if err := check(ctx, id, nil); err != nil {
		return fmt.Errorf("snapshot: delete %q: %w", id, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.data[id]; ok {
		delete(m.data, id)
		m.used -= len(id) + len(old)
	}
	return nil
}

// Used returns the bytes that count towards the limit.
func (m *Memory) Used() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.used
}
