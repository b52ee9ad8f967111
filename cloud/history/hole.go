package history

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Hole is a range of a shard's messages at or below the position whose rows
// this store lacks: another node applied them. It shrinks from its lower end.
type Hole struct {
	After, To uint64 // journal sequences, exclusive and inclusive
}

// Open reports whether something is missing.
func (h Hole) Open() bool { return h.After < h.To }

// Hole returns what the store lacks of a shard.
func (s *Store) Hole(shard int) Hole {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sh := s.shards[shard]; sh != nil {
		return sh.hole
	}
	return Hole{}
}

// OpenHole moves the position of a shard to a message that another node has
// applied, and in the same batch says that the rows up to there are missing. A
// hole that is open already grows, over what this store has in between too:
// to fill that again rewrites it. At or below the position it does nothing.
func (s *Store) OpenHole(shard int, to uint64) error {
	sh, err := s.shard(shard)
	if err != nil {
		return fmt.Errorf("history: open hole: %w", err)
	}
	sh.writing.Lock()
	defer sh.writing.Unlock()
	hole := s.Hole(shard)
	switch position := s.Position(shard); {
	case to <= position:
		return nil
	case !hole.Open():
		hole.After = position
	}
	hole.To = to
	w := s.writer(shard)
	defer w.discard()
	err = w.setHole(hole)
	if err == nil {
		err = w.setPosition(to)
	}
	if err == nil {
		err = w.commit(func() { sh.position, sh.hole = to, hole })
	}
	if err != nil {
		return fmt.Errorf("history: shard %d: open hole to %d: %w", shard, to, err)
	}
	return nil
}

// Fill writes a part's rows, and then that the hole of its shard is smaller.
// The position stays. It may be cut short at any moment and repeated: the rows
// rewrite their keys. They age from when they were projected. An empty body
// says that nobody has what was there. A part that does not reach over the lower
// end of the hole is an error.
func (s *Store) Fill(p *Part) error {
	sh, err := s.shard(p.Shard)
	if err != nil {
		return fmt.Errorf("history: fill: %w", err)
	}
	sh.writing.Lock()
	defer sh.writing.Unlock()
	hole := s.Hole(p.Shard)
	err = hole.begins(p)
	if hole.After = min(p.To, hole.To); !hole.Open() {
		hole = Hole{}
	}
	if err == nil {
		err = s.fill(p, func(q *Projections) *Projections { return q },
			func(w *writer) error { return w.setHole(hole) },
			func() { sh.hole = hole })
	}
	if err != nil {
		return fmt.Errorf("history: fill shard %d after %d to %d: %w", p.Shard, p.After, p.To, err)
	}
	return nil
}

// begins refuses a part that does not reach over the lower end of the hole.
func (h Hole) begins(p *Part) error {
	if !h.Open() || p.After > h.After || p.To <= h.After {
		return fmt.Errorf("it is not at the end of the hole after %d to %d", h.After, h.To)
	}
	return nil
}

// fill writes what pick takes of a part's rows, and then a note that less is
// missing, of which the store learns. The shard's turn is held.
func (s *Store) fill(p *Part, pick func(*Projections) *Projections, note func(*writer) error, learn func()) error {
	w := s.writer(p.Shard)
	defer w.discard()
	w.age = max(0, time.Since(time.UnixMicro(p.Time)))
	aged := s.cfg.Retention != forever && w.age >= s.cfg.Retention
	err := p.Each(func(q *Projections) error {
		if q = pick(q); aged {
			q = &Projections{Series: q.Series} // which others may share
		}
		return w.all(q)
	})
	if err != nil {
		return err
	}
	if err := note(w); err != nil {
		return err
	}
	return w.commit(learn)
}

// setHole comes last in a write: rows that it says are there are then durable.
func (w *writer) setHole(h Hole) error {
	key := holeKey(w.shard)
	if !h.Open() {
		return w.remove(key)
	}
	return w.set(key, seal(h.append(nil), 0, key), forever)
}

func (h Hole) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, h.After), h.To)
}

func parseHole(b []byte) (Hole, error) {
	if len(b) != 16 {
		return Hole{}, fmt.Errorf("a range of %d bytes", len(b))
	}
	return Hole{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, nil
}

func (s *Store) loadHoles(txn *badger.Txn) error {
	return scan(txn, []byte{keyHole}, func(key, value []byte) error {
		body, err := unseal(key, value)
		if err != nil {
			return fmt.Errorf("hole: %w", err)
		}
		hole, err := parseHole(body)
		if err == nil && len(key) != 3 {
			err = fmt.Errorf("key of %d bytes", len(key))
		}
		if err != nil {
			return fmt.Errorf("hole: %w", err)
		}
		n := int(binary.BigEndian.Uint16(key[1:]))
		sh := s.shards[n]
		if sh == nil {
			return fmt.Errorf("hole: shard %d has no position", n)
		}
		sh.hole = hole
		return nil
	})
}
