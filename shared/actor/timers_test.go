package actor_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// script is an actor whose messages are what it shall do.
type script = func(*actor.ContextOf[any])

// scripted spawns an actor that runs each script that it is told and notes all
// other messages, with the seconds that have passed.
func scripted(t *testing.T, s *actor.ActorSystem, change func(*actor.Props) *actor.Props) (ref actor.Ref[any], log func() []string) {
	t.Helper()
	var lines []string
	begin := time.Now()
	p := on(func(ctx *actor.ContextOf[any]) {
		if do, ok := ctx.Message().(script); ok {
			do(ctx)
			return
		}
		lines = append(lines, fmt.Sprintf("%v@%d", ctx.Message(), time.Since(begin)/time.Second))
	})
	if change != nil {
		p = change(p)
	}
	ref = spawn(t, s, p, "scripted")
	return ref, func() []string {
		synctest.Wait()
		return lines
	}
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimersBringTheirMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		ref, log := scripted(t, s, nil)
		var every actor.Timer
		tell[any](t, ref, func(c *actor.Context) {
			c.After(3*time.Second, "late")
			c.After(time.Second, "soon")
			c.After(-1, "now")
			every = c.Every(2*time.Second, "tick")
		})
		time.Sleep(5 * time.Second)
		tell[any](t, ref, func(*actor.Context) {
			if !every.Stop() || every.Stop() {
				t.Error("Stop of a periodic timer: want true, then false")
			}
		})
		time.Sleep(time.Minute)
		expect(t, log(), "now@0", "soon@1", "tick@2", "late@3", "tick@4")
		if n := sum(t, reg, "atrium_actor_alarms"); n != 0 {
			t.Errorf("%d alarms are left", n)
		}
		if (actor.Timer{}).Stop() {
			t.Error("the zero timer could be stopped")
		}
	})
}

// A timer whose time passed while its actor was busy is in no mailbox yet.
func TestAStoppedTimerNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		ref, log := scripted(t, s, nil)
		tell[any](t, ref, func(c *actor.Context) {
			once, every := c.After(time.Second, "once"), c.Every(time.Second, "every")
			c.After(time.Second, "other")
			time.Sleep(10 * time.Second) // its time passes, ten periods do
			if !once.Stop() || !every.Stop() || once.Stop() {
				t.Error("Stop: want true, true, then false")
			}
		})
		time.Sleep(time.Minute)
		expect(t, log(), "other@10")
	})
}

func TestATimerOfABusyActorComesOnceAndFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		ref, log := scripted(t, s, func(p *actor.Props) *actor.Props { return p.WithMailbox(actor.Mailbox{Size: 3}) })
		tell[any](t, ref, func(c *actor.Context) {
			c.Every(time.Second, "tick")
			time.Sleep(4500 * time.Millisecond)
		}, "waits", "waits too")
		if err := ref.Tell("no room"); err == nil {
			t.Error("the mailbox is not full")
		}
		time.Sleep(7500 * time.Millisecond)
		expect(t, log(), "tick@4", "waits@4", "waits too@4", "tick@5", "tick@6", "tick@7")
		if n := handled(t, reg); n != 7 || ref.Waiting() != 0 {
			t.Errorf("%d handled, %d waiting", n, ref.Waiting())
		}
	})
}

func TestTimersEndWithTheirActor(t *testing.T) {
	for name, end := range map[string]func(*actor.Context){
		"stop":  func(c *actor.Context) { c.Stop() },
		"panic": func(*actor.Context) { panic("end") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, reg := newSystem(t)
				ref, log := scripted(t, s, nil)
				tell[any](t, ref, func(c *actor.Context) {
					c.Every(time.Second, "tick")
					c.After(time.Hour, "late")
				})
				time.Sleep(1500 * time.Millisecond)
				tell[any](t, ref, end)
				expect(t, log(), "tick@1")
				if n := sum(t, reg, "atrium_actor_alarms"); n != 0 {
					t.Errorf("%d alarms are left", n)
				}
			})
		})
	}
}

func TestTimersEndWithTheReceiverAndOutliveAResume(t *testing.T) {
	for directive, want := range map[supervise.Directive][]string{
		supervise.Restart: {"tick@1"},
		supervise.Resume:  {"tick@1", "tick@2", "tick@3"},
	} {
		t.Run(directive.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := newSystem(t)
				ref, log := scripted(t, s, func(p *actor.Props) *actor.Props {
					return p.WithGuardian(supervise.Strategy{OnFailure: directive})
				})
				tell[any](t, ref, func(c *actor.Context) { c.Every(time.Second, "tick") })
				time.Sleep(1500 * time.Millisecond)
				tell[any](t, ref, func(*actor.Context) {
					time.Sleep(time.Second) // one is due
					panic("fail")
				})
				time.Sleep(2 * time.Second)
				expect(t, log(), want...)
			})
		})
	}
}

