package buffer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// image leaves the files of a gateway without a link: two processes, the second
// of which ended at once if crashed, and the frames that it had committed. The
// files live as long as owner.
func image(t, owner *testing.T, crashed bool) (dir string, committed map[place]bool) {
	t.Helper()
	medium := &directory{t: owner, dir: filepath.Join(owner.TempDir(), "buffer")}
	start := time.Now()
	for range 2 {
		store, err := medium.Open()
		if err != nil {
			t.Fatal(err)
		}
		w := &bench{t: t, cloud: newCloud()}
		w.buf, err = buffer.Open(t.Context(), buffer.Config{Boot: id.Boot{1}, Reserve: 1, Now: func() time.Duration { return time.Since(start) }}, store, quiet, nil)
		if err != nil {
			t.Fatal(err)
		}
		rng := newNoise()
		for range 12 {
			w.noise(rng, 20<<10)
			w.sample(10)
			w.event(1)
			settle(buffer.DefaultCommitInterval)
		}
		if crashed {
			medium.Crash() // a copy of the files as they are
			_ = w.buf.Close(context.Background())
			continue
		}
		w.close()
	}
	return medium.dir, frames(t, medium.dir)
}

// images returns one of each, and what makes a copy of one.
func images(t *testing.T) (committed map[bool]map[place]bool, copied func(t *testing.T, crashed bool) string) {
	t.Helper()
	committed, dirs := map[bool]map[place]bool{}, map[bool]string{}
	for _, crashed := range []bool{false, true} {
		inBubble(t, func(bubble *testing.T) { dirs[crashed], committed[crashed] = image(bubble, t, crashed) })
	}
	return committed, func(t *testing.T, crashed bool) string {
		dir := filepath.Join(t.TempDir(), "buffer")
		if err := os.CopyFS(dir, os.DirFS(dirs[crashed])); err != nil {
			t.Fatal(err)
		}
		return dir
	}
}

// frames lists the frames in a copy of a store.
func frames(t *testing.T, dir string) map[place]bool {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	store, err := buffer.OpenBadger(copied, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var out bytes.Buffer
	if _, err := buffer.Export(t.Context(), store, &out); err != nil {
		t.Fatal(err)
	}
	all := map[place]bool{}
	for r := wire.NewReader(&out, wire.MaxFrame); ; {
		msg, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if k, _ := wire.Peek(msg); k == wire.KindFrame {
			run, seq, _, _ := wire.PeekSeq(msg)
			all[place{run, seq}] = true
		}
	}
}

// reckon starts a gateway on a store, drains it, and returns how many of the
// committed frames did not arrive. Each of those must be in the ledger (I1): in
// a gap, below the first that hello names, or beyond the last of an unclean run.
func reckon(t *testing.T, dir string, committed map[place]bool) (lost int, err error) {
	t.Helper()
	store, err := buffer.OpenBadger(dir, quiet)
	if err != nil {
		return 0, err
	}
	b, err := buffer.Open(t.Context(), buffer.Config{Boot: id.Boot{1}, Reserve: 1, Now: func() time.Duration { return time.Hour }}, store, quiet, nil)
	if err != nil {
		return 0, errors.Join(err, store.Close())
	}
	defer b.Close(context.Background())
	s, err := b.Connect()
	if err != nil {
		return 0, err
	}
	known := map[id.Run]wire.RunInfo{}
	for _, r := range s.Hello.Runs {
		known[r.Run] = r
	}
	arrived, gaps := map[place]bool{}, map[place]bool{}
	for _, run := range s.Backlog {
		for c := b.Cursor(run); ; {
			it, err := c.Next(t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return 0, err
			}
			into := arrived
			if k, _ := wire.Peek(it.Frame); k == wire.KindGap {
				into = gaps
			}
			if it.Last > it.First+1000 {
				return 0, fmt.Errorf("a gap of run %s from %d to %d", run, it.First, it.Last)
			}
			for seq := it.First; seq <= it.Last; seq++ {
				into[place{run, seq}] = true
			}
		}
	}
	for p := range committed {
		r, named := known[p.run]
		switch {
		case arrived[p]:
			continue
		case gaps[p], named && p.seq < r.First, named && p.seq > r.Last && r.State == wire.RunUnclean:
			lost++
		default:
			return 0, fmt.Errorf("frame %d of run %s is gone without a word; hello has it: %t %+v", p.seq, p.run, named, r)
		}
	}
	return lost, nil
}

func flip(t *testing.T, file string, at int64) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[at] ^= 0x10
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// only returns the one file of a kind, or the first.
func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	return names[0]
}

