package actor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/shared/actor"
)

// query carries its number, which its answer must have.
type query struct {
	n     int
	reply actor.Reply[int]
}

// Askers give up, and answers come late, twice, and from elsewhere: none is
// taken for the answer to another question.
func TestAnAnswerNeverReachesAnotherQuestion(t *testing.T) {
	for name, change := range map[string]func(*actor.PropsTyped[query]) *actor.PropsTyped[query]{
		"queued":      func(p *actor.PropsTyped[query]) *actor.PropsTyped[query] { return p },
		"caller runs": (*actor.PropsTyped[query]).WithCallerRuns,
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newSystem(t)
			late := spawn(t, s, on(func(ctx *actor.ContextOf[query]) {
				ctx.Message().reply.Send(ctx.Message().n)
			}).WithMailbox(actor.Mailbox{Size: 1 << 20}), "late")
			rnd := rand.New(rand.NewPCG(1, 2))
			ref := spawn(t, s, change(on(func(ctx *actor.ContextOf[query]) {
				q := ctx.Message()
				now := rnd.IntN(3) > 0
				if now {
					q.reply.Send(q.n)
				}
				if !now || rnd.IntN(2) == 0 {
					if err := late.Tell(q); err != nil {
						t.Error(err)
					}
				}
			})), "a")
			var askers sync.WaitGroup
			for a := range 4 {
				askers.Go(func() {
					for i := range 1_500 {
						n := a*1_000_000 + i
						ctx, cancel := context.WithCancel(context.Background())
						if i%3 == 0 {
							go cancel()
						}
						v, err := actor.Ask(ctx, ref, func(r actor.Reply[int]) query { return query{n, r} })
						cancel()
						if err == nil && v != n {
							t.Errorf("question %d was answered with %d", n, v)
						}
						if err != nil && !errors.Is(err, context.Canceled) {
							t.Errorf("question %d: %v", n, err)
						}
					}
				})
			}
			askers.Wait()
		})
	}
}

// A turn in the asker's goroutine is a turn like any other: one at a time, and
// what one sender tells and asks is handled in its order.
func TestCallerRunsKeepsOneAtATimeAndTheOrderOfEachSender(t *testing.T) {
	s, _ := newSystem(t)
	const senders, rounds = 4, 2_000
	var next [senders]int // the race detector sees two turns at once
	ref := spawn(t, s, on(func(ctx *actor.ContextOf[query]) {
		q := ctx.Message()
		sender, n := q.n/rounds, q.n%rounds
		if n != next[sender] {
			t.Errorf("sender %d: message %d, want %d", sender, n, next[sender])
		}
		next[sender]++
		q.reply.Send(q.n)
	}).WithCallerRuns().WithMailbox(actor.Mailbox{Size: 50, Overflow: actor.Block}), "a")
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for i := range rounds {
				n := sender*rounds + i
				if i%3 != 0 {
					if err := ref.Tell(query{n: n}); err != nil {
						t.Error(err)
					}
					continue
				}
				v, err := actor.Ask(context.Background(), ref, func(r actor.Reply[int]) query { return query{n, r} })
				if err != nil || v != n {
					t.Errorf("Ask %d = %d, %v", n, v, err)
				}
			}
		})
	}
	all.Wait()
}

// A chain of askers ends however long it is, in the goroutine of the first only
// up to a depth; one that comes back to who waits in it is refused.
func TestAChainOfAskersEnds(t *testing.T) {
	for _, length := range []int{2, 16, 17, 60} {
		synctest.Test(t, func(t *testing.T) {
			s, reg := newSystem(t)
			if err := s.RegisterDispatcher("b", actor.DispatcherConfig{
				Throughput: 1, MailboxSize: 4, MaxConcurrency: length, Kind: actor.Blocking,
			}); err != nil {
				t.Fatal(err)
			}
			refs := make([]actor.Ref[query], length)
			for i := range refs {
				refs[i] = spawn(t, s, on(func(ctx *actor.ContextOf[query]) {
					q := ctx.Message()
					if i == length-1 {
						if _, err := actor.Ask(ctx.Context(), ctx.Self(), func(r actor.Reply[int]) query { return query{0, r} }); !errors.Is(err, actor.ErrReentrant) {
							t.Errorf("an actor that asks itself: %v", err)
						}
						q.reply.Send(q.n)
						return
					}
					v, err := actor.Ask(ctx.Context(), refs[i+1], func(r actor.Reply[int]) query { return query{q.n + 1, r} })
					if err != nil {
						t.Error(err)
					}
					q.reply.Send(v)
				}).WithCallerRuns().WithDispatcher("b"), fmt.Sprint(i))
			}
			v, err := actor.Ask(context.Background(), refs[0], func(r actor.Reply[int]) query { return query{0, r} })
			if err != nil || v != length-1 {
				t.Errorf("a chain of %d: %d, %v", length, v, err)
			}
			if n := refusals(t, reg, "reentrant"); n != 1 {
				t.Errorf("%d refusals counted", n)
			}
		})
	}
}

