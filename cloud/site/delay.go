package site

import (
	"sync/atomic"
	"time"
)

// delay is how long messages wait in the log for their owner. Clocks of two
// nodes are not compared: where the log ends is noted with the owner's own time,
// and that message's wait is over when it is applied. One wait at a time is
// measured, so that it takes no memory however far the owner is behind.
//
// The zero delay is none. The loop calls applied, the keeper ended.
type delay struct {
	seq  atomic.Uint64 // applied
	mark atomic.Pointer[mark]
	last atomic.Int64 // of the last wait that is over, nanoseconds
}

// mark is the end of the log at a moment.
type mark struct {
	end uint64
	at  time.Time
}

// ended notes where the log ends, unless the end before is still waited for.
func (d *delay) ended(end uint64) {
	m := &mark{end, time.Now()}
	if d.mark.CompareAndSwap(nil, m) && d.seq.Load() >= end {
		d.settle(m)
	}
}

// applied says that the owner has applied a message.
func (d *delay) applied(seq uint64) {
	d.seq.Store(seq)
	if m := d.mark.Load(); m != nil && seq >= m.end {
		d.settle(m)
	}
}

// settle ends a wait, whoever sees first that it is over.
func (d *delay) settle(m *mark) {
	if d.mark.CompareAndSwap(m, nil) {
		d.last.Store(int64(time.Since(m.at)))
	}
}

// now returns the last wait, or the one under way where that is longer already.
func (d *delay) now() time.Duration {
	last := time.Duration(d.last.Load())
	if m := d.mark.Load(); m != nil {
		return max(last, time.Since(m.at))
	}
	return last
}
