package actor_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

func TestAPipeBringsItsResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		ref, log := scripted(t, s, nil)
		slow := func(result string) func(context.Context) any {
			return func(context.Context) any {
				time.Sleep(2 * time.Second)
				return result
			}
		}
		tell[any](t, ref, func(c *actor.Context) {
			if err := c.PipeTo(slow("own")); err != nil {
				t.Error(err)
			}
			c.After(time.Second, "not blocked")
		})
		time.Sleep(time.Second)
		if err := actor.PipeTo(ref, slow("from outside")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := sum(t, reg, "atrium_actor_pipes"); n != 2 {
			t.Errorf("%d pipes are under way", n)
		}
		time.Sleep(time.Minute)
		expect(t, log(), "not blocked@1", "own@2", "from outside@3")
	})
}

func TestAPipeWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		ref, log := scripted(t, s, func(p *actor.Props) *actor.Props { return p.WithMailbox(actor.Mailbox{Size: 1}) })
		tell[any](t, ref, func(c *actor.Context) {
			if err := c.PipeTo(func(context.Context) any { return "result" }); err != nil {
				t.Error(err)
			}
			time.Sleep(3 * time.Second)
		})
		time.Sleep(time.Minute)
		expect(t, log(), "result@3")
	})
}

// The end of the actor, and that of the system, end what it waits for.
func TestAPipeEndsWithWhomItIsFor(t *testing.T) {
	for name, end := range map[string]func(*actor.ActorSystem, actor.Ref[any]) error{
		"actor":  func(_ *actor.ActorSystem, ref actor.Ref[any]) error { return ref.Stop() },
		"system": func(s *actor.ActorSystem, _ actor.Ref[any]) error { return s.Stop(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, reg := newSystem(t)
				ref, log := scripted(t, s, nil)
				err := actor.PipeTo(ref, func(ctx context.Context) any {
					<-ctx.Done()
					return "too late"
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := end(s, ref); err != nil {
					t.Fatal(err)
				}
				handled, refused := len(log()), refusals(t, reg, "stopped")
				if n := sum(t, reg, "atrium_actor_pipes"); n != 0 || handled+refused != 1 {
					t.Errorf("%d pipes are under way, %d results handled, %d refused", n, handled, refused)
				}
			})
		})
	}
}

func TestStopNamesThePipesThatDoNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		ref, _ := scripted(t, s, nil)
		gate := make(chan struct{})
		if err := actor.PipeTo(ref, func(context.Context) any { <-gate; return nil }); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 functions of PipeTo") {
			t.Errorf("Stop = %v", err)
		}
		if err := actor.PipeTo(ref, func(context.Context) any { return nil }); !errors.Is(err, actor.ErrSystemStopped) {
			t.Errorf("PipeTo after Stop = %v", err)
		}
		close(gate)
	})
}

func TestAPanicInAPipe(t *testing.T) {
	for name, end := range map[string]func(){
		"panic":  func() { panic("pipe") },
		"goexit": runtime.Goexit,
	} {
		run := func(context.Context) any { end(); return nil }
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, reg := newSystem(t)
				restarts := listen[actor.Restarted](t, s)
				ref, log := scripted(t, s, func(p *actor.Props) *actor.Props {
					return p.WithGuardian(supervise.Strategy{OnFailure: supervise.Restart})
				})
				if err := actor.PipeTo(ref, run); err != nil {
					t.Fatal(err)
				}
				tell[any](t, ref, "not harmed")
				expect(t, log(), "not harmed@0")
				if n := len(restarts()); n != 0 {
					t.Errorf("%d restarts by what others piped", n)
				}
				tell[any](t, ref, func(c *actor.Context) {
					if err := c.PipeTo(run); err != nil {
						t.Error(err)
					}
				})
				all := restarts()
				var reason *actor.PanicError
				if len(all) != 1 || !errors.As(all[0].Reason, &reason) || reason.PID != ref.PID() {
					t.Errorf("restarts %+v", all)
				}
				if n := sum(t, reg, "atrium_actor_panics_total"); n != 2 || sum(t, reg, "atrium_actor_pipes") != 0 {
					t.Errorf("%d panics counted", n)
				}
			})
		})
	}
}

func TestPipesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 10_000
		s, reg := newSystem(t)
		ref := spawn(t, s, on(nothing).WithMailbox(actor.Mailbox{Size: 2 * bound}), "a")
		gate := make(chan struct{})
		run := func(context.Context) int { <-gate; return 1 }
		for range bound {
			if err := actor.PipeTo(ref, run); err != nil {
				t.Fatal(err)
			}
		}
		if err := actor.PipeTo(ref, run); !errors.Is(err, actor.ErrPipesFull) || refusals(t, reg, "pipes_full") != 1 {
			t.Errorf("one more: %v, %d refused", err, refusals(t, reg, "pipes_full"))
		}
		close(gate)
		synctest.Wait()
		if err := actor.PipeTo(ref, run); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := handled(t, reg); n != bound+1 {
			t.Errorf("%d results", n)
		}
	})
}

func TestWhoCannotBePipedTo(t *testing.T) {
	s, _ := newSystem(t)
	g, err := s.NewGroup("g", actor.GroupConfig{})
	if err != nil {
		t.Fatal(err)
	}
	member, err := actor.SpawnIn(g, on(nothing), "member")
	if err != nil {
		t.Fatal(err)
	}
	gone := spawn(t, s, on(nothing), "gone")
	_ = gone.Stop()
	<-gone.Stopped()
	for _, c := range []struct {
		to   actor.Ref[int]
		want error
	}{{member, actor.ErrOutsideGroup}, {gone, actor.ErrStopped}, {actor.Ref[int]{}, actor.ErrStopped}} {
		if err := actor.PipeTo(c.to, func(context.Context) int { t.Error("it ran"); return 0 }); !errors.Is(err, c.want) {
			t.Errorf("PipeTo(%s) = %v, want %v", c.to, err, c.want)
		}
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
}
