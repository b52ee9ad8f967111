package buffer

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Session is what a new connection begins with.
type Session struct {
	// Hello has Board, Interval, Now, Boots and Runs; the uplink adds the rest.
	Hello wire.Hello
	// Live are the open runs, telemetry first, Backlog the others with unacked frames: events
	// before telemetry, oldest first.
	Live, Backlog []id.Run
	// At is when Hello's Now was.
	At time.Time

	ended []*run // what Hello calls closed or unclean
}

// Errors of Reject.
var (
	// ErrUnknownRun is a run that the buffer does not hold.
	ErrUnknownRun = errors.New("buffer: unknown run")
	// ErrNotAFrame is a sequence that a gap stands for: nothing is left that
	// could take its place.
	ErrNotAFrame = errors.New("buffer: the sequence is a gap")
)

// Connect begins a connection: frames are cut by Linger from now on. If the
// store holds unacked frames of an open run, that run is closed and becomes
// backlog, so that live frames need not wait behind it, unless there are
// maxRuns. The error is ErrClosed or that of Config.Rand.
func (b *Buffer) Connect() (Session, error) {
	names, err := b.newRuns()
	if err != nil {
		return Session{}, fmt.Errorf("buffer: connect: %w", err)
	}
	err = b.grow(b.cfg.Reserve, func() (*plan, error) {
		if b.sealed || !b.core.rotates() {
			return nil, nil
		}
		b.cutAllLocked()
		return b.core.rotate(names), nil
	})
	if err != nil {
		// The link is what empties a store that is full, so it must not wait
		// for it. Either nothing has changed, or the run is sealed in memory
		// and its marker follows when the store writes again.
		b.log.Warn("buffer: a connection begins although the store does not write", "error", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return Session{}, fmt.Errorf("buffer: connect: %w", ErrClosed)
	}
	s := b.core.connect(b.cfg.Now().Milliseconds())
	wake(b.cutWake)
	wake(b.commitWake)
	return s, nil
}

// Disconnect says that the connection is gone, or silent.
func (b *Buffer) Disconnect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.core.online = false
	wake(b.cutWake)
	wake(b.commitWake)
}

// Resume says that a connection which was silent is alive after all.
func (b *Buffer) Resume() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.core.online = true
	wake(b.cutWake)
	wake(b.commitWake)
}

// Welcomed says that a gate has journaled a session's hello: the runs that it
// called closed or unclean may leave the store once they are acked. Without it
// they stay, and the next hello names them again.
func (b *Buffer) Welcomed(s Session) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range s.ended {
		r.retired = true
	}
	wake(b.commitWake)
}

// Ack lets go of a run's frames up to seq, which is cumulative. An ack of what
// was never sent is counted and ignored.
func (b *Buffer) Ack(run id.Run, seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.core.ack(b.cfg.Now(), run, seq) {
		b.core.press()
		b.notifyLocked()
		wake(b.commitWake)
	}
}

// Reject moves a frame that the gate refused to quarantine and puts a gap
// (seq..seq, rejected) in its place; both are durable when it returns. The
// caller then rewinds its cursor to seq. What is acked already stays as it is.
func (b *Buffer) Reject(run id.Run, seq uint64, reason wire.RejectReason) error {
	err := b.reject(run, seq)
	if err != nil {
		return fmt.Errorf("buffer: reject %s/%d (%s): %w", run, seq, reason, err)
	}
	b.log.Warn("buffer: the gate refused a frame; it is in quarantine", "run", run.String(), "seq", seq, "reason", reason.String())
	return nil
}

func (b *Buffer) reject(run id.Run, seq uint64) error {
	// What is in memory is committed first: then a frame has one place.
	err := b.grow(b.cfg.Reserve, func() (*plan, error) {
		r := b.core.run(run)
		switch {
		case b.closed:
			return nil, ErrClosed
		case r == nil:
			return nil, ErrUnknownRun
		case seq > r.handed:
			return nil, fmt.Errorf("sequence %d was not sent", seq)
		}
		return b.core.commit(), nil
	})
	if err != nil {
		return err
	}
	b.write <- struct{}{}
	defer func() { <-b.write }()
	b.mu.Lock()
	r := b.core.run(run)
	if r == nil || seq <= r.acked {
		b.mu.Unlock()
		return nil
	}
	i := r.segmentOf(seq)
	seg := r.segs[i]
	b.mu.Unlock()
	items, err := b.readSegment(r, &seg)
	if err != nil {
		return err
	}
	k := 0
	for items[k].last < seq {
		k++
	}
	if items[k].gap {
		return ErrNotAFrame
	}
	frame := items[k]
	b.measure(r, &frame, len(items) == 1, &seg)
	items[k] = newGap(run, wire.GapRejected, seq, seq, frame.readings, frame.tFirst, frame.tLast)
	b.mu.Lock()
	p := b.core.quarantineFrame(r, &seg, items, &frame)
	b.mu.Unlock()
	return b.perform(p)
}

// connect is what Connect returns.
func (c *core) connect(nowMS int64) Session {
	c.online = true
	s := Session{At: time.Now(), Hello: wire.Hello{
		Board: c.cfg.Board, Interval: uint64(c.cfg.CommitInterval.Milliseconds()), Now: uint64(max(nowMS, 0)),
	}}
	boots := map[id.Boot]int{}
	for _, r := range c.named() {
		n, ok := boots[r.boot]
		if !ok {
			n = len(s.Hello.Boots)
			boots[r.boot] = n
			s.Hello.Boots = append(s.Hello.Boots, r.boot)
		}
		s.Hello.Runs = append(s.Hello.Runs, wire.RunInfo{Run: r.id, Class: r.class, Boot: n, First: r.acked + 1, Last: r.committed, State: r.state})
		switch {
		case !r.sealed:
			s.Live = append(s.Live, r.id)
		case !r.drained():
			s.Backlog = append(s.Backlog, r.id)
		}
		if r.state != wire.RunOpen {
			s.ended = append(s.ended, r)
		}
	}
	byClass := func(x, y id.Run) int { return cmp.Compare(c.run(x).class, c.run(y).class) }
	slices.SortStableFunc(s.Live, byClass)
	slices.SortStableFunc(s.Backlog, func(x, y id.Run) int { return byClass(y, x) })
	return s
}

// quarantineFrame plans items in the place of seg, and frame into quarantine.
func (c *core) quarantineFrame(r *run, seg *segment, items []item, frame *item) *plan {
	p := newPlanner()
	c.jail(p, r.id, frame)
	i := r.segmentOf(seg.first)
	readings := min(frame.readings, seg.held())
	p.rewrite(c, p.draft(r), i, items, seg.gone+readings)
	p.then(func() { c.drop(r, DropRejected, readings) })
	return p.plan()
}
