package site

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
)

// apply takes one message, record by record. The states stand at its end when
// it returns nil.
func (s *Shard) apply(ctx context.Context, m journal.Message) error {
	if m.Seq != s.applied+1 {
		return fmt.Errorf("apply: message %d after %d: %w", m.Seq, s.applied, journal.ErrGap)
	}
	s.now = max(s.now, m.Time.UnixMicro())
	before := s.pending.Extent()
	for i := range m.Records {
		pos := journal.Position{Seq: m.Seq, Index: i}
		if err := s.applyRecord(ctx, pos, &m.Records[i]); err != nil {
			return fmt.Errorf("apply %d/%d: %w", m.Seq, i, err)
		}
	}
	s.applied = m.Seq
	s.late.reached(m.Seq)
	s.delay.applied(m.Seq)
	s.batched++
	s.sinceSnap++
	s.metrics.applied.Set(float64(m.Seq))
	s.release()
	if err := s.shelf.collect(ctx, s.pending.Since(before)); err != nil {
		return err
	}
	if m.Seq <= s.history.Position(s.cfg.Shard) {
		s.pending.Reset() // replay of what history holds
	}
	if s.batched >= batchMessages || s.pending.Size() >= batchBytes {
		return s.flush()
	}
	return nil
}

func (s *Shard) applyRecord(ctx context.Context, pos journal.Position, rec *journal.Record) error {
	s.metrics.record(rec.Kind)
	switch rec.Kind {
	case journal.KindMark:
		return nil // what is ahead of it counts: Passed
	case journal.KindDeparture:
		return s.depart(pos, rec)
	case journal.KindArrival:
		return s.arrive(ctx, pos, rec)
	}
	if late, err := s.passOn(ctx, pos, rec); late {
		return err
	}
	switch rec.Kind {
	case journal.KindHello, journal.KindBind, journal.KindSchema, journal.KindClock, journal.KindFrame, journal.KindGap, journal.KindResult:
		gw, err := id.ParseGateway(rec.Origin)
		if err != nil {
			return err
		}
		return s.toSite(ctx, rec.Site, record{pos: pos, kind: rec.Kind, gateway: gw.Name, body: rec.Body})
	case journal.KindTick, journal.KindDocument, journal.KindIntent, journal.KindOutbox:
		if rec.Kind == journal.KindTick {
			s.ticking = false
		}
		return s.toSite(ctx, rec.Site, record{pos: pos, kind: rec.Kind, body: rec.Body})
	case journal.KindBarrier:
		return s.barrier(ctx, pos, rec.Body)
	case journal.KindSnapshot:
		_, err := journal.ParseSnapshot(rec.Body)
		return err
	case journal.KindSkip:
		_, err := journal.ParseSkip(rec.Body) // in force since recovery or since the failure
		return err
	default:
		return fmt.Errorf("record of %v: a newer version wrote it, upgrade this node", rec.Kind)
	}
}

// barrier ends this owner if it is a later one's, and otherwise tells the
// sites of a new owner that silence counts from now on.
func (s *Shard) barrier(ctx context.Context, pos journal.Position, body []byte) error {
	b, err := journal.ParseBarrier(body)
	if err != nil {
		return err
	}
	s.owner.Observe(b)
	if err := s.owner.Err(); err != nil {
		return err
	}
	if b.Compare(journal.Barrier{Incarnation: s.incarnation, Epoch: s.epoch}) <= 0 {
		return nil // published again before a purge
	}
	s.incarnation, s.epoch = b.Incarnation, b.Epoch
	for _, name := range s.names() {
		if err := s.turn(ctx, s.sites[name], record{pos: pos, kind: journal.KindBarrier, wake: true}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Shard) names() []id.Site { return slices.Sorted(maps.Keys(s.sites)) }

// toSite gives a record to its site, which begins to exist with it.
func (s *Shard) toSite(ctx context.Context, name id.Site, rec record) error {
	st, ok := s.sites[name]
	if !ok {
		if len(s.sites) >= MaxSites {
			s.metrics.dead.Inc()
			s.pending.Dead = append(s.pending.Dead, deadLetter(name, message{now: s.now, rec: rec},
				fmt.Sprintf("limit: site %s would be more than %d of the shard", name, MaxSites)))
			return nil
		}
		var err error
		if st, err = newSite(name, s.actors, &s.marks, &s.work); err != nil {
			return err
		}
		s.sites[name] = st
	}
	if rec.pos.Seq <= st.cursor {
		return nil
	}
	return s.turn(ctx, st, rec)
}

// turn runs a record; one that makes the site fail is taken out.
func (s *Shard) turn(ctx context.Context, st *site, rec record) error {
	rec.skipped = s.skips[skipKey{st.id, rec.pos}]
	if rec.skipped && rec.wake {
		return nil
	}
	err := st.turn(s.now, rec, &s.pending)
	if err != nil {
		return s.takeOut(ctx, st, rec, err)
	}
	s.readings += uint64(st.totals.readings)
	s.metrics.turn(&st.totals)
	s.act(st)
	return nil
}

// flush writes what is pending to history, with the position.
func (s *Shard) flush() error {
	if s.batched == 0 {
		return nil
	}
	begin := time.Now()
	if err := s.history.Write(s.cfg.Shard, s.applied, &s.pending); err != nil {
		return err
	}
	s.metrics.historyWrite.Observe(time.Since(begin).Seconds())
	s.pending.Reset()
	s.batched = 0
	return nil
}

// discard is where a reload's projections go: history has them.
func discard() *history.Projections { return new(history.Projections) }
