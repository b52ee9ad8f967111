package actor

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/shared/actor/fair"
)

const (
	// slice is how long a worker stays with one dispatcher while others wait:
	// long enough that changing costs nothing beside it, short enough that
	// nobody notices.
	slice = 500 * time.Microsecond
	// patience is how long a turn may hold its worker before another worker
	// takes over its slot: ten times longer than a turn that only computes, and
	// what Go's own scheduler allows a goroutine before it interrupts it.
	patience = 10 * time.Millisecond
	// countAtOnce is how many messages a worker counts alone: enough that the
	// counter that all write costs nothing beside them.
	countAtOnce = 1024
	// maxSlots is the bits of a word, and more cores than one node's actors use.
	maxSlots = 64
)

// pool is the workers that all dispatchers of kind Pool share: one a core. A
// slot is the right to run turns; a worker holds one. A worker whose turn does
// not end loses its slot to a new worker, so a handler that blocks takes
// nothing from the other dispatchers.
//
// No wake-up is lost: whoever leaves a task in a queue sets the dispatcher's
// bit in ready and then looks for parked workers; a worker first sets its bit in
// parked and then looks at ready again.
type pool struct {
	now    func() int64 // monotonic, in nanoseconds
	slots  []slot
	ready  atomic.Uint64 // bit i: dispatcher i may have tasks
	parked atomic.Uint64 // bit i: the worker of slot i waits; whoever clears it wakes it
	halted atomic.Bool
	quit   chan struct{} // closed with halted
	guards atomic.Bool   // the guard runs
	ended  sync.WaitGroup

	stalled func(*dispatcher) // told by the guard

	mu          sync.Mutex
	dispatchers []*dispatcher // by bit; appended only
	known       atomic.Pointer[[]*dispatcher]
	fair        fair.Queues
}

// slot is the right to run turns.
type slot struct {
	holder atomic.Pointer[worker]
	_      [cacheLine - 8]byte
}

// worker is a goroutine that runs turns.
type worker struct {
	pool    *pool // nil in a crew
	slot    int
	wake    chan struct{} // capacity 1
	turns   atomic.Uint32 // twice the turns done; odd in a turn; lost when the slot is another's
	serving atomic.Pointer[dispatcher]
	awake   bool   // has a goroutine; of whoever cleared its bit in parked
	context any    // *ContextOf of some type, to be used again
	most    int32  // messages a turn
	stats   *stats // whose messages counted counts
	counted int32
}

// tally counts handled messages without touching what other workers write.
func (w *worker) tally(s *stats, n int32) {
	if w == nil {
		s.handled(int(n))
		return
	}
	if w.stats != s {
		w.flush()
		w.stats = s
	}
	if w.counted += n; w.counted >= countAtOnce {
		w.flush()
	}
}

func (w *worker) flush() {
	if w.counted > 0 {
		w.stats.handled(int(w.counted))
		w.counted = 0
	}
}

// wait returns when all workers have ended, after halt.
func (p *pool) wait() { p.ended.Wait() }

// newPool makes a pool without goroutines: they come with work.
func newPool(slots int, now func() int64, stalled func(*dispatcher)) *pool {
	p := &pool{now: now, slots: make([]slot, min(slots, maxSlots)), quit: make(chan struct{}), stalled: stalled}
	p.known.Store(new([]*dispatcher))
	for i := range p.slots {
		p.settle(i)
	}
	return p
}

// add gives a dispatcher its place in the pool.
func (p *pool) add(d *dispatcher, weight int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	number, err := p.fair.Add(max(1, weight))
	if err != nil {
		return err
	}
	d.pool, d.number = p, number
	d.queues = make([]runQueue, min(len(p.slots), int(d.most)))
	p.dispatchers = append(p.dispatchers, d)
	known := p.dispatchers[:len(p.dispatchers):len(p.dispatchers)]
	p.known.Store(&known)
	return nil
}

// push queues a task; false when no worker will ever run it.
func (p *pool) push(d *dispatcher, w *worker, t task, home uint8) bool {
	if w != nil && w.pool == p {
		if !d.queues[w.slot%len(d.queues)].local.push(t, p.now) {
			return false
		}
	} else if !d.queues[int(home)%len(d.queues)].inbox.push(t, p.now) {
		return false
	}
	p.announce(d)
	return true
}

// announce sees to it that a worker looks at d.
func (p *pool) announce(d *dispatcher) {
	p.mark(d)
	if p.parked.Load() != 0 && d.running.Load() < d.most {
		p.wake()
	}
}

// mark says that d has tasks. It follows each move of tasks into a queue, also
// from another or from a turn: before it they stood in none, and a worker may
// have found d empty.
func (p *pool) mark(d *dispatcher) {
	if bit := uint64(1) << d.number; p.ready.Load()&bit == 0 {
		p.ready.Or(bit)
	}
}

// wake brings one parked worker; false when there is none.
func (p *pool) wake() bool {
	for {
		parked := p.parked.Load()
		if parked == 0 {
			return false
		}
		rest := parked & (parked - 1)
		if !p.parked.CompareAndSwap(parked, rest) {
			continue
		}
		w := p.slots[bits.TrailingZeros64(parked)].holder.Load()
		if w.awake {
			w.wake <- struct{}{}
		} else {
			w.awake = true
			p.start(w.run)
		}
		if rest == 0 {
			p.watch()
		}
		return true
	}
}

// start begins a goroutine for which wait will wait. After halt it does not: it
// may be waiting already.
func (p *pool) start(run func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.halted.Load() {
		p.ended.Add(1)
		go run()
	}
}

