package actor

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
)

// turnGuard knows the goroutines that are inside a turn, by the number that
// the runtime prints for them. Go offers no cheaper way to tell who calls.
type turnGuard struct {
	running atomic.Int32 // so that nothing is looked up while no turn runs

	mu    sync.Mutex
	turns map[string]int
}

func newTurnGuard() *turnGuard { return &turnGuard{turns: make(map[string]int)} }

// begin marks the calling goroutine until the returned function is called.
func (g *turnGuard) begin() (end func()) {
	self := goroutine()
	g.mu.Lock()
	g.turns[self]++
	g.mu.Unlock()
	g.running.Add(1)
	return func() {
		g.running.Add(-1)
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.turns[self]--; g.turns[self] == 0 {
			delete(g.turns, self)
		}
	}
}

// inTurn reports whether the calling goroutine runs a turn.
func (g *turnGuard) inTurn() bool {
	if g.running.Load() == 0 {
		return false
	}
	self := goroutine()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.turns[self] > 0
}

// goroutine returns the second word of "goroutine 18 [running]:".
func goroutine() string {
	var buf [64]byte
	fields := bytes.Fields(buf[:runtime.Stack(buf[:], false)])
	return string(fields[1])
}
