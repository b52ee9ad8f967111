package actor_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// What an actor leaves that failed by Fail is no panic's: the counter of panics
// is one that somebody looks after.
func TestWhatWaitsWhenAnActorFailsIsADeadLetterOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		gate := make(chan struct{})
		ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
			<-gate
			ctx.Fail(errors.New("broken"))
		}), "a")
		tell(t, ref, 1, 2, 3)
		close(gate)
		<-ref.Stopped()
		if n := deadLetters(t, reg, "failure"); n != 2 {
			t.Errorf("%d dead letters of a failure, want 2", n)
		}
		if n := sum(t, reg, "atrium_actor_panics_total"); n != 0 {
			t.Errorf("%d panics counted", n)
		}
	})
}

func TestFailInAGroupEndsTheTurn(t *testing.T) {
	s, reg := newSystem(t)
	g := newGroup(t, s, 0)
	cause := errors.New("broken")
	ref := spawnIn(t, g, on(func(ctx *actor.ContextOf[int]) {
		if _, err := actor.SpawnChild(ctx, on(func(*actor.ContextOf[int]) {}), "child"); !errors.Is(err, actor.ErrOutsideGroup) {
			t.Errorf("SpawnChild in a group = %v", err)
		}
		ctx.Fail(nil)
		if ctx.Message() == 2 {
			ctx.Fail(cause)
		}
	}), "a")
	if err := actor.Turn(g, ref, 1); err != nil {
		t.Fatal(err)
	}
	var p *actor.PanicError
	if err := actor.Turn(g, ref, 2); !errors.Is(err, cause) || errors.As(err, &p) {
		t.Fatalf("a turn in which a member failed = %v", err)
	}
	if n := sum(t, reg, "atrium_actor_panics_total"); n != 0 {
		t.Fatalf("%d panics counted", n)
	}
	if err := actor.Turn(g, ref, 3); !errors.Is(err, actor.ErrGroupFailed) {
		t.Fatalf("the turn after it = %v", err)
	}
}

func TestSpawnRefusesAStrategyThatCannotBeFollowed(t *testing.T) {
	s, _ := newSystem(t)
	bad := supervise.Strategy{MaxRestarts: -1}
	idle := on(func(*actor.ContextOf[int]) {})
	for _, p := range []*actor.PropsTyped[int]{idle.WithSupervisor(bad), idle.WithGuardian(bad)} {
		_, err := actor.Spawn(s.Engine(), p, "a")
		if field := (*supervise.FieldError)(nil); !errors.As(err, &field) || field.Field != "MaxRestarts" {
			t.Errorf("Spawn = %v", err)
		}
	}
	spawn(t, s, idle, "a")
}

func TestRestartsAndEscalationsAreEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		var got []string
		listener := spawn(t, s, on(func(ctx *actor.ContextOf[string]) { got = append(got, ctx.Message()) }), "listener")
		if _, err := actor.Subscribe(s.Events(), listener, func(e actor.Event) (string, bool) {
			switch e := e.(type) {
			case actor.Restarted:
				return "restarted " + e.PID.ID + ": " + short(e.Reason), true
			case actor.Escalated:
				return "escalated " + e.PID.ID + ": " + short(e.Reason), true
			}
			return "", false
		}); err != nil {
			t.Fatal(err)
		}
		var child actor.Ref[int]
		spawn(t, s, props(funcOf[int]{
			receive: func(*actor.ContextOf[int]) {},
			started: func(ctx *actor.ContextOf[int]) {
				var err error
				child, err = actor.SpawnChild(ctx, on(func(ctx *actor.ContextOf[int]) { ctx.Fail(errors.New("broken")) }), "child")
				if err != nil {
					t.Error(err)
				}
			},
		}).WithSupervisor(supervise.Strategy{OnFailure: supervise.Escalate}).
			WithGuardian(supervise.Strategy{OnFailure: supervise.Restart}), "p")
		synctest.Wait()
		if err := child.Tell(1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := []string{"escalated p/child: broken", "restarted p: broken"}
		if !slices.Equal(got, want) {
			t.Errorf("%s, want %s", strings.Join(got, "; "), strings.Join(want, "; "))
		}
	})
}

// What was handled before the failure of another is counted, also when the
// actor ends in the same turn.
func TestWhatWasHandledIsCountedWhenARestartBecomesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		gate := make(chan struct{})
		var child, bad actor.Ref[int]
		spawn(t, s, props(funcOf[int]{
			receive: func(*actor.ContextOf[int]) {},
			started: func(ctx *actor.ContextOf[int]) {
				var err, also error
				child, err = actor.SpawnChild(ctx, props(funcOf[int]{
					receive: func(*actor.ContextOf[int]) { <-gate },
					stopped: func(ctx *actor.ContextOf[int], _ error) { ctx.Stop() },
				}), "child")
				bad, also = actor.SpawnChild(ctx, on(func(*actor.ContextOf[int]) { panic("bad") }), "bad")
				if err := errors.Join(err, also); err != nil {
					t.Error(err)
				}
			},
		}).WithSupervisor(supervise.Strategy{Scope: supervise.AllForOne, OnFailure: supervise.Restart}), "parent")
		synctest.Wait()
		tell(t, child, 1)
		synctest.Wait()
		tell(t, bad, 1)
		synctest.Wait()
		close(gate)
		<-child.Stopped()
		synctest.Wait()
		if n := handled(t, reg); n != 2 {
			t.Errorf("%d messages counted, want one of each child", n)
		}
	})
}

// The context of a turn is used again: an actor that has ended in it must not
// look at what another handles.
func TestAnActorThatHasEndedHasNoMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		one := actor.DispatcherConfig{Throughput: 9, MailboxSize: 9, MaxConcurrency: 1, Kind: actor.Blocking}
		if err := s.RegisterDispatcher("one", one); err != nil {
			t.Fatal(err)
		}
		parent := spawn(t, s, props(funcOf[int]{
			receive: func(*actor.ContextOf[int]) {},
			started: func(ctx *actor.ContextOf[int]) {
				if _, err := actor.SpawnChild(ctx, on(func(*actor.ContextOf[string]) {}), "child"); err != nil {
					t.Error(err)
				}
			},
		}).WithDispatcher("one"), "parent")
		if err := parent.Stop(); err != nil {
			t.Fatal(err)
		}
		<-parent.Stopped()
		synctest.Wait()
		gate := make(chan struct{})
		next := spawn(t, s, on(func(*actor.ContextOf[int]) { <-gate }).WithDispatcher("one"), "next")
		if n, err := next.TellBatch([]int{1, 2, 3, 4, 5}); err != nil {
			t.Fatal(n, err)
		}
		gate <- struct{}{}
		synctest.Wait()
		if n := parent.Waiting(); n != 0 {
			t.Errorf("%d messages wait for an actor that has ended", n)
		}
		close(gate)
	})
}
