// Package snapshottest tests stores of snapshots and stands in for them.
// Contract says what every store must do, and fails one that does not. Faulty
// is a store before another whose calls fail, wait or get lost by a script,
// for tests of whoever uses a store.
package snapshottest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor/snapshot"
)

// Store is what the runtime asks of a store.
type Store interface {
	Save(ctx context.Context, id string, data []byte) error
	Load(ctx context.Context, id string) ([]byte, error)
	Delete(ctx context.Context, id string) error
}

// Contract runs the tests that every store must pass. open returns an empty
// store that has room for 1 MiB and not for twice snapshot.MaxData; it is
// called once a test.
func Contract(t *testing.T, open func(t *testing.T) Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Store)
	}{
		{"an id never saved has none", noneAtFirst},
		{"the last one saved is loaded", lastOneWins},
		{"what was deleted is gone", deleted},
		{"ids are told apart", idsAreApart},
		{"bad input changes nothing", badInput},
		{"an ended context changes nothing", endedContext},
		{"slices stay with whoever made them", slicesAreCopied},
		{"a full store keeps what it has", full},
		{"calls at once leave one of them", atOnce},
		{"it does what a map does", likeAMap},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// reporter is what *testing.T and *rapid.T share.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

func save(t reporter, s Store, id string, data []byte) {
	t.Helper()
	if err := s.Save(context.Background(), id, data); err != nil {
		t.Fatalf("%v", err)
	}
}

func remove(t reporter, s Store, id string) {
	t.Helper()
	if err := s.Delete(context.Background(), id); err != nil {
		t.Fatalf("%v", err)
	}
}

func wantData(t reporter, s Store, id string, want []byte) {
	t.Helper()
	if got, err := s.Load(context.Background(), id); err != nil || !bytes.Equal(got, want) {
		t.Errorf("load %q: %d bytes, %v; want %d bytes", id, len(got), err, len(want))
	}
}

func wantNone(t reporter, s Store, id string) {
	t.Helper()
	wantError(t, loadError(s, id), snapshot.ErrNone, id)
}

func loadError(s Store, id string) error {
	_, err := s.Load(context.Background(), id)
	return err
}

// wantError wants err to be a target and to name the id.
func wantError(t reporter, err, target error, id string) {
	t.Helper()
	if !errors.Is(err, target) || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("%q", id)) {
		t.Errorf("got %v, want %q and the id %q", err, target, id)
	}
}

func noneAtFirst(t *testing.T, s Store) {
	wantNone(t, s, "hq/t1")
	remove(t, s, "hq/t1")
	wantNone(t, s, "hq/t1")
}

func lastOneWins(t *testing.T, s Store) {
	for _, data := range [][]byte{[]byte("first, longer"), []byte("second"), {}, nil, make([]byte, 100_000)} {
		save(t, s, "hq/t1", data)
		wantData(t, s, "hq/t1", data)
		wantData(t, s, "hq/t1", data) // loading takes nothing away
	}
}

func deleted(t *testing.T, s Store) {
	save(t, s, "hq/t1", []byte("1"))
	save(t, s, "hq/t2", []byte("2"))
	remove(t, s, "hq/t1")
	wantNone(t, s, "hq/t1")
	wantData(t, s, "hq/t2", []byte("2"))
	save(t, s, "hq/t1", []byte("3"))
	wantData(t, s, "hq/t1", []byte("3"))
}

// idsAreApart has the IDs that a file's name could not hold, or would confuse.
func idsAreApart(t *testing.T, s Store) {
	long := strings.Repeat("/", snapshot.MaxID-1)
	ids := []string{
		".", "..", "../x", "/", "//", "/etc/passwd", "a", "A", "a/", "a/b", "a%2fb", "a%2Fb", `a\b`, "a b", "a\x00b",
		"a.snap", "a.damaged", "a~", "~", "a\n", "\xff\xfe", "\u00e9", "e\u0301", "unfinished", "00", "-rf", "con", long + "1", long + "2",
		strings.Repeat("x", snapshot.MaxID), strings.Repeat("x", snapshot.MaxID-1), strings.Repeat("X", snapshot.MaxID),
	}
	for _, id := range ids {
		wantNone(t, s, id)
		save(t, s, id, []byte("state of "+id))
	}
	for _, id := range ids {
		wantData(t, s, id, []byte("state of "+id))
		remove(t, s, id)
		wantNone(t, s, id)
	}
}