// What a timer brings is a message like others: it may be put aside, and a pill
// still waits for those before it.
func TestATimersMessageIsAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		var lines []string
		ref := spawn(t, s, on(func(ctx *actor.ContextOf[string]) {
			lines = append(lines, ctx.Message())
			switch ctx.Message() {
			case "begin":
				ctx.After(time.Second, "later")
				ctx.Become(func(ctx *actor.ContextOf[string]) {
					lines = append(lines, "aside: "+ctx.Message())
					if ctx.Message() == "go on" {
						ctx.Unbecome()
						ctx.Unstash()
						return
					}
					if err := ctx.Stash(); err != nil {
						t.Error(err)
					}
				})
			case "poison":
				tell(t, ctx.Self(), "before the pill")
				if err := ctx.Self().Poison(); err != nil {
					t.Error(err)
				}
				tell(t, ctx.Self(), "after the pill")
				ctx.After(time.Second, "in between")
				time.Sleep(2 * time.Second)
			}
		}), "a")
		tell(t, ref, "begin")
		time.Sleep(2 * time.Second)
		tell(t, ref, "go on", "one", "poison")
		<-ref.Stopped()
		expect(t, lines, "begin", "aside: later", "aside: go on", "later", "one", "poison", "in between", "before the pill")
	})
}

func TestATimersMessageMayPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		ref, _ := scripted(t, s, nil)
		tell[any](t, ref, func(c *actor.Context) {
			c.After(0, func(*actor.Context) { panic("late") })
			time.Sleep(time.Second)
		}, "waits", "waits")
		<-ref.Stopped()
		if h, d := handled(t, reg), deadLetters(t, reg, "failure"); h != 2 || d != 2 {
			t.Errorf("%d handled, %d dead letters", h, d)
		}
	})
}

func TestAGroupHasNoTimers(t *testing.T) {
	s, reg := newSystem(t)
	g, err := s.NewGroup("g", actor.GroupConfig{})
	if err != nil {
		t.Fatal(err)
	}
	member, err := actor.SpawnIn(g, on(func(ctx *actor.ContextOf[int]) {
		if ctx.After(0, 1).Stop() || ctx.Every(1, 1).Stop() {
			t.Error("a member has a timer")
		}
	}), "member")
	if err != nil {
		t.Fatal(err)
	}
	if err := actor.Turn(g, member, 1); err != nil {
		t.Fatal(err)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := handled(t, reg); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// While a caller runs the actor, a timer may pass: the dispatcher brings it.
func TestATimerPassesWhileACallerRunsTheActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		ref, log := scripted(t, s, func(p *actor.Props) *actor.Props { return p.WithCallerRuns() })
		_, err := actor.Ask(t.Context(), ref, func(r actor.Reply[int]) any {
			return func(c *actor.Context) {
				c.After(time.Second, "timer")
				time.Sleep(3 * time.Second)
				r.Send(1)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		expect(t, log(), "timer@3")
	})
}

// Orders and stops at random, against the list of what should come when.
func TestTimersAgainstAList(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			s, _ := newSystem(t)
			ref, log := scripted(t, s, nil)
			random := rand.New(rand.NewPCG(seed, 0))
			timers := map[int]actor.Timer{} // by number, in the order of the orders
			seconds := map[int]int{}        // when each is due
			var want []string
			for now := range 50 {
				tell[any](t, ref, func(c *actor.Context) {
					for range random.IntN(4) {
						n, in := len(timers), random.IntN(20)
						timers[n] = c.After(time.Duration(in)*time.Second+time.Second/2, n)
						seconds[n] = now + in
					}
					for n := range timers {
						if random.IntN(20) > 0 {
							continue
						}
						due, open := seconds[n]
						delete(seconds, n)
						if timers[n].Stop() != (open && due >= now) {
							t.Errorf("seed %d: timer %d for second %d was stopped in second %d", seed, n, due, now)
						}
					}
				})
				synctest.Wait()
				for n := range len(timers) {
					if due, open := seconds[n]; open && due == now {
						want = append(want, fmt.Sprintf("%d@%d", n, now))
					}
				}
				time.Sleep(time.Second)
			}
			if got := log(); !slices.Equal(got, want) {
				t.Errorf("seed %d:\n got %v\nwant %v", seed, got, want)
			}
		})
	}
}
