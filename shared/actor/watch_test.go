package actor_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/shared/actor"
)

func TestAWatcherLearnsOfEveryKindOfEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		crash := on(func(*actor.ContextOf[int]) { panic("x") })
		living, crashing, ended := spawn(t, s, crash, "living"), spawn(t, s, crash, "crashing"), spawn(t, s, crash, "ended")
		if err := ended.Tell(1); err != nil {
			t.Fatal(err)
		}
		<-ended.Stopped()
		got := map[string]error{}
		spawn(t, s, props(funcOf[actor.Terminated]{
			started: func(ctx *actor.ContextOf[actor.Terminated]) {
				for _, r := range []actor.Ref[int]{living, crashing, ended, {}} {
					if err := actor.Watch(ctx, r, func(n actor.Terminated) actor.Terminated { return n }); err != nil {
						t.Error(err)
					}
				}
			},
			receive: func(ctx *actor.ContextOf[actor.Terminated]) { got[ctx.Message().PID.ID] = ctx.Message().Reason },
		}), "watcher")
		synctest.Wait()
		if len(got) != 2 || got["ended"] == nil || got[""] != nil {
			t.Fatalf("notices of dead actors: %v", got)
		}
		if err := living.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := crashing.Tell(1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var p *actor.PanicError
		if r, ok := got["living"]; !ok || r != nil || !errors.As(got["crashing"], &p) {
			t.Fatalf("notices: %v", got)
		}
	})
}

func TestANoticeIsAcceptedBeyondTheBoundOnceAWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		if err := s.RegisterDispatcher("small", actor.DispatcherConfig{Throughput: 1, MailboxSize: 1, MaxConcurrency: 2}); err != nil {
			t.Fatal(err)
		}
		const watches = 40 // more than minSweep: a live watcher is never swept away
		target := spawn(t, s, on(func(*actor.ContextOf[int]) {}), "target")
		gate, notices := make(chan struct{}), 0
		watcher := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
			switch ctx.Message() {
			case 0:
				for range watches {
					if err := actor.Watch(ctx, target, func(actor.Terminated) int { return 1 }); err != nil {
						t.Error(err)
					}
				}
				<-gate
			case 1:
				notices++
			}
		}).WithDispatcher("small"), "watcher")
		if err := watcher.Tell(0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := target.Stop(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := watcher.Tell(2); !errors.Is(err, actor.ErrMailboxFull) {
			t.Fatalf("Tell to a full mailbox = %v", err)
		}
		close(gate)
		synctest.Wait()
		if notices != watches {
			t.Fatalf("%d notices, want %d", notices, watches)
		}
	})
}

func TestAPanicInAWatchsWrapHurtsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		target := spawn(t, s, on(func(*actor.ContextOf[int]) {}), "target")
		spawn(t, s, props(funcOf[int]{
			receive: func(*actor.ContextOf[int]) {},
			started: func(ctx *actor.ContextOf[int]) {
				if err := actor.Watch(ctx, target, func(actor.Terminated) int { panic("wrap") }); err != nil {
					t.Error(err)
				}
			},
		}), "watcher")
		synctest.Wait()
		if err := target.Stop(); err != nil {
			t.Fatal(err)
		}
		<-target.Stopped()
		synctest.Wait()
		if n := sum(t, reg, "atrium_actor_panics_total"); n != 1 {
			t.Fatalf("%d panics counted", n)
		}
	})
}
