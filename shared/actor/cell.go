package actor

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/atrium-iot/atrium/shared/actor/mailbox"
)

// status is where an actor stands; DESIGN.md draws the machine.
type status uint8

const (
	idle       status = iota // nothing waits, nobody runs it
	scheduled                // in a run queue, or a worker runs it
	suspended                // failed: waits for what its supervisor decides
	activating               // waits for its snapshot
	dead                     // has stopped; Stopped has returned
)

// gate says why a message may not simply be put into the mailbox. Most cells
// have none of its bits for all their life.
type gate uint8

const (
	closing     gate = 1 << iota // told to stop: accepts nothing more
	inGroup                      // a member: reached only within a turn of its group
	guarded                      // WithTurnGuard: the caller must be checked
	elsewhere                    // lives on another node; never changes
	passive                      // virtual, and this cell is not in memory: see activateLocked
	passivating                  // its snapshot is on the way; what comes keeps it
	limited                      // its messages count in its site
)

// What a running turn looks at between two messages, and one bit for others.
const (
	wantRoom uint32 = 1 << iota // a sender waits for room
	urgent                      // a signal, or a message on another lane
	ended                       // the actor has stopped; for its watched ones
)

// controlReserve is how many control messages an actor may have beyond its
// bound: enough for a burst of commands, and a flood of them is refused too.
const controlReserve = 64

// link is a cell's place in a run queue. It belongs to whoever scheduled the
// cell, then to the queue, then to the worker.
type link struct {
	next  task
	since int64 // when the cell was queued, if this one is sampled
}

// cell is one actor. Its turn is run by whoever moved it to scheduled, or took
// it from the run queue after that; in a group, by the turn's goroutine.
//
// A million of them are idle: what few have lies behind cold.
type cell[M any] struct {
	link
	kind      *kind[M]
	receiver  ReceiverOf[M] // the current behaviour; the turn's
	id        string
	mu        sync.Mutex
	attention atomic.Uint32 // wantRoom, urgent, ended
	started   bool          // the turn's
	home      uint8         // the run queue that is tried first
	gate      gate
	status    status
	ctx       *ContextOf[M] // of the running turn
	box       mailbox.Box[M]
	cold      *cold[M]
}

// ID implements directory.Entry.
func (a *cell[M]) ID() string { return a.id }

func (a *cell[M]) member() bool { return a.kind.group != nil }

func (a *cell[M]) typeName() string { return a.kind.stats.typ }

func (a *cell[M]) pid() PID {
	if a.kind.remote {
		return PID{Address: a.kind.system.courier.addressOf(a.cold.place), ID: a.id}
	}
	return PID{Address: a.kind.system.address, ID: a.id}
}

func (a *cell[M]) queued() *link { return &a.link }

// tell enqueues one message from outside of a group. w is the worker whose turn
// sends it, or nil. A question is entered in the list of those that wait.
func (a *cell[M]) tell(w *worker, lane Lane, msg M, q *question) error {
	a.mu.Lock()
	if a.gate != 0 {
		if to, err := a.passLocked(q.search()); to != a {
			a.mu.Unlock()
			if to != nil {
				return to.tell(w, lane, msg, q)
			}
			return a.refuse(err, 1)
		}
		if a.gate&elsewhere != 0 {
			a.mu.Unlock()
			if q != nil { // it moved since Ask looked
				return a.refuse(ErrStale, 1)
			}
			return a.tellAway(lane, msg)
		}
		if a.gate&limited != 0 && a.hasRoomLocked(lane) && a.reserveLocked(1) == 0 {
			return a.overLimitAndUnlock(1)
		}
	}
	if !a.hasRoomLocked(lane) {
		return a.overflowAndUnlock(w, lane, msg, q)
	}
	a.putLocked(lane, msg)
	if q != nil {
		a.coldLocked().questions.add(q)
	}
	a.wakeAndUnlock(w)
	return nil
}

// passLocked opens the gates for a message, or says why they stay shut, or which
// cell takes it in place of this one. ctx ends the search for that one.
func (a *cell[M]) passLocked(ctx context.Context) (to *cell[M], err error) {
	switch {
	case a.gate&inGroup != 0:
		return nil, ErrOutsideGroup
	case a.gate&guarded != 0 && a.kind.system.guard.inTurn():
		return nil, ErrOutsideGroup
	case a.gate&closing != 0:
		return nil, ErrStopped
	case a.gate&passive != 0:
		return a.activateLocked(ctx)
	}
	a.stirLocked()
	return a, nil
}

