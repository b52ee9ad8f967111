package buffer_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/edge/buffer"
)

// valueLog returns the bytes that the files of Badger's value log take.
func valueLog(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Stat(name, &st); err != nil {
			t.Fatal(err)
		}
		bytes += int64(st.Blocks) * 512
	}
	return bytes
}

// I5: what is written again as one leaves nothing dead in the value log, whose
// files come free only as a whole: an outage would take twice its limit.
func TestMergedSegmentsLeaveNothingDeadInTheValueLog(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dir := t.TempDir()
		w := onBadger(t, dir)
		defer w.close()
		rng := newNoise()
		for range 320 {
			w.noise(rng, 2<<10)
			settle(buffer.DefaultCommitInterval)
		}
		st := w.buf.Stats()
		if log := valueLog(t, dir); st.Merges < 19 || log > st.StoredBytes*5/4 {
			t.Fatalf("the value log takes %d bytes for %d of segments, after %d merges", log, st.StoredBytes, st.Merges)
		}
	})
}

// I5: what dies in the order in which it was written is waited for: what is
// copied early dies soon in its new file, which is not the next to go. But
// whatever is deleted in which order, the store gives back what is over enough.
func TestHalfDeadFilesAreCopiedOnlyWhereTheStoreTakesTooMuch(t *testing.T) {
	const (
		n    = 48 << 20 / (64 << 10)
		held = n * 3 / 8 * (64 << 10)
	)
	store, err := buffer.OpenBadger(t.TempDir(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	name := func(k int) []byte { return fmt.Appendf(nil, "f%049d", k) }
	commit := func(each func(b *buffer.Batch, k int)) {
		t.Helper()
		for k := 0; k < n; {
			var b buffer.Batch
			for end := k + 32; k < end; k++ {
				each(&b, k)
			}
			if err := store.Commit(&b); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit(func(b *buffer.Batch, k int) { b.Put(name(k), make([]byte, 64<<10)) })
	commit(func(b *buffer.Batch, k int) {
		if k%8 < 5 { // five eighths of each file
			b.Delete(name(k))
		}
	})
	reclaimed := func(enough int64) int64 {
		t.Helper()
		if err := store.Reclaim(enough); err != nil {
			t.Fatal(err)
		}
		size, err := store.Size()
		if err != nil {
			t.Fatal(err)
		}
		return size
	}
	if size := reclaimed(1 << 40); size < 2*held {
		t.Fatalf("%d bytes are taken for %d: live values were copied for nothing", size, held)
	}
	if size := reclaimed(0); size > 2*held {
		t.Fatalf("%d bytes are taken for %d, and that is too much", size, held)
	}
}
