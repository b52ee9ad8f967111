package buffer

import (
	"slices"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// core decides: what is cut, committed, dropped and let go, and when. It does
// no I/O, reads no clock and is not safe for concurrent use. What must become
// durable it returns as a plan, and changes its own state only when the plan's
// apply is called.
type core struct {
	cfg     Config
	runs    []*run // oldest first
	gone    []*run // that left the store, at most maxGone, the first to go first
	in      [len(classes)]intake
	online  bool
	starved bool
	budget  budget
	spent   bool  // the day's write budget is used up
	free    int64 // bytes that the file system had left when last looked at
	level   Pressure
	clock   clockMapping
	garbage int64  // bytes of segments deleted since the last reclaim
	version uint64 // counts what replaces items that a cursor may hold
	count   counters
	packer  wire.Packer

	quarantine [][]byte // keys, oldest first of this process
}

// Bounds that are not configuration.
const (
	// maxSegments bounds the index in memory at 64 bytes a segment, 8 MiB.
	maxSegments = 1 << 17
	// itemOverhead is what an item takes in memory beside its bytes.
	itemOverhead = 160
	// commitParts: a frame is committed when all but 1/commitParts of the
	// commit interval has passed, so that the fsync ends within the interval,
	// which hello promises as the bound of what a crash takes.
	commitParts = 4
	// letGoAfter is how long acked segments wait for a commit to be deleted
	// with: a deletion of its own is an fsync more, and costs nothing to put
	// off but duplicates after a crash.
	letGoAfter = 10 * time.Second
	// letGoDrained is the same for a closed run that is acked to its end while
	// there is so much that reclaiming follows: no later commit would take it along.
	letGoDrained = time.Second
	// maxRuns is how many runs a new connection may leave behind: each has
	// schemas and clocks of its own, and hello names wire.MaxRuns, the rest of
	// which is for restarts. Beyond it live frames wait behind the backlog.
	maxRuns = wire.MaxRuns / 4
	// maxQuarantine bounds the frames kept for people to look at.
	maxQuarantine = 64
	// maxDropBatch bounds the segments that one plan drops.
	maxDropBatch = 64
)

func (c *core) run(name id.Run) *run {
	for _, r := range c.runs {
		if r.id == name {
			return r
		}
	}
	return nil
}

// begin opens a run, which takes the rows of its class from now on.
func (c *core) begin(class wire.Class, name id.Run) *run {
	ordinal := uint64(1)
	for _, r := range slices.Concat(c.runs, c.gone) {
		ordinal = max(ordinal, r.ordinal+1)
	}
	r := &run{id: name, ordinal: ordinal, class: class, boot: c.cfg.Boot, state: wire.RunOpen, next: 1, sids: map[*Series]uint32{}}
	c.runs = append(c.runs, r)
	c.class(class).run = r
	return r
}

// commitAge is the age at which rows must be on their way to the store.
func (c *core) commitAge() time.Duration {
	return c.cfg.CommitInterval - c.cfg.CommitInterval/commitParts
}

// sendsUncommitted says whether frames leave before they are committed.
func (c *core) sendsUncommitted() bool { return c.cfg.Mode == Spill && c.online }

// cutDue returns when the open frame of telemetry must be cut. That of events
// is cut with each row.
func (c *core) cutDue() (at time.Duration, ok bool) {
	f := &c.class(wire.Telemetry).frame
	if f.rows == 0 {
		return 0, false
	}
	if c.sendsUncommitted() {
		return f.since + min(c.cfg.Linger, c.commitAge()), true
	}
	return f.since + c.commitAge(), true
}

// commitDue returns when the store must next be written.
func (c *core) commitDue() (at time.Duration, ok bool) {
	sooner := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	for _, r := range c.runs {
		if len(r.mem) > 0 {
			if !c.sendsUncommitted() || r.class == wire.Events || c.memory() > c.cfg.MaxMemory/2 {
				sooner(0)
			}
			sooner(r.mem[0].at + c.commitAge())
		}
		if r.ackedSegments() > 0 || c.removable(r) {
			sooner(r.ackedAt + c.letGoIn(r))
		}
	}
	return at, ok
}

// letGoIn returns how long a run's acked segments wait to be deleted.
func (c *core) letGoIn(r *run) time.Duration {
	if r.sealed && r.drained() && c.garbage+r.stored() >= reclaimDrained {
		return letGoDrained
	}
	return max(letGoAfter, 2*c.cfg.CommitInterval)
}

// removable says whether a run may leave the store: the gate knows its state,
// and nothing of it is held. The runs that were opened last stay to the end of
// the process, also when they are sealed: hello names at least their boot.
func (c *core) removable(r *run) bool {
	return r != c.of(r).run && r.retired && r.sealed && r.drained() && len(r.mem) == 0 && len(r.segs) == 0
}

// commit plans to write what is in memory, together with the deletions that
// have come up.
func (c *core) commit() *plan {
	p := newPlanner()
	drafts := make([]*draft, len(c.runs))
	for i, r := range c.runs {
		drafts[i] = p.draft(r)
		p.release(c, drafts[i])
	}
	for i, r := range c.runs {
		p.append(c, drafts[i], r.mem)
	}
	return p.plan()
}

// letGo plans to delete what is acked, and nothing else.
func (c *core) letGo() *plan {
	p := newPlanner()
	for _, r := range c.runs {
		p.release(c, p.draft(r))
	}
	return p.plan()
}

// rotates says whether a new connection begins a new run of any class, so that
// live frames need not wait behind those in the store.
func (c *core) rotates() bool {
	return len(c.runs) < maxRuns && slices.ContainsFunc(c.in[:], func(in intake) bool { return in.run.backlog() })
}

// rotate seals the open runs that have a backlog and begins others. In memory
// both happen at once; the plan commits what is held and the close markers.
func (c *core) rotate(names [len(classes)]id.Run) *plan {
	var old []*run
	for i := range c.in {
		if r := c.in[i].run; r.backlog() {
			old = append(old, r)
		}
	}
	p := newPlanner()
	c.closeRuns(p, old)
	for _, r := range old {
		p.open(c.begin(r.class, names[slices.Index(classes[:], r.class)]))
	}
	return p.plan()
}

// finish plans the clean end of the process.
func (c *core) finish() *plan {
	var open []*run
	for i := range c.in {
		if r := c.in[i].run; r.state != wire.RunClosed {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return c.letGo()
	}
	p := newPlanner()
	c.closeRuns(p, open)
	return p.plan()
}

// closeRuns commits what is held, and the close markers of these runs last.
func (c *core) closeRuns(p *planner, runs []*run) {
	for _, r := range runs {
		r.sealed = true
	}
	for _, other := range c.runs {
		if !slices.Contains(runs, other) {
			d := p.draft(other)
			p.release(c, d)
			p.append(c, d, other.mem)
		}
	}
	for _, r := range runs {
		d := p.draft(r)
		p.release(c, d)
		p.append(c, d, r.mem)
		p.close(d)
	}
}

// committed notes that segments of a run are durable.
func (c *core) committed(r *run, segs []segment) {
	in := c.of(r)
	for i := range segs {
		s := &segs[i]
		in.live += s.bytes
		c.count.committed += s.held()
		c.count.safe += s.held()
		if s.last <= r.acked { // while it was written
			c.count.acked += s.held()
		}
	}
	r.segs = append(r.segs, segs...)
	r.committed = segs[len(segs)-1].last
	for _, it := range r.trim(r.committed) {
		in.memory -= it.size()
	}
}

// released notes that the first n segments of a run are gone, acked.
func (c *core) released(r *run, n int) {
	for i := range n {
		s := &r.segs[i]
		c.of(r).live -= s.bytes
		c.garbage += s.bytes
	}
	r.segs = slices.Delete(r.segs, 0, n)
	if len(r.segs) == 0 {
		r.segs = nil
	}
}

// swapped notes that s stands for the segments of its range.
func (c *core) swapped(r *run, s segment) {
	in := c.of(r)
	i, j := r.segmentOf(s.first), r.segmentOf(s.last)+1
	for k := i; k < j; k++ {
		in.live -= r.segs[k].bytes
		c.garbage += r.segs[k].bytes
		if r.segs[k].last <= r.acked && s.last > r.acked { // acked while s was written
			s.gone += r.segs[k].held()
		}
	}
	in.live += s.bytes
	c.version++
	r.replace(i, j, s)
}

// removed notes that a run has left the store, once.
func (c *core) removed(r *run) {
	i := slices.Index(c.runs, r)
	if i < 0 {
		return
	}
	c.runs = slices.Delete(c.runs, i, i+1)
	rec := r.record()
	c.gone = append(c.gone, ghost(r.id, &rec))
	c.gone = c.gone[max(len(c.gone)-maxGone, 0):]
}

// add takes a finished item into memory, and sheds what is too much.
func (c *core) add(r *run, it item) {
	r.mem = append(r.mem, it)
	r.next = it.last + 1
	c.of(r).memory += it.size()
	for c.memory() > c.cfg.MaxMemory && slices.ContainsFunc(c.shedFirst(), c.shed) {
	}
	c.press()
}

func (it *item) size() int64 { return int64(len(it.msg)) + itemOverhead }

// shed turns the oldest frame of a class that is not being written into a gap,
// joined to the gap before it if that was never sent: the store does not keep
// up, and memory is at its bound. It returns false if there is none.
func (c *core) shed(class wire.Class) bool {
	in := c.class(class)
	for _, r := range c.runs {
		if r.class != class {
			continue
		}
		for i := range r.mem {
			it := &r.mem[i]
			if it.gap || it.first <= r.writing {
				continue
			}
			c.drop(r, DropMemory, it.readings)
			gap := newGap(r.id, wire.GapQuota, it.first, it.last, it.readings, it.tFirst, it.tLast)
			gap.at = it.at
			in.memory += gap.size() - it.size()
			*it = gap
			c.version++
			if i > 0 && r.mem[i-1].gap && r.mem[i-1].first > max(r.handed, r.writing) {
				before := &r.mem[i-1]
				joined := joinGaps(r.id, wire.GapQuota, before, it)
				joined.at = before.at
				in.memory += joined.size() - before.size() - it.size()
				r.mem[i-1] = joined
				r.mem = slices.Delete(r.mem, i, i+1)
			}
			return true
		}
	}
	return false
}

// ack lets go of a run's items up to seq. It refuses what was never sent; of a
// run of an earlier process the gate may know more than the store kept.
func (c *core) ack(now time.Duration, name id.Run, seq uint64) bool {
	r := c.run(name)
	if r == nil {
		return true
	}
	if r.inherited {
		seq = min(seq, r.end())
	} else if seq > r.handed {
		c.count.badAcks++
		return false
	}
	if seq <= r.acked {
		return true
	}
	before := r.ackedSegments()
	if before == 0 { // of the first that waits, or acks that go on would put it off
		r.ackedAt = now
	}
	r.acked = seq
	for i := range r.segs[before:r.ackedSegments()] {
		c.count.acked += r.segs[before+i].held()
	}
	for _, it := range r.trim(seq) {
		c.of(r).memory -= it.size()
		if !it.gap && it.first > r.writing { // what is being written counts with its segment
			c.count.acked += it.readings
			c.count.safe += it.readings
		}
	}
	return true
}

// dropOldest plans to replace the oldest segments of the classes, the first
// class first, by gaps until want bytes are free or maxDropBatch segments are
// gone; nil if no segment is left to drop.
func (c *core) dropOldest(reason DropReason, want int64, from ...wire.Class) *plan {
	p := newPlanner()
	left := maxDropBatch
	for _, r := range c.byClass(from) {
		d := p.draft(r)
		want -= p.release(c, d)
		for i := r.ackedSegments(); i < len(r.segs) && want > 0 && left > 0; {
			if r.segs[i].gap {
				i++
				continue
			}
			j := i + 1
			freed := r.segs[i].bytes
			// What a cursor may have sent gets a gap of its own: the less a gap
			// covers that arrived after all, the truer its count of readings.
			for j < len(r.segs) && !r.segs[j].gap && r.segs[i].first > r.handed && freed < want && j-i < left {
				freed += r.segs[j].bytes
				j++
			}
			c.dropSegments(p, d, reason, i, j)
			want -= freed
			left -= j - i
			i = j
		}
		if want <= 0 || left <= 0 {
			break
		}
	}
	return p.plan()
}

// byClass returns the runs of the classes, the first class first, each oldest
// first.
func (c *core) byClass(from []wire.Class) (runs []*run) {
	for _, class := range from {
		for _, r := range c.runs {
			if r.class == class {
				runs = append(runs, r)
			}
		}
	}
	return runs
}

// dropSegments plans one gap for segs[i:j], and for the gap before them if
// that was never sent: an item that may have been sent does not change.
func (c *core) dropSegments(p *planner, d *draft, reason DropReason, i, j int) {
	r := d.r
	segs := r.segs[i:j]
	gap := newGap(r.id, reason.gap(), segs[0].first, segs[len(segs)-1].last, 0, segs[0].tFirst, segs[0].tLast)
	var readings uint64
	for k := range segs {
		readings += segs[k].readings
		gap.tFirst, gap.tLast = min(gap.tFirst, segs[k].tFirst), max(gap.tLast, segs[k].tLast)
	}
	gap = newGap(r.id, reason.gap(), gap.first, gap.last, readings, gap.tFirst, gap.tLast)
	if i > 0 {
		if b := &r.segs[i-1]; b.grows && b.first > r.handed && b.last > r.acked && reason.gap() == wire.GapQuota {
			before := newGap(r.id, wire.GapQuota, b.first, b.last, b.readings, b.tFirst, b.tLast)
			gap = joinGaps(r.id, wire.GapQuota, &before, &gap)
			i--
		}
	}
	p.then(func() { c.drop(r, reason, r.held(gap.first, gap.last)) }) // less than the gap says if acks come first
	p.swap(c, d, i, j, gap, reason.gap() == wire.GapQuota)
}

// condemn plans a gap in the place of a segment that cannot be read.
func (c *core) condemn(r *run, i int) *plan {
	p := newPlanner()
	c.dropSegments(p, p.draft(r), DropCorrupt, i, i+1)
	return p.plan()
}

// jail plans a frame into quarantine, at the cost of the oldest there.
func (c *core) jail(p *planner, run id.Run, it *item) {
	key := quarantineKey(run, it.first)
	n := len(it.msg) + crcSize
	p.room(2, 2*(len(key)+indexEntry)+n, n)
	if len(c.quarantine) >= maxQuarantine {
		p.cur.Delete(c.quarantine[0])
		p.then(func() { c.quarantine = c.quarantine[1:] })
	}
	p.put(key, append([]byte(nil), it.msg...))
	p.then(func() { c.quarantine = append(c.quarantine, key) })
}

func (c *core) drop(r *run, reason DropReason, readings uint64) {
	c.count.dropped[reason].Items++
	c.count.dropped[reason].Readings += readings
	if r.class == wire.Events {
		c.count.droppedEvents += readings
	}
}

// overIndex returns how many bytes are to be dropped so that the index has room:
// all of a batch, if any.
func (c *core) overIndex() int64 {
	if c.segments() <= maxSegments {
		return 0
	}
	return c.live()
}

// segments counts the segments of all runs.
func (c *core) segments() int {
	n := 0
	for _, r := range c.runs {
		n += len(r.segs)
	}
	return n
}
