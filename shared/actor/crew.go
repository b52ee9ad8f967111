package actor

import (
	"runtime"
	"sync"
)

// crew is the workers of one dispatcher that shares them with nobody. Actors
// that have work stand in the queue once; each worker takes the oldest, runs
// one turn, and puts it back at the tail if it wants another.
//
// No wake-up is lost: a worker looks at the queue under mu before it parks,
// and whoever leaves something in the queue under mu calls wakeLocked. waking
// keeps a burst of pushes from signalling more than one worker at a time; the
// woken one wakes the next.
type crew struct {
	now    func() int64
	most   int
	pinned bool // each worker keeps its operating system thread

	mu      sync.Mutex
	ready   sync.Cond
	tasks   list
	pushes  uint32
	workers int
	parked  int
	waking  bool
	halted  bool
	ended   sync.WaitGroup // workers
}

func newCrew(now func() int64, most int, pinned bool) *crew {
	c := &crew{now: now, most: most, pinned: pinned}
	c.ready.L = &c.mu
	return c
}

func (c *crew) push(t task) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.halted {
		return false
	}
	if c.pushes++; c.pushes%samplePushes == 1 {
		t.queued().since = c.now()
	}
	c.tasks.push(t)
	c.wakeLocked()
	return true
}

// wakeLocked sees to it that what is in the queue has a worker coming.
func (c *crew) wakeLocked() {
	switch {
	case c.tasks.n == 0 || c.waking || c.halted:
	case c.parked > 0:
		c.waking = true
		c.ready.Signal()
	case c.workers < c.most:
		c.waking = true
		c.workers++
		c.ended.Add(1)
		go c.work()
	}
}

func (c *crew) work() {
	if c.pinned {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	w := &worker{most: maxSetting}
	c.mu.Lock()
	c.waking = false
	running := false
	defer func() {
		if running { // a Receive ended this goroutine
			w.flush()
			c.mu.Lock()
		}
		c.workers--
		c.wakeLocked()
		c.mu.Unlock()
		c.ended.Done()
	}()
	for {
		for c.tasks.n == 0 && !c.halted {
			c.parked++
			c.ready.Wait()
			c.parked--
			c.waking = false
		}
		if c.halted {
			return
		}
		t := c.tasks.pop()
		c.wakeLocked()
		running = true
		c.mu.Unlock()
		again := t.turn(w)
		w.flush()
		c.mu.Lock()
		running = false
		switch {
		case !again:
		case !c.halted:
			c.tasks.push(t)
		default:
			c.mu.Unlock()
			t.abandon()
			c.mu.Lock()
		}
	}
}

func (c *crew) depth() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tasks.n
}

// halt lets every worker end after its turn and abandons what waits.
func (c *crew) halt() {
	c.mu.Lock()
	c.halted = true
	left := c.tasks
	c.tasks = list{}
	c.ready.Broadcast()
	c.mu.Unlock()
	abandonAll(left)
}

func (c *crew) wait() { c.ended.Wait() }
