package actor

import (
	"testing"
	"testing/synctest"
)

// quiet is byHand with nothing to do: the worker w is awake, and whoever wakes
// it puts a token into w.wake.
func quiet(t *testing.T) (p *pool, w *worker, d *dispatcher) {
	t.Helper()
	p, w, d = byHand(t)
	p.ready.Store(0)
	p.guards.Store(true) // no turn is to be watched
	w.awake = true
	return p, w, d
}

// A task that comes after a worker has found nothing, and before it is parked,
// wakes nobody: the worker must look once more.
func TestAWorkerLooksAgainOnceItIsParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w, d := quiet(t)
		if !p.push(d, nil, &probe{}, 0) {
			t.Fatal("the task was not taken")
		}
		back := make(chan struct{})
		go func() {
			w.park()
			close(back)
		}()
		synctest.Wait()
		select {
		case <-back:
		default:
			t.Error("the worker sleeps, and a task waits")
			w.wake <- struct{}{}
			<-back
		}
	})
}

// A worker that parks while a task is on its way into the queue finds none
// there: the sender must look for parked workers after that.
func TestASenderLooksForParkedWorkersAfterItsTaskIsThere(t *testing.T) {
	p, w, d := quiet(t)
	parks := &probe{touched: func() { p.parked.Or(1 << w.slot) }}
	if !p.push(d, nil, parks, 0) {
		t.Fatal("the task was not taken")
	}
	seen(t, p, d)
	if len(w.wake) == 0 {
		t.Error("the worker sleeps, and a task waits")
	}
}

// A worker that is woken looks at once, and would sleep again.
func TestAWokenWorkerFindsTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, w, d := quiet(t)
		p.parked.Or(1 << w.slot)
		w.wake = make(chan struct{}) // holds the sender at the moment of waking
		go p.push(d, nil, &probe{}, 0)
		synctest.Wait()
		seen(t, p, d)
		<-w.wake
	})
}

// A task that comes after a worker has found a dispatcher empty, and before it
// notes that, is noted already: the worker must look once more.
func TestADispatcherIsEmptyOnlyAfterASecondLook(t *testing.T) {
	p, _, d := quiet(t)
	if !p.push(d, nil, &probe{}, 0) {
		t.Fatal("the task was not taken")
	}
	if !p.rest(d) {
		t.Error("the worker leaves, and a task waits")
	}
	seen(t, p, d)
}
