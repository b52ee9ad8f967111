package snapshot_test

import (
	"context"
	"errors"
	"testing"

	"github.com/atrium-iot/atrium/shared/actor/snapshot"
)

// TestMemoryCountsToTheByte holds I5: a replaced or deleted snapshot gives its
// room back, and one byte too many is refused.
func TestMemoryCountsToTheByte(t *testing.T) {
	ctx := context.Background()
	m := snapshot.NewMemory(10)
	for _, step := range []struct {
		id   string
		size int
		err  error
		used int
	}{
		{"a", 4, nil, 5},
		{"b", 4, nil, 10},
		{"c", 0, snapshot.ErrFull, 10},
		{"a", 5, snapshot.ErrFull, 10},
		{"a", 3, nil, 9},
		{"c", 0, nil, 10},
	} {
		if err := m.Save(ctx, step.id, make([]byte, step.size)); !errors.Is(err, step.err) {
			t.Errorf("save %d bytes of %s: %v, want %v", step.size, step.id, err, step.err)
		}
		if m.Used() != step.used {
			t.Errorf("after %d bytes of %s: %d are used, want %d", step.size, step.id, m.Used(), step.used)
		}
	}
	for _, id := range []string{"a", "b", "c", "a"} {
		if err := m.Delete(ctx, id); err != nil {
			t.Error(err)
		}
	}
	if m.Used() != 0 {
		t.Errorf("%d bytes are used by nothing", m.Used())
	}
}