// I1: without its MANIFEST, or with one that lies, Badger deletes what it held.
func TestAStoreWithoutAManifestLosesNothing(t *testing.T) {
	committed, copied := images(t)
	manifest := func(dir string) string { return filepath.Join(dir, "MANIFEST") }
	for name, harm := range map[string]func(t *testing.T, dir string) error{
		"removed": func(_ *testing.T, dir string) error { return os.Remove(manifest(dir)) },
		"emptied": func(_ *testing.T, dir string) error { return os.Truncate(manifest(dir), 0) },
		"torn":    func(_ *testing.T, dir string) error { return os.Truncate(manifest(dir), 20) },
		"a bit in its head": func(t *testing.T, dir string) error {
			flip(t, manifest(dir), 2)
			return nil
		},
		"a bit in a length": func(t *testing.T, dir string) error {
			flip(t, manifest(dir), 11)
			return nil
		},
		"a bit in an entry": func(t *testing.T, dir string) error {
			flip(t, manifest(dir), 17)
			return nil
		},
		"registry of keys": func(t *testing.T, dir string) error {
			flip(t, filepath.Join(dir, "KEYREGISTRY"), 20)
			return nil
		},
		"key of a value log": func(t *testing.T, dir string) error {
			flip(t, only(t, dir, "*.vlog"), 3)
			return nil
		},
	} {
		for _, crashed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s,crashed=%t", strings.ReplaceAll(name, " ", "-"), crashed), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					dir := copied(t, crashed)
					if err := harm(t, dir); err != nil {
						t.Fatal(err)
					}
					lost, err := reckon(t, dir, committed[crashed])
					if err != nil || lost != 0 || len(committed[crashed]) < 40 {
						t.Fatalf("%d of %d frames are lost, %v", lost, len(committed[crashed]), err)
					}
				})
			})
		}
	}
}

// I1: one bit anywhere in the store costs what the ledger says, and the gateway
// starts.
func TestOneBitAnywhereInTheStoreCostsWhatTheLedgerSays(t *testing.T) {
	committed, copied := images(t)
	for seed := range uint64(32) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 7))
				crashed := seed%2 == 0
				dir := copied(t, crashed)
				names, err := filepath.Glob(filepath.Join(dir, "*"))
				if err != nil {
					t.Fatal(err)
				}
				names = slices.DeleteFunc(names, func(name string) bool { return filepath.Base(name) == "ballast" })
				name := names[rng.IntN(len(names))]
				data, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if data = bytes.TrimRight(data, "\x00"); len(data) == 0 {
					return
				}
				at := rng.Int64N(int64(len(data)))
				flip(t, name, at)
				lost, err := reckon(t, dir, committed[crashed])
				if err != nil {
					t.Fatalf("a bit at %d of %s: %v", at, filepath.Base(name), err)
				}
				t.Logf("a bit at %d of %s: %d of %d frames are in the ledger", at, filepath.Base(name), lost, len(committed[crashed]))
			})
		})
	}
}

// A process that is killed while it makes a log leaves an empty file.
func TestALogThatWasNeverWrittenKeepsNoStoreFromStarting(t *testing.T) { // I1
	committed, copied := images(t)
	for _, name := range []string{"000099.vlog", "00099.mem"} {
		inBubble(t, func(t *testing.T) {
			dir := copied(t, true)
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if lost, err := reckon(t, dir, committed[true]); err != nil || lost != 0 {
				t.Errorf("%s: %d frames are lost, %v", name, lost, err)
			}
		})
	}
}

// I6: a store that another process has open is not touched.
func TestAStoreInUseIsNotRepaired(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "buffer")
	store, err := buffer.OpenBadger(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if err := os.WriteFile(filepath.Join(dir, "000099.sst"), []byte("not a table"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := buffer.OpenBadger(dir, quiet); !errors.Is(err, buffer.ErrInUse) {
		t.Fatalf("OpenBadger = %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "000099.sst")); err != nil {
		t.Fatal("the second process has touched the store of the first")
	}
}
