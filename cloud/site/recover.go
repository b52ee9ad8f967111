package site

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// maxRecoveries bounds how often recovery begins again because the log was
// purged under it: each time a newer snapshot exists.
const maxRecoveries = 3

// errUnread says that an object is there and could not be read, or is whole and
// of another program's format: it is no damage.
var errUnread = errors.New("can't be read")

// recoverAgain recovers, from a newer snapshot where the log was purged while
// the one before was read.
func (s *Shard) recoverAgain(ctx context.Context) error {
	for try := 1; ; try++ {
		err := s.recover(ctx)
		if !errors.Is(err, journal.ErrGap) || try == maxRecoveries {
			return err
		}
		s.log.Warn("the log is not dense, recovering again", "err", err)
		s.reset()
	}
}

// reset forgets all state, for a recovery from the beginning.
func (s *Shard) reset() {
	s.endWatches()
	s.closeSites()
	s.serving = false
	clear(s.sent)
	clear(s.copies)
	s.pending.Reset()
	s.batched, s.sinceSnap, s.ticking = 0, 0, false
	s.held, s.mover.arrivals = nil, nil
	clear(s.mover.published)
	s.applied, s.now, s.incarnation, s.epoch, s.last = 0, 0, 0, 0, nil
}

// recover brings the state to the owner's barrier: the newest usable manifest
// at or below it, then dense replay. Skip records are collected first, since
// they stand behind what they take out.
func (s *Shard) recover(ctx context.Context) error {
	token := s.owner.Token()
	if err := s.load(ctx, token); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	if err := s.findStart(ctx, token); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	s.origin = s.applied
	s.shelf.begin()
	for _, st := range s.sites {
		if err := s.adoptHistory(st); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
	}
	err := s.each(ctx, token, func(m journal.Message) error { return s.collectSkips(&m) })
	if err != nil {
		return fmt.Errorf("recover: look for skips: %w", err)
	}
	if err := s.each(ctx, token, func(m journal.Message) error { return s.apply(ctx, m) }); err != nil {
		return fmt.Errorf("recover: replay: %w", err)
	}
	return s.flush()
}

// load restores the newest manifest that is whole. One above what history
// holds is used if parts have what lies between, or if there is no other:
// history would lack it. Where none can be used, one could not be read and the log was
// purged, that is an error: a store that does not answer in time, or a newer
// program's snapshot, is no reason to begin from nothing.
func (s *Shard) load(ctx context.Context, token uint64) error {
	objects, err := s.objects.List(ctx)
	if err != nil {
		return err
	}
	var seqs []uint64
	for _, o := range objects {
		if seq, ok := manifestSeq(o.Name); ok && seq <= token {
			seqs = append(seqs, seq)
		}
	}
	first, _, err := s.journal.Bounds(ctx)
	if err != nil {
		return err
	}
	parts, err := s.shelf.list(ctx, token)
	if err != nil {
		return err
	}
	position := s.history.Position(s.cfg.Shard)
	lossless := func(seq uint64) bool {
		if seq <= position {
			return first <= seq+1
		}
		return parts.cover(position, seq)
	}
	slices.SortFunc(seqs, func(a, b uint64) int { // lossless ones first, newest first
		if l := lossless(a); l != lossless(b) {
			if l {
				return -1
			}
			return 1
		}
		return cmp.Compare(b, a)
	})
	var unread error
	for _, seq := range seqs {
		err := s.loadManifest(ctx, seq)
		if err == nil {
			return s.passOver(position, seq)
		}
		if ctx.Err() != nil {
			return err
		}
		s.metrics.badSnapshots.Inc()
		s.log.Error("snapshot is of no use, an older one is tried", "manifest", seq, "err", err)
		s.closeSites()
		if errors.Is(err, errUnread) {
			unread = errors.Join(unread, err)
		}
	}
	if unread == nil {
		return nil
	}
	if first <= 1 {
		return nil // the log itself holds everything
	}
	return unread
}

// passOver goes on behind messages that this node's history lacks and the log
// is not asked for. Where parts are kept they are filled in while the shard
// serves, and what is lost is known then.
func (s *Shard) passOver(position, seq uint64) error {
	if seq <= position {
		return nil
	}
	if s.shelf != nil {
		return s.shelf.history.OpenHole(s.cfg.Shard, seq)
	}
	s.metrics.lost.Add(float64(seq - position))
	s.log.Error("history of this node lacks what the log no longer has", "from", position+1, "to", seq)
	return nil
}

// get reads an object. An error other than its absence says nothing about what
// the object holds.
func (s *Shard) get(ctx context.Context, name string) ([]byte, error) {
	data, err := s.objects.Get(ctx, name)
	if err != nil && !errors.Is(err, journal.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", errUnread, err)
	}
	return data, err
}

func (s *Shard) loadManifest(ctx context.Context, seq uint64) error {
	data, err := s.get(ctx, manifestName(seq))
	if err != nil {
		return err
	}
	m, err := s.codec.decodeManifest(data)
	if err != nil {
		return fmt.Errorf("%s: %w", manifestName(seq), err)
	}
	if m.Seq != seq || m.Shard != s.cfg.Shard {
		return fmt.Errorf("%s: is of shard %d at %d", manifestName(seq), m.Shard, m.Seq)
	}
	for _, e := range m.Sites {
		data, err := s.get(ctx, e.Object)
		if err != nil {
			return err
		}
		snap, err := s.codec.open(e, data)
		if err != nil {
			return err
		}
		if snap.Gone != nil {
			s.departed[e.Site] = &departed{gone: *snap.Gone, object: e}
			continue
		}
		st, err := snap.make(e, s.actors, &s.marks, &s.work)
		if err != nil {
			return err
		}
		s.sites[e.Site] = st
		st.cursor = m.Seq
	}
	s.last, s.applied, s.now, s.incarnation, s.epoch = m, m.Seq, m.Now, m.Incarnation, m.Epoch
	return nil
}

// findStart checks that the log continues at what was loaded. Where it does
// not, what lies between is lost: the runs' own sequences will show it, and it
// is reported here.
func (s *Shard) findStart(ctx context.Context, token uint64) error {
	first, last, err := s.journal.Bounds(ctx)
	if err != nil {
		return err
	}
	if last < token {
		return fmt.Errorf("the log ends at %d, before the barrier at %d: %w", last, token, journal.ErrGap)
	}
	if first > s.applied+1 {
		s.metrics.lost.Add(float64(first - s.applied - 1))
		s.log.Error("the log lacks messages that no snapshot holds", "from", s.applied+1, "to", first-1)
		s.applied = first - 1
	}
	return nil
}

// each calls f with every message after applied up to token.
func (s *Shard) each(ctx context.Context, token uint64, f func(journal.Message) error) error {
	next := s.applied + 1
	if next > token {
		return nil
	}
	r, err := s.journal.Read(ctx, next)
	if err != nil {
		return err
	}
	defer r.Close()
	for ; next <= token; next++ {
		m, err := r.Next(ctx)
		if err != nil {
			return err
		}
		if err := f(m); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shard) collectSkips(m *journal.Message) error {
	for i := range m.Records {
		if rec := &m.Records[i]; rec.Kind == journal.KindSkip {
			skip, err := journal.ParseSkip(rec.Body)
			if err != nil {
				return err
			}
			s.skips[skipKey{rec.Site, skip.Position}] = true
		}
	}
	return nil
}
