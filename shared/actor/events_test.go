package actor_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
)

// listen spawns an actor that has the events of type E, and returns what it
// has had so far.
func listen[E actor.Event](t *testing.T, s *actor.ActorSystem) (got func() []E) {
	t.Helper()
	var all []E
	ref := spawn(t, s, on(func(ctx *actor.ContextOf[E]) { all = append(all, ctx.Message()) }), fmt.Sprintf("listener of %T", *new(E)))
	if _, err := actor.Subscribe(s.Events(), ref, func(e E) (E, bool) { return e, true }); err != nil {
		t.Fatal(err)
	}
	return func() []E {
		synctest.Wait()
		return all
	}
}

func nothing(*actor.ContextOf[int]) {}

func tell[M any](t tb, to actor.Ref[M], msgs ...M) {
	t.Helper()
	for _, m := range msgs {
		if err := to.Tell(m); err != nil {
			t.Fatal(err)
		}
	}
}

// Every counted drop is also an event that names actor, message and reason (I5).
func TestEveryDeadLetterIsAnEvent(t *testing.T) {
	for name, c := range map[string]struct {
		mailbox actor.Mailbox
		tell    func(t *testing.T, ref actor.Ref[int], inHand chan struct{})
		reason  string
		want    []any
	}{
		"what waits when the actor panics": {
			tell: func(t *testing.T, ref actor.Ref[int], inHand chan struct{}) {
				tell(t, ref, 0)
				<-inHand
				tell(t, ref, 1, 2, 3)
			},
			reason: "failure", want: []any{1, 2, 3},
		},
		"the oldest": {
			mailbox: actor.Mailbox{Size: 3, Overflow: actor.DropOldest},
			tell: func(t *testing.T, ref actor.Ref[int], inHand chan struct{}) {
				tell(t, ref, 9)
				<-inHand
				tell(t, ref, 1, 2, 3, 4)
			},
			reason: "overflow_oldest", want: []any{1, 2},
		},
		"the newest": {
			mailbox: actor.Mailbox{Size: 2, Overflow: actor.DropNewest},
			tell: func(t *testing.T, ref actor.Ref[int], inHand chan struct{}) {
				tell(t, ref, 9)
				<-inHand
				tell(t, ref, 1, 2, 3)
			},
			reason: "overflow_newest", want: []any{2, 3},
		},
		"what came after the pill": {
			tell: func(t *testing.T, ref actor.Ref[int], inHand chan struct{}) {
				tell(t, ref, 9)
				<-inHand
				if err := ref.Poison(); err != nil {
					t.Fatal(err)
				}
				tell(t, ref, 1, 2)
			},
			reason: "stopped", want: []any{1, 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, reg := newSystem(t)
				got := listen[actor.DeadLetter](t, s)
				inHand, gate := make(chan struct{}, 10), make(chan struct{})
				ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
					inHand <- struct{}{}
					<-gate
					if ctx.Message() == 0 {
						panic("zero")
					}
				}).WithMailbox(c.mailbox).WithType("clerk"), "a")
				c.tell(t, ref, inHand)
				close(gate)
				var messages []any
				for _, d := range got() {
					messages = append(messages, d.Message)
					if d.Message = nil; d != (actor.DeadLetter{PID: ref.PID(), Type: "clerk", Reason: c.reason}) {
						t.Errorf("event %+v", d)
					}
				}
				if !slices.Equal(messages, c.want) {
					t.Errorf("dead letters %v, want %v", messages, c.want)
				}
				if n := deadLetters(t, reg, c.reason); n != len(c.want) {
					t.Errorf("%d counted", n)
				}
			})
		})
	}
}

func TestAnAnswerThatCameTooLateIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		got := listen[actor.DeadLetter](t, s)
		ref := spawn(t, s, on(func(ctx *actor.ContextOf[actor.Reply[string]]) {
			ctx.Message().Send("once")
			ctx.Message().Send("twice")
		}).WithType("clerk"), "a")
		answer, err := actor.Ask(t.Context(), ref, func(r actor.Reply[string]) actor.Reply[string] { return r })
		if answer != "once" || err != nil {
			t.Fatal(answer, err)
		}
		want := actor.DeadLetter{Type: "clerk", Message: "twice", Reason: "late_reply"}
		if d := got(); !slices.Equal(d, []actor.DeadLetter{want}) {
			t.Fatalf("%+v", d)
		}
	})
}

func TestTheEndOfAnyActorIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		got := listen[actor.Event](t, s)
		calm, cause := spawn(t, s, on(nothing), "calm"), errors.New("broken")
		bad := spawn(t, s, on(func(*actor.ContextOf[int]) { panic(cause) }), "bad")
		if err := calm.Stop(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		tell(t, bad, 1)
		events := got()
		if len(events) != 2 || events[0] != (actor.Terminated{PID: calm.PID()}) {
			t.Fatalf("%+v", events)
		}
		if e, ok := events[1].(actor.Terminated); !ok || e.PID != bad.PID() || !errors.Is(e.Reason, cause) {
			t.Fatalf("%+v", events[1])
		}
	})
}

func TestATurnThatHoldsItsWorkerIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		if err := s.RegisterDispatcher("slow", actor.DispatcherConfig{Throughput: 1, MailboxSize: 1, MaxConcurrency: 100}); err != nil {
			t.Fatal(err)
		}
		got := listen[actor.Stalled](t, s)
		gate := make(chan struct{})
		for i := range runtime.GOMAXPROCS(0) {
			tell(t, spawn(t, s, on(func(*actor.ContextOf[int]) { <-gate }).WithDispatcher("slow"), fmt.Sprint(i)), 1)
		}
		time.Sleep(time.Second) // of the bubble: a hundred looks of the guard
		stalls := got()
		close(gate)
		if len(stalls) == 0 || stalls[0].Dispatcher != "slow" {
			t.Fatalf("%+v", stalls)
		}
		if sum(t, reg, "atrium_actor_stalls_total", "dispatcher", "slow") == 0 {
			t.Fatal("no stall was counted")
		}
	})
}

func TestASlowSubscriberLosesEventsAndIsCounted(t *testing.T) {
	for _, policy := range []actor.Overflow{actor.Refuse, actor.Block, actor.DropOldest, actor.DropNewest} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, reg := newSystem(t)
				gate := make(chan struct{})
				var seen []string
				slow := spawn(t, s, on(func(ctx *actor.ContextOf[string]) {
					<-gate
					seen = append(seen, ctx.Message())
				}).WithMailbox(actor.Mailbox{Size: 2, Overflow: policy}), "slow")
				if _, err := actor.Subscribe(s.Events(), slow, func(e actor.Terminated) (string, bool) { return e.PID.ID, true }); err != nil {
					t.Fatal(err)
				}
				for i := range 4 {
					ref := spawn(t, s, on(nothing), fmt.Sprint(i))
					_ = ref.Stop()
					synctest.Wait()
				}
				close(gate)
				synctest.Wait()
				if !slices.Equal(seen, []string{"0", "1"}) || refusals(t, reg, "event") != 2 || deadLetters(t, reg, "overflow_oldest")+deadLetters(t, reg, "overflow_newest") != 0 {
					t.Fatalf("saw %v, %d lost", seen, refusals(t, reg, "event"))
				}
			})
		})
	}
}

func TestASubscriptionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		end := func(id string) {
			ref := spawn(t, s, on(nothing), id)
			_ = ref.Stop()
			<-ref.Stopped()
			synctest.Wait()
		}
		var mu sync.Mutex // at the end all end at once
		calls := map[string]int{}
		subscribe := func(id string, wrap func() bool) (actor.Ref[int], *actor.Subscription) {
			ref := spawn(t, s, on(nothing), id)
			sub, err := actor.Subscribe(s.Events(), ref, func(e actor.Terminated) (int, bool) {
				mu.Lock()
				calls[id]++
				mu.Unlock()
				return 1, wrap()
			})
			if err != nil {
				t.Fatal(err)
			}
			return ref, sub
		}
		_, cancelled := subscribe("cancelled", func() bool { return true })
		subscribe("broken", func() bool { panic("wrap") })
		stopped, _ := subscribe("stopped", func() bool { return true })
		subscribe("picky", func() bool { return false })
		end("1")
		cancelled.Cancel()
		cancelled.Cancel()
		end("2")
		_ = stopped.Stop()
		<-stopped.Stopped()
		synctest.Wait()
		end("3")
		mu.Lock()
		defer mu.Unlock()
		want := map[string]int{"cancelled": 1, "broken": 1, "stopped": 2, "picky": 4}
		for id, n := range want {
			if calls[id] != n {
				t.Errorf("%s was called %d times, want %d", id, calls[id], n)
			}
		}
		if n := sum(t, reg, "atrium_actor_panics_total"); n != 1 {
			t.Errorf("%d panics counted", n)
		}
		if h := handled(t, reg); h != 3 {
			t.Errorf("%d events handled", h)
		}
	})
}

func TestWhoCannotSubscribe(t *testing.T) {
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
		if _, err := actor.Subscribe(s.Events(), c.to, func(actor.Event) (int, bool) { return 0, true }); !errors.Is(err, c.want) {
			t.Errorf("Subscribe(%s) = %v, want %v", c.to, err, c.want)
		}
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
}
