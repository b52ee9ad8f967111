package actor

import (
	"sync"
	"sync/atomic"
)

// list is a chain of tasks, oldest first.
type list struct {
	head, tail task
	n          int
}

func (l *list) push(t task) {
	t.queued().next = nil
	if l.tail == nil {
		l.head = t
	} else {
		l.tail.queued().next = t
	}
	l.tail = t
	l.n++
}

func (l *list) pop() task {
	t := l.head
	if t == nil {
		return nil
	}
	next := &t.queued().next
	l.head, *next = *next, nil
	if l.head == nil {
		l.tail = nil
	}
	l.n--
	return t
}

// stealMost bounds what is stolen at once: enough that a thief comes seldom,
// few enough that the owner does not wait while a long list is counted off.
const stealMost = 64

// half takes the older half off, at least one and at most stealMost.
func (l *list) half() (taken list) {
	for range min((l.n+1)/2, stealMost) {
		taken.push(l.pop())
	}
	return taken
}

// part is a list with a lock, and a flag that is read without it.
type part struct {
	mu     sync.Mutex
	some   atomic.Bool // whether tasks is not empty
	tasks  list
	pushes uint32
	closed bool
}

// samplePushes: of so many tasks that are pushed one is stamped, for its
// latency.
const samplePushes = 64

// push appends a task; false when the part is closed. Some are stamped, unless
// now is nil.
func (p *part) push(t task, now func() int64) bool {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return false
	}
	if p.pushes++; p.pushes%samplePushes == 1 && now != nil {
		t.queued().since = now()
	}
	p.tasks.push(t)
	if p.tasks.n == 1 {
		p.some.Store(true)
	}
	p.mu.Unlock()
	return true
}

func (p *part) pop() task {
	p.mu.Lock()
	t := p.tasks.pop()
	if p.tasks.n == 0 && t != nil {
		p.some.Store(false)
	}
	p.mu.Unlock()
	return t
}

// take takes all tasks, or the older half.
func (p *part) take(all bool) (taken list) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if all {
		taken, p.tasks = p.tasks, list{}
	} else {
		taken = p.tasks.half()
	}
	if p.tasks.n == 0 && taken.n > 0 {
		p.some.Store(false)
	}
	return taken
}

// fill puts tasks behind those that are there; false when it is closed.
func (p *part) fill(l list) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if p.tasks.tail == nil {
		p.tasks = l
	} else {
		p.tasks.tail.queued().next = l.head
		p.tasks.tail = l.tail
		p.tasks.n += l.n
	}
	p.some.Store(true)
	return true
}

func (p *part) close() list {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	left := p.tasks
	p.tasks = list{}
	p.some.Store(false)
	return left
}

// runQueue holds the tasks of one dispatcher that one slot of the pool looks
// at first. Senders push into the inbox; the slot's worker moves all of it to
// local at once, so that the two seldom want the same lock. Others steal from
// both when they have nothing to do.
type runQueue struct {
	inbox  part
	_      [cacheLine]byte
	local  part
	served atomic.Uint32 // tasks that the slot took in the services that ended
	_      [cacheLine]byte
}

// cacheLine keeps what different cores write apart.
const cacheLine = 64

func (q *runQueue) some() bool { return q.inbox.some.Load() || q.local.some.Load() }

func (q *runQueue) depth() int {
	n := 0
	for _, p := range [...]*part{&q.inbox, &q.local} {
		p.mu.Lock()
		n += p.tasks.n
		p.mu.Unlock()
	}
	return n
}

// localRuns is how many tasks a worker takes from its own queue before it looks
// further: actors that keep one another busy must not keep out those that were
// told from outside, or that wait in a queue whose worker is elsewhere.
const localRuns = 64

// next returns the task that a worker of slot i should run, or nil. It is the
// nth that this slot takes.
func (d *dispatcher) next(slot int, nth uint32) task {
	i := slot % len(d.queues)
	own := &d.queues[i]
	if nth%localRuns == localRuns-1 {
		d.lookFurther(i, int(nth/localRuns%uint32(len(d.queues))))
	}
	if own.local.some.Load() {
		if t := own.local.pop(); t != nil {
			return t
		}
	}
	if own.inbox.some.Load() {
		if t := d.first(i, own.inbox.take(true)); t != nil {
			return t
		}
	}
	for k := 1; k < len(d.queues); k++ {
		victim := &d.queues[(i+k)%len(d.queues)]
		for _, p := range [...]*part{&victim.local, &victim.inbox} {
			if !p.some.Load() {
				continue
			}
			if t := d.first(i, p.take(false)); t != nil {
				return t
			}
		}
	}
	return nil
}

// lookFurther puts what waits elsewhere behind what the worker took already.
func (d *dispatcher) lookFurther(i, round int) {
	d.keep(i, d.queues[i].inbox.take(true))
	if other := (i + 1 + round) % len(d.queues); other != i {
		d.keep(i, d.queues[other].inbox.take(false))
		d.keep(i, d.queues[other].local.take(false))
	}
}

// first takes the first task of what was found; the others go to queue i.
func (d *dispatcher) first(i int, found list) task {
	t := found.pop()
	d.keep(i, found)
	return t
}

// keep puts tasks behind those that queue i's worker has taken already.
func (d *dispatcher) keep(i int, found list) {
	if found.n == 0 {
		return
	}
	if !d.queues[i].local.fill(found) {
		abandonAll(found)
		return
	}
	d.pool.mark(d)
}

func abandonAll(l list) {
	for t := l.pop(); t != nil; t = l.pop() {
		t.abandon()
	}
}

// some reports whether a task waits.
func (d *dispatcher) some() bool {
	for i := range d.queues {
		if d.queues[i].some() {
			return true
		}
	}
	return false
}
