package buffer

import "errors"

// A gateway that is offline for days commits a few hundred bytes a second. As
// one segment each they would fill the index long before the disk, so runs of
// small ones are written again as one.
const (
	// mergeCount small segments become one. Each byte is rewritten about twice,
	// far from what flash pays for a commit of its own (DESIGN.md).
	mergeCount = 16
	// mergeSize is what counts as small: mergeCount of them fill a segment.
	mergeSize = segmentSize / mergeCount
)

// mergeable returns the run that ends in mergeCount small segments of frames,
// nil if there is none. A link that takes frames and acks none counts as an
// outage: one that acks never leaves so many.
func (c *core) mergeable() *run {
	for _, r := range c.runs {
		n := len(r.segs) - mergeCount
		if n < 0 || r.segs[n].first <= r.acked {
			continue
		}
		small := true
		for i := range r.segs[n:] {
			s := &r.segs[n+i]
			small = small && !s.gap && s.bytes <= mergeSize
		}
		if small {
			return r
		}
	}
	return nil
}

// merge rewrites the small segments at the end of a run as one.
func (b *Buffer) merge() error {
	b.mu.Lock()
	r := b.core.mergeable()
	if r == nil {
		b.mu.Unlock()
		return nil
	}
	old := append([]segment(nil), r.segs[len(r.segs)-mergeCount:]...)
	b.mu.Unlock()
	var items []item
	for i := range old {
		part, err := b.readSegment(r, &old[i])
		if errors.Is(err, ErrClosed) {
			return nil
		}
		if err != nil {
			return b.condemn(r, &old[i], err)
		}
		items = append(items, part...)
	}
	return b.change(func() (*plan, error) { return b.core.merge(r, old, items), nil })
}

// merge plans items, read from old, in the place of old, unless something else
// has taken a part of it meanwhile.
func (c *core) merge(r *run, old []segment, items []item) *plan {
	i := r.segmentOf(old[0].first)
	if i < 0 || i+len(old) > len(r.segs) || old[0].first <= r.acked {
		return nil
	}
	s := describe(items)
	s.readings, s.gone, s.tFirst, s.tLast = 0, 0, old[0].tFirst, old[0].tLast
	for k := range old {
		if r.segs[i+k] != old[k] {
			return nil
		}
		s.readings += old[k].readings
		s.gone += old[k].gone
		s.tFirst, s.tLast = min(s.tFirst, old[k].tFirst), max(s.tLast, old[k].tLast)
	}
	p := newPlanner()
	p.exchange(c, p.draft(r), i, i+len(old), s, items)
	p.then(func() { c.count.merges++ })
	return p.plan()
}
