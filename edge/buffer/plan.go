package buffer

import (
	"slices"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// plan is a list of batches to write one after another, and what becomes true
// in memory once all of them are durable. Every prefix of the batches leaves a
// store that recovery understands: what is acked goes first, schemas and
// clocks come before the segments that use them, segments in order, and a
// run's close marker last.
type plan struct {
	batches []*Batch
	apply   func()
	commits int   // segments with frames
	payload int64 // bytes of those
}

// planner builds a plan. It changes nothing but the plan; the runs' records
// are written with every batch that touches them, so that a record and the
// segments beside it never contradict each other.
type planner struct {
	done    []*Batch
	cur     *Batch
	records map[id.Run]record // of the runs that cur touches
	order   []id.Run
	effects []func()
	commits int
	payload int64
}

func newPlanner() *planner {
	return &planner{cur: &Batch{}, records: map[id.Run]record{}}
}

// recordCost is what one run's record adds to a batch.
const recordCost = runKeyLen + recordLen + crcSize + indexEntry

// room begins a new batch if entries of so many index and value bytes do not
// fit beside the records of the runs.
func (p *planner) room(ops, index, bytes int) {
	n := len(p.order) + 1
	if !p.cur.fits(ops+n, index+n*recordCost, bytes+n*recordLen) {
		p.flush()
	}
}

func (p *planner) put(key, value []byte) {
	p.cur.Put(key, seal(key, value))
}

// touch notes the record that goes with the current batch.
func (p *planner) touch(run id.Run, rec record) {
	if _, ok := p.records[run]; !ok {
		p.order = append(p.order, run)
	}
	p.records[run] = rec
}

func (p *planner) flush() {
	for _, run := range p.order {
		rec := p.records[run]
		p.put(runKey(run), rec.append(nil))
	}
	if len(p.cur.Ops) > 0 {
		p.done = append(p.done, p.cur)
	}
	p.cur, p.order = &Batch{}, nil
	clear(p.records)
}

// then adds what is true once the whole plan is durable.
func (p *planner) then(effect func()) { p.effects = append(p.effects, effect) }

// plan returns what was planned, nil if there is nothing to write.
func (p *planner) plan() *plan {
	p.flush()
	if len(p.done) == 0 {
		return nil
	}
	effects := p.effects
	return &plan{batches: p.done, commits: p.commits, payload: p.payload, apply: func() {
		for _, f := range effects {
			f()
		}
	}}
}

// draft is the state of a run within a plan, ahead of the run itself.
type draft struct {
	r   *run
	rec record
}

func (p *planner) draft(r *run) *draft { return &draft{r, r.record()} }

// release plans the deletion of the acked segments of a run, and returns their
// bytes.
func (p *planner) release(c *core, d *draft) (bytes int64) {
	n := d.r.ackedSegments()
	if n == 0 {
		return 0
	}
	for i := range n {
		s := &d.r.segs[i]
		p.room(1, segmentKeyLen+indexEntry, 0)
		p.cur.Delete(d.r.key(s))
		d.rec.first = s.last + 1
		p.touch(d.r.id, d.rec)
		bytes += s.bytes
	}
	p.then(func() { c.released(d.r, n) })
	return bytes
}

// messages plans the schemas and clocks that items use and the store lacks.
func (p *planner) messages(r *run, items []item) {
	for i := range items {
		it := &items[i]
		for _, sid := range it.sids {
			p.message(schemaKey(r.id, sid), r.schemas, int(sid)-1)
		}
		if it.clk > 0 {
			p.message(clockKey(r.id, it.clk), r.clocks, int(it.clk)-1)
		}
	}
}

// message plans msgs[i] unless it is saved. It is marked as saved at once: a
// plan that fails is written again before any other, so that no later plan can
// come to rely on a message that is not there.
func (p *planner) message(key []byte, msgs []message, i int) {
	m := &msgs[i]
	if m.saved {
		return
	}
	m.saved = true
	n := len(m.msg) + crcSize
	p.room(1, indexCost(len(key), n), n)
	p.put(key, append([]byte(nil), m.msg...))
}

// append plans the items, which follow what the run has committed, as segments.
func (p *planner) append(c *core, d *draft, items []item) {
	if len(items) == 0 {
		return
	}
	p.messages(d.r, items)
	var segs []segment
	for len(items) > 0 {
		n, size := 0, 0
		for n < len(items) && (n == 0 || size+wire.ItemSize(len(items[n].msg)) <= segmentSize) {
			size += wire.ItemSize(len(items[n].msg))
			n++
		}
		s := p.segment(d.r, items[:n], size)
		if d.rec.first > d.rec.last {
			d.rec.first = s.first
		}
		d.rec.last = s.last
		p.touch(d.r.id, d.rec)
		segs = append(segs, s)
		items = items[n:]
	}
	d.r.writing = d.rec.last
	p.then(func() { c.committed(d.r, segs) })
}

// segment plans one segment of size bytes and returns it.
func (p *planner) segment(r *run, items []item, size int) segment {
	s := describe(items)
	p.room(1, indexCost(segmentKeyLen, size+crcSize), size+crcSize)
	p.put(r.key(&s), appendSegment(make([]byte, 0, size+crcSize), items))
	if !s.gap {
		p.commits++
		p.payload += s.bytes
	}
	return s
}

// close plans the close marker, in one batch with what was planned last. What
// was acked in time was never committed; it counts from here on, or nobody would
// know later that it was there.
func (p *planner) close(d *draft) {
	d.rec.state = wire.RunClosed
	if acked := d.r.acked; acked > d.rec.last {
		d.rec.first, d.rec.last = acked+1, acked
	}
	last := d.rec.last
	p.touch(d.r.id, d.rec)
	p.then(func() {
		d.r.state, d.r.committed = wire.RunClosed, last
		d.r.sids, d.r.schemas, d.r.clocks, d.r.unsure = nil, nil, nil, 0 // in the store, if a frame needs them
	})
}

// remove plans the end of a run of which nothing is held any more; keys are
// its schemas and clocks.
func (p *planner) remove(c *core, r *run, keys [][]byte) {
	p.order = slices.DeleteFunc(p.order, func(run id.Run) bool { return run == r.id })
	delete(p.records, r.id)
	for _, key := range append(keys, runKey(r.id)) {
		p.room(1, len(key)+indexEntry, 0)
		p.cur.Delete(key)
	}
	p.remember(c, r)
	p.then(func() { c.removed(r) })
}

// open plans the record of a new run.
func (p *planner) open(r *run) {
	p.room(0, 0, 0)
	p.touch(r.id, r.record())
}

// swap plans one gap in the place of segs[i:j] of a run, atomically. It grows
// if the gap may take in its successor.
func (p *planner) swap(c *core, d *draft, i, j int, gap item, grows bool) {
	items := []item{gap}
	s := describe(items)
	s.grows = grows
	p.exchange(c, d, i, j, s, items)
}

// rewrite plans other items of the same sequences in the place of segs[i]. The
// numbers in its key stay: readings in gaps count there as the frames' did. gone
// of them no longer count.
func (p *planner) rewrite(c *core, d *draft, i int, items []item, gone uint64) {
	s, old := describe(items), d.r.segs[i]
	s.readings, s.gone, s.tFirst, s.tLast = old.readings, gone, old.tFirst, old.tLast
	p.exchange(c, d, i, i+1, s, items)
}

func (p *planner) exchange(c *core, d *draft, i, j int, s segment, items []item) {
	n := int(s.bytes)
	p.room(j-i+1, (j-i+1)*(segmentKeyLen+indexEntry)+n, n)
	key := d.r.key(&s)
	for k := i; k < j; k++ {
		if old := d.r.key(&d.r.segs[k]); string(old) != string(key) {
			p.cur.Delete(old)
		}
	}
	p.put(key, appendSegment(make([]byte, 0, n), items))
	p.touch(d.r.id, d.rec)
	p.then(func() { c.swapped(d.r, s) })
}
