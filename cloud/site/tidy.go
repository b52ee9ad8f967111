package site

import (
	"context"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/history"
)

const (
	// joinParts is how many small parts that follow each other become one. A
	// quiet shard leaves one a snapshot, and to list a bucket takes a while for
	// each object.
	joinParts = 16
	// joinBelow is the size of an object from which a part is not small. One that
	// grows up to it is written again at most once in joinParts snapshots.
	joinBelow = 256 << 10
	// ageEvery is how often parts are looked through for old ones.
	ageEvery = 10 * time.Minute
)

// tidy joins small parts and removes old ones, now and then. What fails is tried
// again the next time.
func (h *shelf) tidy(ctx context.Context) {
	if h.small++; h.small >= joinParts {
		h.small = 0
		if err := h.join(ctx); err != nil && ctx.Err() == nil {
			h.s.log.Warn("small parts of history could not be joined", "err", err)
		}
	}
	if keep := h.s.cfg.Retention; keep > 0 && time.Since(h.aged) >= ageEvery {
		h.aged = time.Now()
		if err := h.age(ctx, h.aged.Add(-keep)); err != nil && ctx.Err() == nil {
			h.s.log.Warn("old parts of history could not be removed", "err", err)
		}
	}
}

// joinable returns small parts that follow each other without a gap, or none.
func joinable(parts []span) []span {
	begin := 0
	for i, s := range parts {
		switch {
		case s.size >= joinBelow:
			begin = i + 1
		case i > begin && s.after != parts[i-1].to:
			begin = i
		case i-begin+1 == joinParts:
			return parts[begin : i+1]
		}
	}
	return nil
}

// join makes one part of small ones: first it is there, then they are not.
func (h *shelf) join(ctx context.Context) error {
	held, err := h.listKnown(ctx)
	if err != nil {
		return err
	}
	run := joinable(held.parts)
	if run == nil {
		return nil
	}
	all := history.Part{Shard: h.s.cfg.Shard, After: run[0].after, To: run[len(run)-1].to}
	for _, s := range run {
		data, err := h.objects.Get(ctx, s.name())
		if err != nil {
			return err
		}
		p, err := h.codec.Open(data)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name(), err)
		}
		all.Body, all.Time = append(all.Body, p.Body...), max(all.Time, p.Time)
	}
	if err := h.put(ctx, &all); err != nil {
		return err
	}
	for _, s := range run {
		if err := h.objects.Delete(ctx, s.name()); err != nil {
			return err
		}
	}
	h.s.metrics.partsJoined.Add(float64(len(run)))
	return nil
}

// age removes parts that were put before a time. Before that it is written down
// that they were: what has aged away is not lost.
func (h *shelf) age(ctx context.Context, before time.Time) error {
	held, err := h.listKnown(ctx)
	if err != nil {
		return err
	}
	var old []span
	last := held.aged
	for _, s := range held.parts {
		if s.at.Before(before) {
			old, last = append(old, s), max(last, s.to)
		}
	}
	if len(old) == 0 {
		return nil
	}
	if err := h.objects.Put(ctx, agedName(last), []byte{0}); err != nil {
		return err
	}
	for _, s := range old {
		if err := h.objects.Delete(ctx, s.name()); err != nil {
			return err
		}
	}
	if held.aged != 0 && held.aged != last {
		return h.objects.Delete(ctx, agedName(held.aged))
	}
	return nil
}
