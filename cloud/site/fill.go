package site

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
)

// fill fills the hole that taking over has left in this node's history, until
// stop is called. The oldest part comes first: it is the next that a full
// bucket or age would take, and of a hole that grows from above meanwhile the
// one end that moves is the lower.
func (h *shelf) fill(ctx context.Context) (stop func()) {
	return h.background(ctx, func(ctx context.Context) {
		f := &filler{shelf: h}
		for {
			hole := h.history.Hole(h.s.cfg.Shard)
			h.s.metrics.hole.Set(float64(hole.To - hole.After))
			if !hole.Open() {
				return
			}
			begin := time.Now()
			err := f.step(ctx, hole)
			if ctx.Err() != nil {
				return
			}
			// The disk is as much the live rows'.
			wait := time.Since(begin)
			if err != nil {
				h.s.log.Error("history can't be filled yet, it is tried again", "after", hole.After, "to", hole.To, "err", err)
				wait = partRetry
			}
			if pause(ctx, wait) != nil {
				return
			}
		}
	})
}

// filler knows what the bucket held when it looked last.
type filler struct {
	*shelf
	held  holding
	known bool // held is what the bucket holds
	fresh bool // and nothing was read since
	bad   []span
}

// step makes the hole smaller by a part, or by what no part has.
func (f *filler) step(ctx context.Context, hole history.Hole) error {
	if !f.known {
		if err := f.look(ctx); err != nil {
			return err
		}
	}
	if aged := f.held.aged; aged > hole.After {
		return f.pass(hole, aged)
	}
	at, ok := f.held.over(hole.After)
	if !ok {
		if !f.fresh { // parts may have been joined since
			f.known = false
			return nil
		}
		next, ok := f.held.behind(hole.After)
		if !ok || next > hole.To {
			next = hole.To
		}
		f.s.metrics.lost.Add(float64(next - hole.After))
		f.s.log.Error("history of this node lacks what neither the log nor a part has", "from", hole.After+1, "to", next)
		return f.pass(hole, next)
	}
	return f.take(ctx, at)
}

// look lists the bucket, but for parts that are of no use.
func (f *filler) look(ctx context.Context) error {
	held, err := f.listKnown(ctx)
	if err != nil {
		return err
	}
	for _, s := range f.bad {
		held.without(s)
	}
	f.held, f.known, f.fresh = held, true, true
	return nil
}

// pass leaves out what nobody has.
func (f *filler) pass(hole history.Hole, to uint64) error {
	return f.history.Fill(&history.Part{Shard: f.s.cfg.Shard, After: hole.After, To: to})
}

func (f *filler) take(ctx context.Context, at span) error {
	f.fresh = false
	data, err := f.objects.Get(ctx, at.name())
	if errors.Is(err, journal.ErrNotFound) {
		f.known = false
		return nil
	}
	if err != nil {
		return err
	}
	p, err := f.codec.Open(data)
	if err == nil && (p.Shard != f.s.cfg.Shard || p.After != at.after || p.To != at.to) {
		err = fmt.Errorf("%w: it is of shard %d after %d to %d", history.ErrPartDamaged, p.Shard, p.After, p.To)
	}
	if err == nil {
		err = f.history.Fill(p)
	}
	if errors.Is(err, history.ErrPartDamaged) {
		f.s.metrics.badParts.Inc()
		f.s.log.Error("part of history is of no use", "part", at.name(), "err", err)
		f.bad = append(f.bad, at)
		f.held.without(at)
		f.fresh = true
		return nil
	}
	return err
}