// settle gives a slot to a new worker, which gets its goroutine when it is
// first woken.
func (p *pool) settle(slot int) {
	p.slots[slot].holder.Store(&worker{pool: p, slot: slot, wake: make(chan struct{}, 1), most: maxSetting})
	p.parked.Or(1 << slot)
}

// halt lets every worker end after its turn and abandons what waits.
func (p *pool) halt() {
	p.mu.Lock()
	before := p.halted.Swap(true)
	p.mu.Unlock()
	if before {
		return
	}
	close(p.quit)
	for _, d := range *p.known.Load() {
		for i := range d.queues {
			abandonAll(d.queues[i].inbox.close())
			abandonAll(d.queues[i].local.close())
		}
	}
	for p.wake() {
		continue
	}
}

// choose returns the dispatcher that is served next, entered, or nil; and when
// others wait too, the time from which the service is charged.
func (p *pool) choose() (d *dispatcher, since int64) {
	for {
		var open uint64
		left := p.ready.Load()
		known := *p.known.Load() // after ready: it knows all whose bits were set
		for ; left != 0; left &= left - 1 {
			d := known[bits.TrailingZeros64(left)]
			if d.running.Load() < d.most {
				open |= 1 << d.number
			}
		}
		if open == 0 {
			return nil, 0
		}
		i := bits.TrailingZeros64(open)
		if open&(open-1) != 0 {
			since = p.now()
			p.mu.Lock()
			i = p.fair.Pick(open)
			p.mu.Unlock()
		}
		if d := known[i]; d.running.Add(1) <= d.most {
			return d, since
		}
		known[i].running.Add(-1)
	}
}

// run is a worker's goroutine: it serves dispatchers while it holds its slot,
// and parks when there is nothing to do.
func (w *worker) run() {
	p := w.pool
	defer p.ended.Done()
	for !p.halted.Load() {
		if d, since := p.choose(); d == nil {
			runtime.Gosched() // whom this worker has answered may be back with more
			if !p.work(p.ready.Load()) {
				w.park()
			}
		} else if !w.serve(d, since) {
			return
		}
	}
}

// park waits for work.
func (w *worker) park() {
	p := w.pool
	bit := uint64(1) << w.slot
	p.parked.Or(bit)
	if p.halted.Load() && p.parked.And(^bit)&bit != 0 {
		return
	}
	if p.work(p.ready.Load()) {
		p.wake() // this worker or another: they all look at the same
	}
	<-w.wake
}

// work reports whether one of the dispatchers with these bits may be served.
func (p *pool) work(ready uint64) bool {
	known := *p.known.Load()
	for left := ready; left != 0; left &= left - 1 {
		d := known[bits.TrailingZeros64(left)]
		if d.running.Load() < d.most {
			return true
		}
	}
	return false
}

// more reports whether there is work beside the task that a worker of d took.
func (p *pool) more(d *dispatcher) bool {
	if d.running.Load() < d.most && d.some() {
		return true
	}
	return p.work(p.ready.Load() &^ (1 << d.number))
}

// serve runs tasks of one dispatcher until there are none, or others wait and
// the slice is over, which began when others were first seen waiting. It
// reports whether the worker still holds its slot.
func (w *worker) serve(d *dispatcher, since int64) (holds bool) {
	p := w.pool
	running := false
	if w.serving.Load() != d {
		w.serving.Store(d)
	}
	defer func() {
		if running { // a Receive ended this goroutine
			w.leave(d, since)
			if w.endTurn() {
				p.settle(w.slot)
			}
			p.announce(d)
		}
	}()
	own := &d.queues[w.slot%len(d.queues)]
	nth := own.served.Load()
	for ; !p.halted.Load(); nth++ {
		t := d.next(w.slot, nth)
		if t == nil {
			if p.rest(d) {
				continue
			}
			break
		}
		if p.parked.Load() != 0 && p.more(d) {
			p.wake() // what was pushed while this worker was on its way woke nobody
		}
		running = true
		w.turns.Add(1)
		again := t.turn(w)
		running = false
		if !w.endTurn() {
			w.retire(d, since, t, again)
			return false
		}
		if again {
			if !own.inbox.push(t, nil) { // behind those that wait
				t.abandon()
			}
			p.mark(d)
		}
		if others := p.ready.Load() &^ (1 << d.number); others != 0 {
			now := p.now()
			if since == 0 {
				since = now
			} else if now-since >= int64(slice) {
				break
			}
		}
	}
	own.served.Store(nth + 1)
	w.leave(d, since)
	return true
}

// lost is the bit of turns that the guard sets when it takes the slot.
const lost = 1 << 31

// endTurn reports whether the worker still has its slot.
func (w *worker) endTurn() bool {
	turns := w.turns.Load()
	return turns&lost == 0 && w.turns.CompareAndSwap(turns, (turns+1)&^lost)
}

// rest clears d's bit when it has no task; true when one came meanwhile.
func (p *pool) rest(d *dispatcher) (again bool) {
	bit := uint64(1) << d.number
	p.ready.And(^bit)
	if !d.some() {
		return false
	}
	p.ready.Or(bit)
	return true
}

// leave ends a worker's service for d.
func (w *worker) leave(d *dispatcher, since int64) {
	w.flush()
	if since != 0 {
		p := w.pool
		p.mu.Lock()
		p.fair.Charge(d.number, p.now()-since)
		p.mu.Unlock()
	}
	d.running.Add(-1)
}

// retire ends a worker that lost its slot while its turn ran.
func (w *worker) retire(d *dispatcher, since int64, t task, again bool) {
	w.leave(d, since)
	if again && !w.pool.push(d, nil, t, uint8(w.slot)) {
		t.abandon()
		return
	}
	if d.some() {
		w.pool.announce(d)
	}
}
