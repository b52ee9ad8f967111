package site

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
)

// fill fills the hole that taking over has left in this node's history, and then
// what it lacks of sites that came from other shards, until stop is called.
func (h *shelf) fill(ctx context.Context) (stop func()) {
	return h.background(ctx, func(ctx context.Context) {
		h.fillHole(ctx)
		h.fillAdopted(ctx)
	})
}

// fillHole begins with the oldest part: it is the next that a full bucket or age
// would take, and of a hole that grows from above meanwhile the one end that
// moves is the lower.
func (h *shelf) fillHole(ctx context.Context) {
	f := h.holeFiller()
	for ctx.Err() == nil {
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
		_ = pause(ctx, wait)
	}
}

// errNotPut says that the owner of another shard has still to put the part.
var errNotPut = errors.New("no part reaches there yet")

// filler fills this node's history from the parts of one shard. It knows what
// the bucket held when it looked last.
type filler struct {
	*shelf
	shard int
	list  func(ctx context.Context) (held holding, end uint64, err error)
	get   func(ctx context.Context, name string) ([]byte, error)
	fill  func(*history.Part) error

	held  holding
	end   uint64 // what no part has up to here will never be put
	known bool   // held is what the bucket holds
	fresh bool   // and nothing was read since
	bad   []span
}

// holeFiller fills from this shard's own parts. What lies below the manifest
// that it began with was put before it, or never will be.
func (h *shelf) holeFiller() *filler {
	return &filler{
		shelf: h, shard: h.s.cfg.Shard, get: h.objects.Get, fill: h.history.Fill,
		list: func(ctx context.Context) (holding, uint64, error) {
			held, err := h.listKnown(ctx)
			return held, math.MaxUint64, err
		},
	}
}

// step makes the hole smaller by a part, or by what no part has. errNotPut.
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
	if ok {
		return f.take(ctx, at)
	}
	if !f.fresh { // parts may have been joined, or put, since
		f.known = false
		return nil
	}
	next := min(f.end, hole.To)
	if behind, ok := f.held.behind(hole.After); ok {
		next = min(behind, next)
	}
	if next <= hole.After {
		f.known = false
		return errNotPut
	}
	f.s.metrics.lost.Add(float64(next - hole.After))
	f.s.log.Error("history of this node lacks what neither the log nor a part has", "of shard", f.shard, "from", hole.After+1, "to", next)
	return f.pass(hole, next)
}

// look lists the bucket, but for parts that are of no use.
func (f *filler) look(ctx context.Context) error {
	held, end, err := f.list(ctx)
	if err != nil {
		return err
	}
	for _, s := range f.bad {
		held.without(s)
	}
	f.held, f.end, f.known, f.fresh = held, end, true, true
	return nil
}

// pass leaves out what nobody has.
func (f *filler) pass(hole history.Hole, to uint64) error {
	return f.fill(&history.Part{Shard: f.shard, After: hole.After, To: to})
}

func (f *filler) take(ctx context.Context, at span) error {
	f.fresh = false
	data, err := f.get(ctx, at.name())
	if errors.Is(err, journal.ErrNotFound) {
		f.known = false
		return nil
	}
	if err != nil {
		return err
	}
	p, err := f.codec.Open(data)
	if err == nil && (p.Shard != f.shard || p.After != at.after || p.To != at.to) {
		err = fmt.Errorf("%w: it is of shard %d after %d to %d", history.ErrPartDamaged, p.Shard, p.After, p.To)
	}
	if err == nil {
		err = f.fill(p)
	}
	if errors.Is(err, history.ErrPartDamaged) {
		f.s.metrics.badParts.Inc()
		f.s.log.Error("part of history is of no use", "of shard", f.shard, "part", at.name(), "err", err)
		f.bad = append(f.bad, at)
		f.held.without(at)
		f.fresh = true
		return nil
	}
	return err
}
