package catalog_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/atrium-iot/atrium/cloud/catalog"
	"github.com/atrium-iot/atrium/cloud/journal"
)

// A site is in its former shard until it has arrived, and remembers where it
// was; every step is taken once, whoever takes it again.
func TestASiteMovesInThreeSteps(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		a, b := open(t, four, kv), open(t, four, kv)
		defer a.Close()
		defer b.Close()
		if _, err := a.Assign(t.Context(), "hq"); err != nil { // shard 0
			t.Fatal(err)
		}
		before, _ := a.Assigned("hq")
		for _, step := range []struct {
			to   int
			past []int
		}{{1, []int{0}}, {0, []int{0, 1}}, {1, []int{1, 0}}} {
			to, want := step.to, step.past
			begun, err := a.MoveSite(t.Context(), "hq", to, before.Revision)
			if err != nil {
				t.Fatal(err)
			}
			if moves := a.Moves(to); len(moves) != 1 || moves[0].Moving.To != to || moves[0].Shard == to {
				t.Fatalf("on its way: %+v", moves)
			}
			if err := a.Arrived(t.Context(), begun); !errors.Is(err, catalog.ErrMove) {
				t.Fatalf("it arrives before it has left: %v", err)
			}
			if err := a.Departed(t.Context(), begun, 7, [32]byte{1}); err != nil {
				t.Fatal(err)
			}
			if err := a.Departed(t.Context(), begun, 8, [32]byte{2}); !errors.Is(err, journal.ErrConflict) {
				t.Fatalf("it leaves twice: %v", err)
			}
			ready, err := b.Refresh(t.Context(), "hq")
			if err != nil || ready.Moving.Out != 7 || ready.Moving.Digest != [32]byte{1} {
				t.Fatalf("%+v %v", ready, err)
			}
			if err := b.Arrived(t.Context(), ready); err != nil {
				t.Fatal(err)
			}
			if before, err = a.Refresh(t.Context(), "hq"); err != nil || before.Shard != to || before.Moving != nil || !slices.Equal(before.Past, want) {
				t.Fatalf("arrived: %+v %v, want past %v", before, err, want)
			}
			if len(a.Moves(to)) != 0 {
				t.Fatal("a move that has ended goes on")
			}
		}
	})
}

// I6: what makes no sense changes nothing and says why.
func TestAMoveThatMakesNoSenseIsRefused(t *testing.T) {
	eachBucket(t, func(t *testing.T, kv bucket) {
		c := open(t, four, kv)
		defer c.Close()
		if _, err := c.Assign(t.Context(), "hq"); err != nil {
			t.Fatal(err)
		}
		for to, want := range map[int]error{0: catalog.ErrMove, 4: catalog.ErrMove, -1: catalog.ErrMove} {
			if _, err := c.MoveSite(t.Context(), "hq", to, 0); !errors.Is(err, want) {
				t.Errorf("to %d: %v", to, err)
			}
		}
		if _, err := c.MoveSite(t.Context(), "lab", 1, 0); !errors.Is(err, catalog.ErrUnknownSite) {
			t.Errorf("an unknown site: %v", err)
		}
		if _, err := c.MoveSite(t.Context(), "hq", 1, 99); !errors.Is(err, journal.ErrConflict) {
			t.Errorf("another revision: %v", err)
		}
		first, err := c.MoveSite(t.Context(), "hq", 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := c.MoveSite(t.Context(), "hq", 1, 0); err != nil || again.Revision != first.Revision {
			t.Errorf("the same again: %+v %v", again, err)
		}
		if _, err := c.MoveSite(t.Context(), "hq", 2, 0); !errors.Is(err, catalog.ErrMove) {
			t.Errorf("elsewhere while it moves: %v", err)
		}
	})
}
