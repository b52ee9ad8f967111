package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/shared/actor/snapshot"
	"github.com/atrium-iot/atrium/shared/actor/snapshot/snapshottest"
)

func TestDirIsAStore(t *testing.T) {
	snapshottest.Contract(t, func(t *testing.T) snapshottest.Store { return openDir(t, t.TempDir()) })
}

func openDir(t *testing.T, path string) *snapshot.Dir {
	t.Helper()
	d, err := snapshot.OpenDir(path, room)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func save(t *testing.T, d *snapshot.Dir, id, state string) {
	t.Helper()
	if err := d.Save(context.Background(), id, []byte(state)); err != nil {
		t.Fatal(err)
	}
}

func load(d *snapshot.Dir, id string) (string, error) {
	data, err := d.Load(context.Background(), id)
	return string(data), err
}

// files returns the paths of all files below path, sorted.
func files(t *testing.T, path string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(path, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestADirOpenedAgainHasWhatWasSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "with", "those above")
	d := openDir(t, path)
	save(t, d, "hq/t1", "one")
	save(t, d, "hq/t2", "two")
	used := d.Used()
	d = openDir(t, path)
	if state, err := load(d, "hq/t1"); state != "one" {
		t.Errorf("got %q, %v", state, err)
	}
	if used == 0 || d.Used() != used {
		t.Errorf("%d bytes were used, %d after opening again", used, d.Used())
	}
}

func TestOpeningRemovesWhatWasUnfinished(t *testing.T) {
	path := t.TempDir()
	save(t, openDir(t, path), "hq/t1", "state")
	want := files(t, path)
	for _, name := range []string{"1", "77"} {
		if err := os.WriteFile(filepath.Join(path, "unfinished", name), []byte("half of a"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save(t, openDir(t, path), "hq/t1", "state")
	if got := files(t, path); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// damage changes a byte of the only snapshot and returns its path.
func damage(t *testing.T, path string) string {
	t.Helper()
	file := files(t, path)[0]
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1]++
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestADamagedSnapshotIsNamedAndKeptAside holds I6.
func TestADamagedSnapshotIsNamedAndKeptAside(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	save(t, d, "hq/t1", "state")
	file := damage(t, path)
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	kept := strings.TrimSuffix(file, ".snap") + ".damaged"
	for _, when := range []string{"at first", "later", "after opening again"} {
		if when == "after opening again" {
			d = openDir(t, path)
		}
		_, err := load(d, "hq/t1")
		if !errors.Is(err, snapshot.ErrDamaged) || !strings.Contains(err.Error(), kept) {
			t.Errorf("%s: %v; want it to name %s", when, err, kept)
		}
		if got := files(t, path); !slices.Equal(got, []string{kept}) {
			t.Errorf("%s: there are %q", when, got)
		}
	}
	if got, err := os.ReadFile(kept); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was kept is not what was found: %v", err)
	}
}

func TestASaveFollowsADamagedSnapshotAndKeepsIt(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	save(t, d, "hq/t1", "state")
	damage(t, path)
	if _, err := load(d, "hq/t1"); !errors.Is(err, snapshot.ErrDamaged) {
		t.Fatal(err)
	}
	save(t, d, "hq/t1", "new state")
	if state, err := load(d, "hq/t1"); state != "new state" {
		t.Errorf("got %q, %v", state, err)
	}
	if n := len(files(t, path)); n != 2 {
		t.Errorf("%d files, want the snapshot and the damaged one", n)
	}
	if err := d.Delete(t.Context(), "hq/t1"); err != nil {
		t.Error(err)
	}
	if _, err := load(d, "hq/t1"); !errors.Is(err, snapshot.ErrNone) {
		t.Error(err)
	}
	if got := files(t, path); len(got) != 0 || d.Used() != 0 {
		t.Errorf("a delete left %q, %d bytes used", got, d.Used())
	}
}

func TestOneDamagedSnapshotOfAnIDIsKept(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	for range 3 {
		save(t, d, "hq/t1", "state")
		all := files(t, path)
		if err := os.Truncate(all[len(all)-1], 3); err != nil { // "snap" sorts behind "damaged"
			t.Fatal(err)
		}
		if _, err := load(d, "hq/t1"); !errors.Is(err, snapshot.ErrDamaged) {
			t.Error(err)
		}
	}
	if got := files(t, path); len(got) != 1 || d.Used() != 4096 {
		t.Errorf("there are %q, %d bytes used", got, d.Used())
	}
}

func TestAFileThatIsTooLargeIsDamagedAndNotReadWhole(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	save(t, d, "hq/t1", "state")
	const sparse = 1 << 40 // takes no room
	if err := os.Truncate(files(t, path)[0], sparse); err != nil {
		t.Skip(err)
	}
	if _, err := load(d, "hq/t1"); !errors.Is(err, snapshot.ErrDamaged) {
		t.Error(err)
	}
}

// TestTheLimitCountsBlocksAndWhatIsBeingReplaced holds I5 for the disk.
func TestTheLimitCountsBlocksAndWhatIsBeingReplaced(t *testing.T) {
	path := t.TempDir()
	d, err := snapshot.OpenDir(path, 3*4096)
	if err != nil {
		t.Fatal(err)
	}
	save(t, d, "hq/t1", "a file of some bytes takes a block")
	save(t, d, "hq/t2", "so does this")
	save(t, d, "hq/t2", "there is room for old and new")
	save(t, d, "hq/t3", "the last one")
	if err := d.Save(t.Context(), "hq/t3", nil); !errors.Is(err, snapshot.ErrFull) {
		t.Errorf("a fourth block of three: %v", err)
	}
	if d, err = snapshot.OpenDir(path, 2*4096); err != nil {
		t.Fatal(err)
	}
	if err := d.Save(t.Context(), "hq/t1", nil); !errors.Is(err, snapshot.ErrFull) {
		t.Errorf("a lower limit than what is there: %v", err)
	}
	if state, err := load(d, "hq/t3"); state != "the last one" {
		t.Errorf("got %q, %v", state, err)
	}
}

func TestASaveWithoutAPlaceForTheNewFileLeavesTheOld(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	save(t, d, "hq/t1", "old")
	if err := os.Remove(filepath.Join(path, "unfinished")); err != nil {
		t.Fatal(err)
	}
	used := d.Used()
	if err := d.Save(t.Context(), "hq/t1", []byte("new")); err == nil || errors.Is(err, snapshot.ErrFull) {
		t.Errorf("save: %v", err)
	}
	if state, err := load(d, "hq/t1"); state != "old" || d.Used() != used {
		t.Errorf("got %q, %v; %d bytes used, before %d", state, err, d.Used(), used)
	}
}

func TestASaveThatCannotTakeItsPlaceLeavesNothing(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	save(t, d, "hq/t1", "old")
	file := files(t, path)[0]
	if err := errors.Join(os.Remove(file), os.MkdirAll(filepath.Join(file, "in the way"), 0o700)); err != nil {
		t.Fatal(err)
	}
	used := d.Used()
	if err := d.Save(t.Context(), "hq/t1", []byte("new")); err == nil {
		t.Error("a folder was replaced by a snapshot")
	}
	if left := files(t, path); len(left) != 0 || d.Used() != used {
		t.Errorf("%q is left; %d bytes used, before %d", left, d.Used(), used)
	}
}

func TestAnOpenThatFailsNamesThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := snapshot.OpenDir(path, room); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestNobodyElseReadsAState(t *testing.T) {
	path := t.TempDir()
	save(t, openDir(t, path), "hq/t1", "private")
	info, err := os.Stat(files(t, path)[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
}
