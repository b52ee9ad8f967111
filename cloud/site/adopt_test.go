package site

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/id"
)

// Adopt implements Holes, of a node that never had the other shard.
func (h *movable) Adopt(site id.Site, from int, to uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.adopted == nil {
		h.adopted = make(map[history.Adoption]history.Hole)
	}
	of := history.Adoption{Site: site, Shard: from}
	note := h.adopted[of]
	note.To = max(note.To, to)
	h.adopted[of] = note
	return nil
}

// Adoptions implements Holes.
func (h *movable) Adoptions() (all []history.Adoption) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for a, note := range h.adopted {
		if note.Open() {
			all = append(all, history.Adoption{Site: a.Site, Shard: a.Shard, After: note.After, To: note.To})
		}
	}
	return all
}

// FillSite implements Holes, for a shard of one site.
func (h *movable) FillSite(p *history.Part, site id.Site) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	of := history.Adoption{Site: site, Shard: p.Shard}
	note := h.adopted[of]
	if !note.Open() || p.After > note.After || p.To <= note.After {
		return fmt.Errorf("a part after %d to %d does not fit %v", p.After, p.To, note)
	}
	if err := p.Each(func(q *history.Projections) error { h.put(q); return nil }); err != nil {
		return err
	}
	if err := h.stop; err != nil {
		h.stop = nil
		return err
	}
	note.After = min(p.To, note.To)
	h.adopted[of] = note
	return nil
}

// newHome is the owner of shard 1, to which the sites of a roundabout's shard 0
// move.
func newHome(t *testing.T, r *roundabout, h *movable) *shelf {
	t.Helper()
	s, err := New(Config{Shard: 1, Node: "node"}, Parts{
		History: h, Parts: journaltest.NewMem(journaltest.Config{}).Objects(1),
		PartsOf: func(int) Objects { return r.parts }, Actors: r.system,
	}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.shelf
}

// I1: the rows of a site's time in its former shard come whole, whenever the fill
// is cut short and begins again.
func TestASiteThatMovedBringsItsRows(t *testing.T) {
	r, had := newCarousel(t, 40), newMovable(t)
	r.keptBy(t, had, 40, 10, 300)
	h := newMovable(t)
	s := newHome(t, r, h)
	if err := s.adopt("hq", 0, 40); err != nil {
		t.Fatal(err)
	}
	fillers := make(map[int]*filler)
	for n := 0; ; n++ {
		if n%2 == 0 {
			h.stop = errPower
		}
		if n%3 == 0 {
			clear(fillers) // as after a restart
		}
		more, err := s.fillSites(t.Context(), fillers)
		if err != nil && !errors.Is(err, errPower) || n > 1000 {
			t.Fatal(n, err)
		}
		if !more {
			break
		}
	}
	if n := counted(s.s.metrics.lost); !h.equal(had.memHistory) || n != 0 {
		t.Fatalf("%d rows, want %d; %v lost", len(h.rows), len(had.rows), n)
	}
}

// I1: what the former shard's owner has applied and not put yet is not lost. It is
// waited for; a site that left is not.
func TestRowsThatAreNotPutYetAreWaitedFor(t *testing.T) {
	r, had := newCarousel(t, 40), newMovable(t)
	r.keptBy(t, had, 25, 10, 1<<20)
	h := newMovable(t)
	s := newHome(t, r, h)
	if err := s.adopt("hq", 0, 40); err != nil {
		t.Fatal(err)
	}
	fillers := make(map[int]*filler)
	fill := func() (more bool, err error) {
		for n := 0; n < 20; n++ {
			if more, err = s.fillSites(t.Context(), fillers); !more || err != nil {
				break
			}
		}
		return more, err
	}
	if more, err := fill(); !more || !errors.Is(err, errNotPut) || counted(s.s.metrics.lost) != 0 || len(h.rows) == 0 {
		t.Fatalf("more %t, %v, %d rows, %v lost", more, err, len(h.rows), counted(s.s.metrics.lost))
	}
	s.letGo("hq")
	if more, err := fill(); more || err != nil {
		t.Fatalf("a site that is elsewhere: %t, %v", more, err)
	}
	if err := s.adopt("hq", 0, 40); err != nil {
		t.Fatal(err)
	}
	l := r.own(t, had, 1<<20)
	for l.goOn(t) {
	}
	if err := l.keep(t); err != nil {
		t.Fatal(err)
	}
	l.end()
	if more, err := fill(); more || err != nil || !h.equal(had.memHistory) {
		t.Fatalf("more %t, %v, %d rows, want %d", more, err, len(h.rows), len(had.rows))
	}
}

// What a part had that is damaged or gone is counted, and the rest comes.
func TestADamagedPartOfTheFormerShardIsCountedAndTheRestComes(t *testing.T) {
	for _, damaged := range []bool{true, false} {
		r, had := newCarousel(t, 40), newMovable(t)
		r.keptBy(t, had, 40, 10, 300)
		parts := r.held(t).parts
		for _, gone := range []span{parts[1], parts[len(parts)-1]} {
			var err error
			if damaged {
				err = r.parts.Put(t.Context(), gone.name(), []byte("not a part"))
			} else if gone != parts[len(parts)-1] { // an owner that puts none is waited for
				err = r.parts.Delete(t.Context(), gone.name())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		h := newMovable(t)
		s := newHome(t, r, h)
		if err := s.adopt("hq", 0, 40); err != nil {
			t.Fatal(err)
		}
		fillers := make(map[int]*filler)
		for n := 0; ; n++ {
			more, err := s.fillSites(t.Context(), fillers)
			if err != nil || n > 1000 {
				t.Fatal(n, err)
			}
			if !more {
				break
			}
		}
		want := parts[1].to - parts[0].to
		if damaged {
			want += parts[len(parts)-1].to - parts[len(parts)-2].to
		}
		if n := counted(s.s.metrics.lost); n != float64(want) || len(h.rows)+int(want) != len(had.rows) {
			t.Fatalf("%v lost, %d rows of %d, want %d lost", n, len(h.rows), len(had.rows), want)
		}
	}
}

// It fills beside a shard that serves, and begins when a site comes.
func TestAnOwnerFillsTheRowsOfASiteThatCame(t *testing.T) {
	r, had := newCarousel(t, 40), newMovable(t)
	r.keptBy(t, had, 40, 10, 300)
	synctest.Test(t, func(t *testing.T) {
		h := newMovable(t)
		s := newHome(t, r, h)
		stop := s.fill(context.Background())
		for _, site := range []id.Site{"hq", "lab"} {
			time.Sleep(time.Minute)
			if err := s.adopt(site, 0, 40); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		stop()
		if !h.equal(had.memHistory) || len(h.Adoptions()) != 0 {
			t.Fatalf("%d rows, it still wants %v", len(h.rows), h.Adoptions())
		}
		if got := slices.Sorted(maps.Keys(s.adopted)); !slices.Equal(got, []id.Site{"hq", "lab"}) {
			t.Fatalf("it fills for %v", got)
		}
	})
}
