package actor_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/shared/actor"
)

// A burst from outside wakes one worker, which wakes the next: its own first
// turn may be one that blocks.
func TestABurstRunsOnAllWorkersAlthoughItsTurnsBlock(t *testing.T) {
	for _, dispatchers := range []int{1, 2} {
		t.Run(fmt.Sprint(dispatchers), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := newSystem(t)
				workers := runtime.GOMAXPROCS(0)
				gate, inTurn := make(chan struct{}), make(chan struct{}, workers)
				var refs []actor.Ref[int]
				for i := range workers {
					name := fmt.Sprint("d", i%dispatchers)
					if i < dispatchers {
						if err := s.RegisterDispatcher(name, actor.DispatcherConfig{Throughput: 1, MailboxSize: 1, MaxConcurrency: workers}); err != nil {
							t.Fatal(err)
						}
					}
					refs = append(refs, spawn(t, s, on(func(*actor.ContextOf[int]) {
						inTurn <- struct{}{}
						<-gate
					}).WithDispatcher(name), fmt.Sprint(i)))
				}
				for _, ref := range refs {
					if err := ref.Tell(1); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if n := len(inTurn); n != workers {
					t.Errorf("%d of %d turns began", n, workers)
				}
				close(gate)
			})
		})
	}
}
