package history

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/atrium-iot/atrium/shared/id"
)

// Adoption is what this store lacks of a site that came from another shard: its
// rows of that shard's messages after one and up to another. It shrinks from its
// lower end.
type Adoption struct {
	Site      id.Site
	Shard     int    // that the site came from
	After, To uint64 // journal sequences, exclusive and inclusive
}

// lacks returns what of a range is not here: of the hole, and of what lies
// beyond the position. Between the two there may be messages that are.
func (sh *shardState) lacks(r Hole) Hole {
	if h := sh.hole; h.Open() && h.After < r.To && h.To > r.After {
		r.After = max(r.After, h.After)
		if r.To <= sh.position {
			r.To = min(r.To, h.To)
		}
		return r
	}
	r.After = max(r.After, sh.position)
	if !r.Open() {
		return Hole{}
	}
	return r
}

// Adopt notes durably that the rows of a site are wanted that messages of the
// shard from, up to one, left. Nothing is noted of what this store has. It may be
// repeated, and with a later message after the site was there again: what was
// filled in is not wanted twice.
func (s *Store) Adopt(site id.Site, from int, to uint64) error {
	sh, err := s.shard(from)
	if err != nil {
		return fmt.Errorf("history: adopt: %w", err)
	}
	sh.writing.Lock()
	defer sh.writing.Unlock()
	s.mu.Lock()
	note, noted := s.adopted[site][from]
	lacks := sh.lacks(Hole{note.After, to})
	s.mu.Unlock()
	if to <= note.To || !noted && !lacks.Open() {
		return nil
	}
	if !noted {
		note.After = lacks.After
	}
	note.To = to
	w := s.writer(from)
	defer w.discard()
	err = w.setAdopted(site, note)
	if err == nil {
		err = w.commit(func() { s.noteAdopted(site, from, note) })
	}
	if err != nil {
		return fmt.Errorf("history: adopt site %s of shard %d up to %d: %w", site, from, to, err)
	}
	return nil
}

// Adoptions returns what is still wanted, by shard and then by the lower end. What
// the store got as an owner of the shard it came from is no longer.
func (s *Store) Adoptions() []Adoption {
	var all []Adoption
	s.mu.Lock()
	for site, notes := range s.adopted {
		for from := range notes {
			if lacks := s.wants(site, from); lacks.Open() {
				all = append(all, Adoption{site, from, lacks.After, lacks.To})
			}
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Adoption) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.After, b.After), cmp.Compare(a.Site, b.Site))
	})
	return all
}

// Lacks reports whether rows are known to be missing here of a site that is in a
// shard: of that shard, or of those where it was before.
func (s *Store) Lacks(site id.Site, shard int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.shards[shard]; sh != nil && sh.hole.Open() {
		return true
	}
	for from := range s.adopted[site] {
		if s.wants(site, from).Open() {
			return true
		}
	}
	return false
}

// wants is what is left of an adoption. Store.mu is held.
func (s *Store) wants(site id.Site, from int) Hole {
	note, ok := s.adopted[site][from]
	if !ok {
		return Hole{}
	}
	return s.shards[from].lacks(note)
}

// FillSite is Fill for an adoption: it writes what a part of the shard from which
// a site came has of the site, and then that less of it is wanted.
func (s *Store) FillSite(p *Part, site id.Site) error {
	sh, err := s.shard(p.Shard)
	if err != nil {
		return fmt.Errorf("history: fill site: %w", err)
	}
	sh.writing.Lock()
	defer sh.writing.Unlock()
	s.mu.Lock()
	lacks, note := s.wants(site, p.Shard), s.adopted[site][p.Shard]
	s.mu.Unlock()
	err = lacks.begins(p)
	if note.After = min(p.To, note.To); err == nil {
		err = s.fill(p, func(q *Projections) *Projections { return q.of(site) },
			func(w *writer) error { return w.setAdopted(site, note) },
			func() { s.noteAdopted(site, p.Shard, note) })
	}
	if err != nil {
		return fmt.Errorf("history: fill site %s of shard %d after %d to %d: %w", site, p.Shard, p.After, p.To, err)
	}
	return nil
}

// of returns what is a site's. It takes p's memory.
func (p *Projections) of(site id.Site) *Projections {
	return &Projections{
		Series:  only(p.Series, func(e *Series) bool { return e.Device.Site == site }),
		Rows:    only(p.Rows, func(e *Row) bool { return e.Device.Site == site }),
		Ledger:  only(p.Ledger, func(e *Entry) bool { return e.Site == site }),
		Dead:    only(p.Dead, func(e *DeadLetter) bool { return e.Site == site }),
		Windows: only(p.Windows, func(e *Window) bool { return e.Site == site }),
		Alarms:  only(p.Alarms, func(e *AlarmEntry) bool { return e.Site == site }),
	}
}

func only[E any](all []E, want func(*E) bool) []E {
	return slices.DeleteFunc(all, func(e E) bool { return !want(&e) })
}

// noteAdopted makes a note the store's. Store.mu is held.
func (s *Store) noteAdopted(site id.Site, from int, note Hole) {
	if s.adopted[site] == nil {
		s.adopted[site] = make(map[int]Hole)
	}
	s.adopted[site][from] = note
}

// setAdopted comes last in a write, as setHole does. A note of which nothing is
// left stays: it says up to where the rows are here.
func (w *writer) setAdopted(site id.Site, note Hole) error {
	key := adoptedKey(site, w.shard)
	return w.set(key, seal(note.append(nil), 0, key), forever)
}

func (s *Store) loadAdopted(txn *badger.Txn) error {
	return scan(txn, []byte{keyAdopted}, func(key, value []byte) error {
		body, err := unseal(key, value)
		if err != nil {
			return fmt.Errorf("adoption: %w", err)
		}
		note, err := parseHole(body)
		if at := len(key) - 3; err == nil && (at < 1 || key[at] != 0) {
			err = errors.New("a key without site and shard")
		}
		if err != nil {
			return fmt.Errorf("adoption: %w", err)
		}
		from := int(binary.BigEndian.Uint16(key[len(key)-2:]))
		if s.shards[from] == nil {
			s.shards[from] = new(shardState)
		}
		s.noteAdopted(id.Site(key[1:len(key)-3]), from, note)
		return nil
	})
}