func (a *cell[M]) putLocked(lane Lane, msg M) {
	if a.box.Put(lane, msg, a.kind.chunks) {
		a.stampLocked(lane)
	}
	if lane != Normal && a.status != idle {
		a.attention.Or(urgent)
	}
}

// stampLocked notes when a chunk was begun, for the latency of its first
// message: one in sixteen of the normal lane, each of the others.
func (a *cell[M]) stampLocked(lane Lane) {
	if lane != Normal || rand.Uint32()%sampleChunks == 0 {
		a.box.Stamp(lane, a.kind.system.now())
	}
}

// tellBatch enqueues messages in order under one lock.
func (a *cell[M]) tellBatch(ctx context.Context, lane Lane, msgs []M) (n int, err error) {
	if len(msgs) == 0 {
		return 0, nil
	}
	a.mu.Lock()
	if a.gate != 0 {
		if to, err := a.passLocked(ctx); to != a {
			a.mu.Unlock()
			if to != nil {
				return to.tellBatch(ctx, lane, msgs)
			}
			return 0, a.refuse(err, len(msgs))
		}
		if a.gate&elsewhere != 0 {
			a.mu.Unlock()
			return a.tellBatchAway(lane, msgs)
		}
	}
	room := min(len(msgs), int(a.roomLocked(lane, len(msgs))))
	n = room
	if a.gate&limited != 0 {
		n = a.reserveLocked(room)
	}
	for i := range n {
		a.putLocked(lane, msgs[i])
	}
	switch {
	case n > 0:
		a.wakeAndUnlock(nil)
	case room > 0:
		return 0, a.overLimitAndUnlock(len(msgs))
	default:
		a.mu.Unlock()
	}
	if n == len(msgs) {
		return n, nil
	}
	if n < room {
		return n, a.refuse(ErrLimit, len(msgs)-n)
	}
	if a.kind.overflow == Refuse {
		return n, a.refuse(ErrMailboxFull, len(msgs)-n)
	}
	for ; n < len(msgs); n++ {
		if err := a.tell(nil, lane, msgs[n], nil); err != nil {
			a.refuse(err, len(msgs)-n-1) // tell counted its own
			return n, err
		}
	}
	return n, nil
}

// force enqueues beyond the bound; false when the actor takes nothing more.
// Only notices that the actor asked for come this way, one for each request.
func (a *cell[M]) force(msg M) bool {
	a.mu.Lock()
	if a.gate&(closing|passive) != 0 {
		a.mu.Unlock()
		return false
	}
	a.stirLocked()
	a.putLocked(Normal, msg)
	a.wakeAndUnlock(nil)
	return true
}

// roomLocked returns how many messages fit, and may say less where want fit. It
// is exact below want: a message gives its room back when its Receive returns,
// not when its batch ends. What becomes free while senders wait is theirs.
func (a *cell[M]) roomLocked(lane Lane, want int) int32 {
	room := a.kind.bound - a.box.Size()
	if lane == Control {
		room = controlReserve - a.box.ControlSize()
	}
	if int(room) < want && a.ctx != nil && a.attention.Load()&wantRoom == 0 && (a.ctx.batch.Lane == Control) == (lane == Control) {
		room += a.ctx.handled.Load()
	}
	return max(0, room)
}

func (a *cell[M]) hasRoomLocked(lane Lane) bool {
	if lane != Control && a.box.Size() < a.kind.bound {
		return true
	}
	return a.roomLocked(lane, 1) > 0
}

// wakeAndUnlock schedules an idle actor.
func (a *cell[M]) wakeAndUnlock(w *worker) {
	if a.status != idle {
		a.mu.Unlock()
		return
	}
	a.status = scheduled
	a.mu.Unlock()
	if !a.kind.dispatcher.push(w, a, a.home) {
		a.abandon()
	}
}

// refuse counts n refused messages and returns their reason, which may be nil.
func (a *cell[M]) refuse(err error, n int) error {
	if err != nil && n > 0 {
		a.kind.stats.refused(err, n)
	}
	return err
}

// waiting is how many messages were accepted and are not handled.
func (a *cell[M]) waiting() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.box.Size() + a.box.ControlSize()
	if a.ctx != nil {
		n -= a.ctx.handled.Load()
	}
	return int(n)
}
