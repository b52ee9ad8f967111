package actor

import "testing"

// probe is a task that tells when its place in a queue is touched, and when it
// runs.
type probe struct {
	link
	touched func()
	run     func(w *worker) (again bool)
}

func (t *probe) queued() *link {
	if t.touched != nil {
		t.touched()
	}
	return &t.link
}

func (t *probe) turn(w *worker) (again bool) { return t.run != nil && t.run(w) }

func (*probe) abandon() {}

// byHand makes a pool of two slots whose workers are the test, and two
// dispatchers that both want to be served.
func byHand(t *testing.T) (p *pool, w *worker, d *dispatcher) {
	t.Helper()
	p = newPool(2, func() int64 { return 1 << 40 }, func(*dispatcher) {})
	p.parked.Store(0)
	d, other := &dispatcher{most: 2}, &dispatcher{most: 2}
	for _, d := range []*dispatcher{d, other} {
		if err := p.add(d, 1); err != nil {
			t.Fatal(err)
		}
		p.mark(d)
	}
	return p, p.slots[0].holder.Load(), d
}

// serveOnce is a service that is over after one turn, since the other
// dispatcher waits for long.
func serveOnce(t *testing.T, w *worker, d *dispatcher) {
	t.Helper()
	d.running.Add(1)
	begun := w.turns.Load()
	if !w.serve(d, 1) {
		t.Fatal("the worker lost its slot")
	}
	if n := (w.turns.Load() - begun) / 2; n != 1 {
		t.Fatalf("%d turns, want the one after which the slice is over", n)
	}
}

// While a worker has tasks in its hands, another may find the queues empty and
// note that nobody need look at this dispatcher. What then comes back must be
// noted again: the worker may leave it for the other dispatcher.
func TestWhatAWorkerPutsBackIsSeenAlthoughAnotherFoundNothing(t *testing.T) {
	t.Run("tasks on their way between two queues", func(t *testing.T) {
		p, w, d := byHand(t)
		for range 3 {
			d.queues[0].inbox.push(&probe{touched: func() { p.rest(d) }}, nil)
		}
		serveOnce(t, w, d)
		seen(t, p, d)
	})
	t.Run("a task that wants another turn", func(t *testing.T) {
		p, w, d := byHand(t)
		d.queues[0].local.push(&probe{run: func(*worker) bool {
			p.rest(d)
			return true
		}}, nil)
		serveOnce(t, w, d)
		seen(t, p, d)
	})
}

func seen(t *testing.T, p *pool, d *dispatcher) {
	t.Helper()
	if !d.some() {
		t.Fatal("nothing waits: the test shows nothing")
	}
	if p.ready.Load()&(1<<d.number) == 0 {
		t.Error("tasks wait, and no worker will look at them")
	}
}

// Two actors that always wake one another keep a worker's queue busy for ever.
// One that was told from outside has its turn all the same, also where another
// dispatcher cuts each service short.
func TestActorsThatWakeOneAnotherDoNotKeepOutWhoWasToldFromOutside(t *testing.T) {
	p, w, d := byHand(t)
	var ping, pong *probe
	ping = &probe{run: func(w *worker) bool { return !p.push(d, w, pong, 0) }}
	pong = &probe{run: func(w *worker) bool { return !p.push(d, w, ping, 0) }}
	d.queues[0].local.push(ping, nil)
	for _, q := range []int{0, 1} { // its own worker's queue, and one whose worker is elsewhere
		ran := false
		d.queues[q].inbox.push(&probe{run: func(*worker) bool {
			ran = true
			return false
		}}, nil)
		for turns := 0; !ran; turns++ {
			if turns > 3*localRuns {
				t.Fatalf("a task of queue %d waits after %d turns of others", q, turns)
			}
			serveOnce(t, w, d)
		}
	}
}

// A thief takes the older half. What it does not run stands in its own queue.
func TestWhatIsStolenRunsOnce(t *testing.T) {
	const tasks = 100 // more than a thief takes at once
	_, w, d := byHand(t)
	ran := make([]int, tasks)
	for i := range tasks {
		d.queues[1].local.push(&probe{run: func(*worker) bool {
			ran[i]++
			return false
		}}, nil)
	}
	for turns := 0; d.some(); turns++ {
		if turns == tasks {
			t.Fatal("more turns than tasks")
		}
		serveOnce(t, w, d)
	}
	for i, n := range ran {
		if n != 1 {
			t.Errorf("task %d ran %d times", i, n)
		}
	}
}

// A dispatcher may be registered, and have work, while a worker looks for some.
func TestAWorkerThatChoosesKnowsADispatcherThatCameMeanwhile(t *testing.T) {
	p, _, _ := byHand(t)
	late := &dispatcher{most: 1}
	p.now = func() int64 { // called once two dispatchers are seen to wait
		for _, d := range *p.known.Load() {
			d.running.Store(d.most) // others were faster
		}
		if err := p.add(late, 1); err != nil {
			t.Fatal(err)
		}
		p.mark(late)
		return 1
	}
	if got, _ := p.choose(); got != late {
		t.Error("the dispatcher that came is not chosen")
	}
}