// A question that meets the end of its actor, in whatever order, has an outcome.
func TestAQuestionToAnActorThatStopsAlwaysEnds(t *testing.T) {
	for name, change := range map[string]func(*actor.PropsTyped[query]) *actor.PropsTyped[query]{
		"queued":      func(p *actor.PropsTyped[query]) *actor.PropsTyped[query] { return p },
		"caller runs": (*actor.PropsTyped[query]).WithCallerRuns,
		"block": func(p *actor.PropsTyped[query]) *actor.PropsTyped[query] {
			return p.WithMailbox(actor.Mailbox{Size: 1, Overflow: actor.Block})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newSystem(t)
			for round := range 400 {
				var kept []actor.Reply[int]
				ref := spawn(t, s, change(on(func(ctx *actor.ContextOf[query]) {
					switch q := ctx.Message(); {
					case q.n%5 == 1:
						kept = append(kept, q.reply) // never answered
					case q.n == 7 && round%2 == 0:
						panic("stress")
					default:
						q.reply.Send(q.n)
					}
				})), fmt.Sprint(round))
				var askers sync.WaitGroup
				for n := range 9 {
					askers.Go(func() {
						v, err := actor.Ask(context.Background(), ref, func(r actor.Reply[int]) query { return query{n, r} })
						var failure *actor.PanicError
						switch {
						case err == nil && v == n, errors.Is(err, actor.ErrStopped):
						case errors.As(err, &failure) && n == 7 && name == "caller runs":
						default:
							t.Errorf("question %d: %d, %v", n, v, err)
						}
					})
				}
				if err := ref.Stop(); err != nil {
					t.Error(err)
				}
				askers.Wait()
			}
		})
	}
}

// A question that makes an idle actor fail in its asker's goroutine ends with
// the failure, also when that is the actor's end.
func TestAQuestionThatEndsItsActorBringsTheFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		ref := spawn(t, s, actor.PropsOf(func() actor.ReceiverOf[query] { return crasher{} }).WithCallerRuns(), "a")
		_, err := actor.Ask(context.Background(), ref, func(r actor.Reply[int]) query { return query{1, r} })
		var failure *actor.PanicError
		if !errors.As(err, &failure) || failure.Value != "crasher" {
			t.Errorf("Ask = %v, want the panic", err)
		}
		<-ref.Stopped()
	})
}

// crasher has no Started, so that a caller may run its first message.
type crasher struct{}

func (crasher) Receive(*actor.ContextOf[query]) { panic("crasher") }

// Who waits for whom ends with the turn: the next actor that the worker runs is
// not taken for the one before, whose hook had asked for its context.
func TestTheChainOfAskersIsTheActorsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		one := actor.DispatcherConfig{Throughput: 1, MailboxSize: 9, MaxConcurrency: 1, Kind: actor.Blocking}
		if err := s.RegisterDispatcher("one", one); err != nil {
			t.Fatal(err)
		}
		before := spawn(t, s, props(funcOf[query]{
			started: func(ctx *actor.ContextOf[query]) { ctx.Context() },
			receive: func(ctx *actor.ContextOf[query]) { ctx.Message().reply.Send(0) },
		}).WithDispatcher("one").WithCallerRuns(), "before")
		synctest.Wait()
		asked := false
		asker := spawn(t, s, on(func(ctx *actor.ContextOf[query]) {
			within, cancel := context.WithTimeout(ctx.Context(), patience)
			defer cancel()
			build := func(r actor.Reply[int]) query { return query{reply: r} }
			if _, err := actor.Ask(within, before, build); err != nil {
				t.Errorf("Ask of the actor before: %v", err)
			}
			if _, err := actor.Ask(within, ctx.Self(), build); !errors.Is(err, actor.ErrReentrant) {
				t.Errorf("Ask of itself: %v", err)
			}
			asked = true
		}).WithDispatcher("one"), "asker")
		tell(t, asker, query{})
		synctest.Wait()
		if !asked {
			t.Error("the asker was not run")
		}
	})
}