func badInput(t *testing.T, s Store) {
	ctx := context.Background()
	save(t, s, "hq/t1", []byte("1"))
	for _, id := range []string{"", strings.Repeat("x", snapshot.MaxID+1)} {
		if s.Save(ctx, id, nil) == nil || loadError(s, id) == nil || s.Delete(ctx, id) == nil {
			t.Errorf("an id of %d bytes was taken", len(id))
		}
		if err := loadError(s, id); errors.Is(err, snapshot.ErrNone) {
			t.Errorf("an id of %d bytes: %v; it is bad, not without a snapshot", len(id), err)
		}
	}
	if s.Save(ctx, "hq/t1", make([]byte, snapshot.MaxData+1)) == nil {
		t.Error("more than MaxData was taken")
	}
	wantData(t, s, "hq/t1", []byte("1"))
}

func endedContext(t *testing.T, s Store) {
	save(t, s, "hq/t1", []byte("1"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantError(t, s.Save(ctx, "hq/t1", []byte("2")), context.Canceled, "hq/t1")
	wantError(t, s.Delete(ctx, "hq/t1"), context.Canceled, "hq/t1")
	_, err := s.Load(ctx, "hq/t1")
	wantError(t, err, context.Canceled, "hq/t1")
	wantData(t, s, "hq/t1", []byte("1"))
}

func slicesAreCopied(t *testing.T, s Store) {
	data := []byte("kept")
	save(t, s, "hq/t1", data)
	copy(data, "XXXX")
	got, err := s.Load(context.Background(), "hq/t1")
	if err != nil || string(got) != "kept" {
		t.Fatalf("got %q, %v", got, err)
	}
	copy(got, "YYYY")
	wantData(t, s, "hq/t1", []byte("kept"))
}

func full(t *testing.T, s Store) {
	save(t, s, "hq/small", []byte("1"))
	big := make([]byte, snapshot.MaxData)
	var err error
	for i := 0; err == nil && i < 2; i++ {
		err = s.Save(context.Background(), fmt.Sprintf("hq/big%d", i), big)
	}
	if !errors.Is(err, snapshot.ErrFull) {
		t.Fatalf("two snapshots of %d bytes: %v", len(big), err)
	}
	wantError(t, s.Save(context.Background(), "hq/small", big), snapshot.ErrFull, "hq/small")
	wantData(t, s, "hq/small", []byte("1"))
	wantNone(t, s, "hq/big1")
	remove(t, s, "hq/big0")
	save(t, s, "hq/small", []byte("room again"))
	wantData(t, s, "hq/small", []byte("room again"))
}

// atOnce saves, loads and deletes few IDs from many goroutines: what a Load
// gets was saved under its ID, as a whole.
func atOnce(t *testing.T, s Store) {
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 20 {
				id := fmt.Sprintf("hq/t%d", i%3)
				if err := s.Save(t.Context(), id, bytes.Repeat([]byte(id), 1+g)); err != nil {
					t.Error(err)
				}
				got, err := s.Load(t.Context(), id)
				if err != nil && !errors.Is(err, snapshot.ErrNone) {
					t.Error(err)
				}
				if string(got) != strings.Repeat(id, len(got)/len(id)) {
					t.Errorf("load %q: %q", id, got)
				}
				if g == 0 {
					if err := s.Delete(t.Context(), id); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
}

func likeAMap(t *testing.T, s Store) {
	ids := rapid.SampledFrom([]string{"a", "b", "hq/t1", "HQ/T1", strings.Repeat("/", 99)})
	want := map[string][]byte{} // the store is one for all runs
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 20).Draw(t, "calls") {
			id := ids.Draw(t, "id")
			switch rapid.IntRange(0, 2).Draw(t, "call") {
			case 0:
				data := rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, "data")
				save(t, s, id, data)
				want[id] = data
			case 1:
				remove(t, s, id)
				delete(want, id)
			}
			if data, ok := want[id]; ok {
				wantData(t, s, id, data)
			} else {
				wantNone(t, s, id)
			}
		}
	})
}
