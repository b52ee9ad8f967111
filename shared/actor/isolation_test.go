package actor_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
)

// A dispatcher whose handlers panic, block for ever or flood harms no other
// dispatcher: all messages of the others are handled while it goes on.
func TestABadDispatcherHarmsNoOther(t *testing.T) {
	handlers := map[string]func(ctx *actor.ContextOf[int], stop <-chan struct{}){
		"panics": func(*actor.ContextOf[int], <-chan struct{}) { panic("bad") },
		"blocks": func(_ *actor.ContextOf[int], stop <-chan struct{}) { <-stop },
		"floods": func(ctx *actor.ContextOf[int], stop <-chan struct{}) {
			select {
			case <-stop:
			default:
				_ = actor.Send(ctx, ctx.Self(), 1) // its own room is enough
			}
		},
	}
	for _, slots := range []int{1, 2, 4} {
		for _, kind := range []actor.Kind{actor.Pool, actor.Pinned, actor.Blocking} {
			for name, bad := range handlers {
				t.Run(fmt.Sprint(slots, "/", kind, "/", name), func(t *testing.T) {
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(slots))
					s, _ := newSystem(t)
					stop := make(chan struct{})
					defer close(stop)
					if err := s.RegisterDispatcher("bad", actor.DispatcherConfig{
						Throughput: 10, MailboxSize: 10, MaxConcurrency: 3, Kind: kind,
					}); err != nil {
						t.Fatal(err)
					}
					for i := range 6 { // more than it may run at once
						ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) { bad(ctx, stop) }).WithDispatcher("bad"), fmt.Sprint("bad", i))
						for range 3 {
							_ = ref.Tell(1) // refused where the first made it panic
						}
					}
					others(t, s)
				})
			}
		}
	}
}

// others tells good actors of all kinds, and waits until all was handled.
func others(t *testing.T, s *actor.ActorSystem) {
	t.Helper()
	const actors, messages = 5, 40
	var left atomic.Int64
	done := make(chan struct{})
	left.Store(3 * actors * messages)
	for _, kind := range []actor.Kind{actor.Pool, actor.Pinned, actor.Blocking} {
		name := fmt.Sprint("good ", kind)
		if err := s.RegisterDispatcher(name, actor.DispatcherConfig{
			Throughput: 3, MailboxSize: messages, MaxConcurrency: 2, Kind: kind,
		}); err != nil {
			t.Fatal(err)
		}
		for i := range actors {
			ref := spawn(t, s, on(func(*actor.ContextOf[int]) {
				if left.Add(-1) == 0 {
					close(done)
				}
			}).WithDispatcher(name), fmt.Sprint(name, i))
			for m := range messages {
				if err := ref.Tell(m); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	select {
	case <-done:
	case <-time.After(patience):
		t.Errorf("%d messages of other dispatchers wait", left.Load())
	}
}

// A handler that blocks loses the pool's worker and keeps its place under
// MaxConcurrency; when it returns, its actor goes on where it was.
func TestAStuckTurnKeepsItsPlaceAndComesBack(t *testing.T) {
	for _, slots := range []int{1, 2, 4} {
		for _, most := range []int{1, 2, 6} {
			t.Run(fmt.Sprint(slots, "/", most), func(t *testing.T) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(slots))
				synctest.Test(t, func(t *testing.T) {
					s, reg := newSystem(t)
					if err := s.RegisterDispatcher("d", actor.DispatcherConfig{Throughput: 2, MailboxSize: 9, MaxConcurrency: most}); err != nil {
						t.Fatal(err)
					}
					const actors, messages = 8, 5
					gate := make(chan struct{})
					var now, got atomic.Int32
					for i := range actors {
						ref := spawn(t, s, on(func(*actor.ContextOf[int]) {
							if n := int(now.Add(1)); n > most {
								t.Errorf("%d turns at once, want at most %d", n, most)
							}
							<-gate
							now.Add(-1)
							got.Add(1)
						}).WithDispatcher("d"), fmt.Sprint(i))
						for m := range messages {
							if err := ref.Tell(m); err != nil {
								t.Fatal(err)
							}
						}
					}
					time.Sleep(time.Second)
					if n := int(now.Load()); n != most {
						t.Errorf("%d turns are stuck, want MaxConcurrency, %d", n, most)
					}
					others(t, s)
					close(gate)
					time.Sleep(time.Second)
					if n := got.Load(); n != actors*messages {
						t.Errorf("%d messages handled, want %d", n, actors*messages)
					}
					// While one worker is at rest the others need none in their place.
					if n := sum(t, reg, "atrium_actor_stalls_total", "dispatcher", "d"); n == 0 && most >= slots {
						t.Error("no stall is counted")
					}
					if err := s.Stop(context.Background()); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}
