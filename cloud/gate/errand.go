package gate

import "sync"

// errand does something whenever it is called, never twice at once: calls that
// come while it is being done are one more. An idle connection has no goroutine
// for it; a goroutine that waits takes 5 KiB.
type errand struct {
	do   func()
	runs sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	called  bool       // since do last began
	running bool
	over    bool
}

// call has it done; it waits for nothing.
func (e *errand) call() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.called = true
	if !e.running && !e.over {
		e.running = true
		e.runs.Go(e.run)
	}
}

func (e *errand) run() {
	for e.next() {
		e.do()
	}
}

func (e *errand) next() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = e.called && !e.over
	e.called = false
	return e.running
}

// stop waits for what is being done. Calls after it do nothing.
func (e *errand) stop() {
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	e.runs.Wait()
}
