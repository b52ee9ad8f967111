package actor

import (
	"sync"
	"testing"
	"time"
)

// handOver gives mu to those that come for it by first, and then by second, one
// directly after the other, whatever either does in between: a sync.Mutex goes
// from hand to hand once somebody who has waited for a millisecond did not get
// it. Where the sleeps are too short, the order is another one.
func handOver(mu *sync.Mutex, first, second func()) {
	const wait = 3 * time.Millisecond
	mu.Lock()
	first()
	time.Sleep(wait)
	second()
	time.Sleep(wait)
	mu.Unlock()
	mu.Lock()
	time.Sleep(wait)
	mu.Unlock()
}

// A turn that finds nothing, and a sender that comes as soon as the turn lets
// go of the lock: the actor must be idle by then, or nobody wakes it.
func TestAnActorIsIdleByTheSameLookThatFoundNothing(t *testing.T) {
	const rounds, stall = 20, 10 * time.Second
	s := NewActorSystem(Config{Address: "node"}, nil)
	begun, goOn := make(chan struct{}), make(chan struct{})
	ref, err := Spawn(s.Engine(), PropsOf(func() ReceiverOf[int] {
		return behaviour[int](func(*ContextOf[int]) {
			begun <- struct{}{}
			<-goOn
		})
	}), "a")
	if err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		if err := ref.Tell(1); err != nil {
			t.Fatal(err)
		}
		<-begun
		told := make(chan error, 1)
		handOver(&ref.cell.mu, func() { goOn <- struct{}{} }, func() { go func() { told <- ref.Tell(2) }() })
		if err := <-told; err != nil {
			t.Fatal(err)
		}
		select {
		case <-begun:
			goOn <- struct{}{}
		case <-time.After(stall):
			t.Fatalf("round %d: a message waits in an idle actor", round)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}
