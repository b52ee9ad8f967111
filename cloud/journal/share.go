package journal

import "github.com/atrium-iot/atrium/shared/id"

// A flusher's queue and each message of it are divided among the sites whose
// records wait there: one may hold so much of them as its factor times what is
// still free (dynamic thresholds: Choudhury and Hahne, "Dynamic Queue Length
// Thresholds for Shared-Memory Packet Switches", IEEE/ACM ToN 6(2), 1998). One
// that floods leaves a part free for the others, n that flood divide the rest,
// and nobody says beforehand what a site may send: one alone is held back by
// nothing but the queue's end.
const (
	// queueFactor leaves a third of the queue to others.
	queueFactor = 2
	// batchFactor leaves half of a message to others: twice what is aimed at,
	// so that a site alone fills what is aimed at.
	batchFactor = 1
)

// share is what one site holds of a flusher's queue, in flight included.
type share struct {
	site    id.Site
	bytes   int64
	records int
	last    *batch // the latest with records of it
	part    int    // in last's parts
}

// part is what a batch holds of one site.
type part struct {
	of      *share
	bytes   int64
	records int
}

// fair says whether a site that held so much would hold no more than its factor
// of what then is free.
func fair[N int | int64](held, free, factor N) bool { return held <= factor*free }

// shareLocked returns a site's share of the queue.
func (f *flusher) shareLocked(site id.Site) *share {
	s := f.sites[site]
	if s == nil {
		s = &share{site: site}
		f.sites[site] = s
		f.waiting.Add(1)
	}
	return s
}

// admitLocked says why the queue does not take a record, if it does not. A site
// of which nothing waits is held back by a full queue only.
func (f *flusher) admitLocked(s *share, size int64) (full, overdrawn bool) {
	free, places := f.maxBytes-f.bytes-size, f.maxRecords-f.records-1
	full = free < 0 || places < 0
	return full, !full && s.records > 0 && !(fair(s.bytes+size, free, queueFactor) && fair(s.records+1, places, queueFactor))
}

// openLocked returns the batch that a record of this size goes to: the first in
// which its site has its share, so that a site of which little waits does not
// stand behind all of one of which much does. Records of a site stay in order.
func (f *flusher) openLocked(s *share, size int) *batch {
	first := 0
	if s.last != nil && s.last.number > f.taken {
		first = int(s.last.number - f.taken - 1)
	}
	for _, b := range f.queue[first:] {
		if f.fits(b, s, size) {
			return b
		}
	}
	b := &batch{buf: make([]byte, maxMessageHead)}
	if n := len(f.idle); n > 0 {
		b, f.idle = f.idle[n-1], f.idle[:n-1]
	}
	b.number = f.taken + uint64(len(f.queue)) + 1
	f.queue = append(f.queue, b)
	return b
}

func (f *flusher) fits(b *batch, s *share, size int) bool {
	var held part
	if s.last == b {
		held = b.parts[s.part]
	}
	free, places := f.batchLimit-len(b.buf)-size, MaxRecords-len(b.entries)-1
	return fair(int(held.bytes)+size, free, batchFactor) && fair(held.records+1, places, batchFactor)
}

// holdLocked counts a record of a site that has gone into a batch.
func (b *batch) holdLocked(s *share, size int64) {
	if s.last != b {
		s.last, s.part = b, len(b.parts)
		b.parts = append(b.parts, part{of: s})
	}
	p := &b.parts[s.part]
	p.bytes, p.records = p.bytes+size, p.records+1
	s.bytes, s.records = s.bytes+size, s.records+1
}

// freeLocked gives back what a batch held.
func (f *flusher) freeLocked(b *batch) {
	for _, p := range b.parts {
		s := p.of
		s.bytes, s.records = s.bytes-p.bytes, s.records-p.records
		if s.last == b {
			s.last = nil
		}
		if s.records == 0 {
			f.forgetLocked(s)
		}
	}
}

func (f *flusher) forgetLocked(s *share) {
	delete(f.sites, s.site)
	f.waiting.Add(-1)
}

// LagOf returns how many bytes would wait if every site of which something does
// had as much in the queue as this one: what is queued if all send alike, more
// for one that floods, next to nothing for the others.
func (c *Coalescer) LagOf(shard int, site id.Site) int64 {
	var held int64
	for _, f := range c.shards[shard] {
		f.mu.Lock()
		if s := f.sites[site]; s != nil {
			held += s.bytes
		}
		f.mu.Unlock()
	}
	return held * max(c.sites.Load(), 1)
}
