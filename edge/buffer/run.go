package buffer

import (
	"slices"
	"sort"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// run is one FIFO of frames: segments in the store, then items in memory that
// are not committed, dense from the first unacked sequence. It does no I/O.
type run struct {
	id      id.Run
	ordinal uint64
	class   wire.Class
	boot    id.Boot
	state   wire.RunState // as the store has it
	sealed  bool          // no frame is cut into it any more

	segs      []segment // dense, oldest first
	committed uint64    // highest committed sequence
	mem       []item    // cut, not committed
	writing   uint64    // items up to here are in a plan that is being written
	next      uint64    // the next frame's sequence
	acked     uint64    // highest acked sequence
	handed    uint64    // highest sequence that a cursor of this process returned
	inherited bool      // of an earlier process, which may have sent any of it
	ackedAt   time.Duration
	retired   bool // the gate has been told that it is closed or unclean

	// Of a run of this process that is not closed; then the store has all.
	sids    map[*Series]uint32
	schemas []message // of sid i+1
	clocks  []message // of clk i+1
	unsure  uint32    // the last clk that nobody vouches for; 0 for none
	clock   clockMapping
}

// message is a schema or clock as it is sent.
type message struct {
	msg   []byte
	saved bool // it is in the store
}

// first returns the lowest sequence that the store holds, committed+1 for none.
func (r *run) first() uint64 {
	if len(r.segs) > 0 {
		return r.segs[0].first
	}
	return r.committed + 1
}

// key returns the key of one of the run's segments.
func (r *run) key(s *segment) []byte { return s.key(r.id, r.class) }

func (r *run) record() record {
	return record{ordinal: r.ordinal, class: r.class, state: r.state, boot: r.boot, first: r.first(), last: r.committed}
}

// backlog says whether the store holds an unacked frame.
func (r *run) backlog() bool {
	return len(r.segs) > 0 && r.segs[len(r.segs)-1].last > r.acked
}

// end returns the highest sequence that was cut.
func (r *run) end() uint64 { return r.next - 1 }

// drained says whether every sequence is acked.
func (r *run) drained() bool { return r.acked >= r.end() }

// stored returns the bytes of the run's segments.
func (r *run) stored() (n int64) {
	for i := range r.segs {
		n += r.segs[i].bytes
	}
	return n
}

// ackedSegments counts the segments at the front that are acked.
func (r *run) ackedSegments() int {
	return sort.Search(len(r.segs), func(i int) bool { return r.segs[i].last > r.acked })
}

// held returns the readings that segments of a range hold and the cloud has not
// acked.
func (r *run) held(first, last uint64) (n uint64) {
	for i := r.ackedSegments(); i < len(r.segs) && r.segs[i].first <= last; i++ {
		if r.segs[i].first >= first {
			n += r.segs[i].held()
		}
	}
	return n
}

// segmentOf returns the index of the segment that holds seq, or -1.
func (r *run) segmentOf(seq uint64) int {
	i := sort.Search(len(r.segs), func(i int) bool { return r.segs[i].last >= seq })
	if i < len(r.segs) && r.segs[i].first <= seq {
		return i
	}
	return -1
}

// itemOf returns the item in memory that holds seq, or nil.
func (r *run) itemOf(seq uint64) *item {
	i := sort.Search(len(r.mem), func(i int) bool { return r.mem[i].last >= seq })
	if i < len(r.mem) && r.mem[i].first <= seq {
		return &r.mem[i]
	}
	return nil
}

// trim removes items up to seq from memory and returns them. Their memory is
// free for the collector once the caller lets go.
func (r *run) trim(seq uint64) []item {
	n := sort.Search(len(r.mem), func(i int) bool { return r.mem[i].last > seq })
	gone := r.mem[:n]
	if n == len(r.mem) {
		r.mem = nil
	} else if n > 0 {
		r.mem = r.mem[n:]
	}
	return gone
}

// sid returns the number of a series in this run, which it takes at its first
// frame.
func (r *run) sid(s *Series) uint32 {
	if n, ok := r.sids[s]; ok {
		return n
	}
	n := uint32(len(r.schemas) + 1)
	r.sids[s] = n
	m := wire.Schema{Run: r.id, SID: n, Device: s.device, Hash: s.hash, Grid: s.grid, Digest: s.digest, Body: s.body}
	r.schemas = append(r.schemas, message{msg: m.Append(nil)})
	return n
}

// clk returns the number of a clock mapping in this run. A mapping that comes
// back after another gets a new number: numbers only grow.
func (r *run) clk(c clockMapping) uint32 {
	if len(r.clocks) == 0 || r.clock != c {
		r.clock = c
		n := uint32(len(r.clocks) + 1)
		m := wire.Clock{Run: r.id, Clk: n, Boot: r.boot, UTC0: c.utc0, Uncertainty: c.uncertainty, Source: c.source}
		r.clocks = append(r.clocks, message{msg: m.Append(nil)})
		if c.source == wire.ClockNone {
			r.unsure = n
		}
	}
	return uint32(len(r.clocks))
}

// clksOf returns the clocks that go ahead of an item: its own, and the present
// one if nobody vouches for its own, so that the cloud knows better before it
// puts the rows anywhere.
func (r *run) clksOf(it *item, now clockMapping) []uint32 {
	switch {
	case it.clk == 0:
		return nil
	case it.clk <= r.unsure && now.source != wire.ClockNone:
		return []uint32{it.clk, r.clk(now)}
	}
	return []uint32{it.clk}
}

// replace puts one segment in the place of segs[i:j].
func (r *run) replace(i, j int, s segment) {
	r.segs = slices.Replace(r.segs, i, j, s)
}

// clockMapping maps the boot's clock to UTC.
type clockMapping struct {
	utc0        int64
	uncertainty uint64
	source      wire.ClockSource
}
