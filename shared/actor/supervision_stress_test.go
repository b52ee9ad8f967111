package actor_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// I5: while children fail, are restarted alone and with others, and take their
// parents with them, every accepted message is handled once or is a counted dead
// letter, and at the end nothing is left.
func TestRestartsUnderLoadLoseAndRepeatNothing(t *testing.T) {
	const parents, children, producers, rounds = 4, 4, 3, 2000
	s, reg := newSystem(t)
	var seen [producers * rounds]atomic.Uint32 // how often each message was handled
	child := on(func(ctx *actor.ContextOf[int]) {
		n := ctx.Message()
		if seen[n].Add(1); n%37 == 36 {
			panic("stress")
		} else if n%41 == 40 {
			ctx.Fail(errors.New("stress"))
		}
	}).WithMailbox(actor.Mailbox{Size: 8}) // so that the producers wait for restarts
	var mu sync.Mutex
	refs := make([]actor.Ref[int], parents*children)
	var restarts atomic.Int32
	up := make(chan struct{}, parents) // a token for each parent that has its children
	for p := range parents {
		scope := supervise.Scope(p % 2)
		spawn(t, s, props(funcOf[int]{
			receive: func(*actor.ContextOf[int]) {},
			started: func(ctx *actor.ContextOf[int]) {
				first := restarts.Add(1) <= parents
				for c := range children {
					ref, err := actor.SpawnChild(ctx, child, fmt.Sprint(c))
					if err != nil && (first || !errors.Is(err, actor.ErrSystemStopped)) { // a restart may meet the end
						t.Error(err)
					}
					mu.Lock()
					refs[p*children+c] = ref
					mu.Unlock()
				}
				if first {
					up <- struct{}{}
				}
			},
		}).WithGuardian(supervise.Strategy{OnFailure: supervise.Restart}).WithSupervisor(supervise.Strategy{
			Scope: scope, OnFailure: supervise.Restart, MaxRestarts: 10, Within: time.Hour, Exceeded: supervise.Escalate,
			Backoff: []supervise.Backoff{{}, {}, {Min: 1, Max: 1}, {Min: 1, Max: 1}}[p], // at once, or by the clock
		}), fmt.Sprint("p", p))
	}
	for range parents {
		<-up
	}
	var accepted atomic.Int32
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			for n := p * rounds; n < (p+1)*rounds; n++ {
				mu.Lock()
				ref := refs[n%len(refs)]
				mu.Unlock()
				err := ref.TellWait(context.Background(), n)
				if err == nil {
					accepted.Add(1)
				} else if !errors.Is(err, actor.ErrStopped) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	once := 0
	for n := range seen {
		switch seen[n].Load() {
		case 0:
		case 1:
			once++
		default:
			t.Errorf("message %d was handled %d times", n, seen[n].Load())
		}
	}
	dead := sum(t, reg, "atrium_actor_dead_letters_total")
	if int(accepted.Load()) != once+dead || handled(t, reg) != once {
		t.Errorf("%d accepted, %d handled (%d counted), %d dead letters", accepted.Load(), once, handled(t, reg), dead)
	}
	if restarts.Load() == parents || sum(t, reg, "atrium_actor_restarts_total") < 10*parents {
		t.Error("too little failed: the test shows nothing")
	}
	if n := sum(t, reg, "atrium_actor_actors"); n != 0 {
		t.Errorf("%d actors left", n)
	}
}
