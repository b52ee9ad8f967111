package actor

import (
	"context"
	"errors"
	"fmt"
)

// storeCalls is how many calls of snapshot stores are under way at once: enough
// that a disk can put their fsyncs together, few beside what it can take.
const storeCalls = 16

// storage is where snapshot stores are called: goroutines of its own, so that a
// slow disk holds no worker of the pool.
type storage struct {
	queue
	ctx    context.Context // of all calls
	cancel context.CancelFunc
}

func newStorage(s *ActorSystem) *storage {
	ctx, cancel := context.WithCancel(context.Background())
	return &storage{s.newQueue(storeCalls, false), ctx, cancel}
}

// halt ends the calls that are under way as well.
func (s *storage) halt() {
	s.cancel()
	s.queue.halt()
}

// errand is a function as a task: a call of a store, or what is piped when
// everything is stepped.
type errand struct {
	link
	run  func()
	lost func() // in place of run: the system has stopped
}

func (e *errand) queued() *link { return &e.link }

func (e *errand) abandon() { e.lost() }

func (e *errand) turn(*worker) (again bool) {
	e.run()
	return false
}

// storeCall is what a store is asked to do for an actor.
type storeCall uint8

const (
	noCall   storeCall = iota
	loading            // to activate it
	saving             // to let it leave memory
	keeping            // to keep its state when the system stops
	deleting           // to end it for good
	ending             // nothing: it ends once the call under way has returned
)

// errNoReturn is the error of a call that ended its goroutine.
var errNoReturn = errors.New("actor: the store did not return")

// callLocked has the store called; false when nobody will do it any more.
func (a *cell[M]) callLocked(s *stay[M], call storeCall) bool {
	s.call = call
	state := s.state
	if a.kind.system.storage.push(&errand{
		run:  func() { a.carry(s, call, state) },
		lost: func() { a.lost(s) },
	}) {
		return true
	}
	s.call = noCall
	return false
}

// callNext has the store called once the call that is under way has returned:
// there is one at a time for an actor.
func (a *cell[M]) callNext(s *stay[M], call storeCall) {
	a.mu.Lock()
	if s.call != noCall {
		s.next = call
		a.mu.Unlock()
		return
	}
	if call != ending && a.callLocked(s, call) {
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	a.end(s.reason)
}

// carry calls the store.
func (a *cell[M]) carry(s *stay[M], call storeCall, state []byte) {
	var data []byte
	err := errNoReturn
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("actor: the store panicked: %v", v)
		}
		a.called(s, data, err)
	}()
	store, ctx := a.kind.virtual.rules.Store, a.kind.system.storage.ctx
	switch {
	case store == nil:
		err = nil // there is nothing to keep
	case call == loading:
		data, err = store.Load(ctx, a.id)
	case call == deleting:
		err = store.Delete(ctx, a.id)
	default:
		err = store.Save(ctx, a.id, state)
	}
}

// called goes on after a call of the store.
func (a *cell[M]) called(s *stay[M], data []byte, err error) {
	a.mu.Lock()
	call := s.call
	s.call = noCall
	if next := s.next; next != noCall { // it failed, or ends, since the save began
		s.next = noCall
		a.mu.Unlock()
		a.stayedAfter(s, err, false)
		a.callNext(s, next)
		return
	}
	switch call {
	case loading:
		a.loadedAndUnlock(s, data, err)
	case saving:
		a.savedAndUnlock(s, err)
	case keeping:
		a.keptAndUnlock(s, err)
	default:
		a.mu.Unlock()
		if err != nil {
			a.kind.virtual.failed(failedDelete, a.id, err)
			s.reason = fmt.Errorf("actor: stop %s: its snapshot is still there: %w", a.pid(), err)
		} else {
			a.kind.virtual.worked(failedDelete)
		}
		a.end(s.reason)
	}
}

// lost ends an actor whose call nobody makes any more, unless it has a turn
// before it, whose dispatcher does.
func (a *cell[M]) lost(s *stay[M]) {
	a.mu.Lock()
	call := s.call
	s.call = noCall
	stirred := call == saving && a.status != idle && s.next == noCall
	a.mu.Unlock()
	if !stirred {
		a.abandon()
	}
}
