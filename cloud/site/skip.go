package site

import (
	"context"
	"errors"
	"fmt"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
)

// reasonFailed is the reason in a skip record: the site's turn panicked or
// needed too many messages.
const reasonFailed = 1

// skipKey names a record for one site: a barrier is a turn of every site.
type skipKey struct {
	site id.Site
	pos  journal.Position
}

// takeOut goes on without a record that made its site fail: the site is read
// again from its last snapshot and the log up to that record, the record is
// accounted for (a dead letter and, if it has sequences, a ledger entry) and a
// fenced skip record tells replay to do the same.
func (s *Shard) takeOut(ctx context.Context, st *site, rec record, cause error) error {
	s.metrics.failures.Inc()
	attrs := []any{"site", st.id, "seq", rec.pos.Seq, "index", rec.pos.Index, "kind", rec.kind, "err", cause}
	var p *actor.PanicError
	if errors.As(cause, &p) {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	s.log.Error("site failed on a record, which is skipped", attrs...)
	fresh, err := s.reload(ctx, st, rec.pos)
	if err != nil {
		return fmt.Errorf("reload site %s: %w", st.id, err)
	}
	s.skips[skipKey{st.id, rec.pos}] = true
	s.keeper.add(skipRecord(s.cfg.Node, st, rec.pos))
	rec.skipped = true
	if rec.wake {
		return nil // nothing is lost but a later alarm
	}
	if err := fresh.turn(s.now, rec, &s.pending); err == nil {
		s.metrics.turn(&fresh.totals)
		return nil
	}
	// Even the accounting fails: keep the bytes, and leave the state before.
	if fresh, err = s.reload(ctx, fresh, rec.pos); err != nil {
		return fmt.Errorf("reload site %s: %w", st.id, err)
	}
	s.metrics.dead.Inc()
	s.pending.Dead = append(s.pending.Dead, deadLetter(fresh.id, message{now: s.now, rec: rec}, "skipped: the site failed on this record"))
	return nil
}

func skipRecord(node string, st *site, pos journal.Position) journal.Record {
	skip := journal.Skip{Position: pos, Reason: reasonFailed}
	return journal.Record{Kind: journal.KindSkip, Origin: node, Site: st.id, Body: skip.Append(nil)}
}

// reload replaces a site by what its last snapshot and the log before pos
// make of it. Projections are not kept: they are in history or pending.
func (s *Shard) reload(ctx context.Context, old *site, pos journal.Position) (*site, error) {
	if err := old.close(); err != nil {
		return nil, err
	}
	from := uint64(0)
	fresh, err := (*site)(nil), error(nil)
	now, incarnation, epoch := int64(0), uint64(0), uint64(0)
	if m := s.last; m != nil {
		from, now, incarnation, epoch = m.Seq, m.Now, m.Incarnation, m.Epoch
		if e, ok := m.entry(old.id); ok {
			data, err := s.objects.Get(ctx, e.Object)
			if err != nil {
				return nil, err
			}
			fresh, err = s.codec.restore(e, data, s.actors, &s.marks, &s.work)
			if err != nil && !errors.Is(err, errGone) { // it has come back since
				return nil, err
			}
		}
	}
	if fresh == nil {
		if fresh, err = newSite(old.id, s.actors, &s.marks, &s.work); err != nil {
			return nil, err
		}
	}
	fresh.dirty = true
	s.sites[old.id] = fresh
	replay := &replayOne{shard: s, site: fresh, now: now, incarnation: incarnation, epoch: epoch}
	err = replay.to(ctx, max(from, s.origin)+1, pos)
	replay.site.totals = totals{} // they were counted when they were applied first
	return replay.site, err
}

// replayOne replays one site's records into it.
type replayOne struct {
	shard              *Shard
	site               *site
	now                int64
	incarnation, epoch uint64
	met                bool // the site existed in the log before: barriers count
	away               bool // it has left the shard, and not come back yet
}

func (r *replayOne) to(ctx context.Context, from uint64, pos journal.Position) error {
	r.met = r.site.object.Object != ""
	reader, err := r.shard.journal.Read(ctx, from)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		if from > pos.Seq {
			return nil
		}
		m, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		r.now = max(r.now, m.Time.UnixMicro())
		for i := range m.Records {
			at := journal.Position{Seq: m.Seq, Index: i}
			rec := &m.Records[i]
			if rec.Site == r.site.id && (rec.Kind == journal.KindDeparture || rec.Kind == journal.KindArrival) {
				if err := r.moved(ctx, at, rec); err != nil {
					return err
				}
			}
			if at == pos {
				return nil
			}
			if err := r.record(at, rec); err != nil {
				return err
			}
		}
		from = m.Seq + 1
	}
}

// moved takes the site away, or puts it in place as it came from another shard:
// the turn at whose place that is may be the one that failed.
func (r *replayOne) moved(ctx context.Context, at journal.Position, rec *journal.Record) error {
	if rec.Kind == journal.KindDeparture {
		m, err := journal.ParseDeparture(rec.Body)
		if err != nil || r.away || m.Revision <= r.site.since {
			return err
		}
		r.away = true
		return nil
	}
	m, err := journal.ParseArrival(rec.Body)
	if err != nil || m.Revision <= r.site.since {
		return err
	}
	if err := r.site.close(); err != nil {
		return err
	}
	fresh, now, err := r.shard.install(ctx, at, rec.Site, &m)
	if err != nil {
		return err
	}
	r.shard.sites[rec.Site], r.site = fresh, fresh
	r.now, r.away, r.met = max(r.now, now), false, false
	return nil
}

func (r *replayOne) record(at journal.Position, rec *journal.Record) error {
	one := record{pos: at, kind: rec.Kind, body: rec.Body, skipped: r.shard.skips[skipKey{r.site.id, at}]}
	switch {
	case rec.Kind == journal.KindMark || rec.Kind == journal.KindDeparture:
		return nil
	case rec.Kind == journal.KindArrival:
		if one.wake = true; rec.Site != r.site.id || one.skipped || r.met || r.away {
			return nil // of another, or an old one again
		}
	case r.away && rec.Kind != journal.KindBarrier:
		return nil
	case rec.Kind == journal.KindBarrier:
		b, err := journal.ParseBarrier(rec.Body)
		if err != nil {
			return err
		}
		if b.Compare(journal.Barrier{Incarnation: r.incarnation, Epoch: r.epoch}) <= 0 {
			return nil
		}
		r.incarnation, r.epoch = b.Incarnation, b.Epoch
		if one.wake = true; !r.met || one.skipped || r.away {
			return nil
		}
	case rec.Site != r.site.id || rec.Kind == journal.KindSkip:
		return nil
	case rec.Kind.FromGateway():
		one.gateway = rec.Origin[len(rec.Site)+1:]
	}
	r.met = true
	return r.site.turn(r.now, one, discard())
}
