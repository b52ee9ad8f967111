package actortest_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/actortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// on makes props of an actor that is one function.
func on[M any](f func(*actor.ContextOf[M])) *actor.PropsTyped[M] {
	return actor.PropsOf(func() actor.ReceiverOf[M] { return receiveFunc[M](f) })
}

type receiveFunc[M any] func(*actor.ContextOf[M])

func (f receiveFunc[M]) Receive(ctx *actor.ContextOf[M]) { f(ctx) }

// gossip runs actors that pass numbers on, on two dispatchers, and returns who
// handled which when.
func gossip(t *testing.T, seed uint64) (trace []string) {
	s := actortest.NewSystem(t, seed)
	if err := s.RegisterDispatcher("other", actor.DispatcherConfig{Throughput: 10, MailboxSize: 100, MaxConcurrency: 1, Kind: actor.Blocking}); err != nil {
		t.Fatal(err)
	}
	var refs []actor.Ref[int]
	for i := range 5 {
		props := on(func(ctx *actor.ContextOf[int]) {
			m := ctx.Message()
			trace = append(trace, fmt.Sprintf("%s:%d", ctx.PID().ID, m))
			if m%4 > 0 {
				_ = actor.Send(ctx, refs[(i+m)%5], m-1)
				_ = actor.Send(ctx, refs[(i+1)%5].On(actor.High), m-2)
			}
		})
		if i%2 > 0 {
			props = props.WithDispatcher("other")
		}
		refs = append(refs, actortest.Spawn(s, props, fmt.Sprint(i)))
	}
	for i, ref := range refs {
		actortest.Tell(s, ref, 3+i, 7+i)
	}
	s.Run()
	return trace
}

func TestTheSameSeedGivesTheSameInterleaving(t *testing.T) {
	different := map[string]bool{}
	for seed := range uint64(20) {
		first, second := gossip(t, seed), gossip(t, seed)
		if !slices.Equal(first, second) {
			t.Errorf("seed %d gave\n%v\nand then\n%v", seed, first, second)
		}
		different[strings.Join(first, " ")] = true
	}
	if len(different) < 10 {
		t.Errorf("20 seeds gave %d interleavings", len(different))
	}
}

func TestAStepIsOneMessage(t *testing.T) {
	s := actortest.NewSystem(t, 0)
	handled := 0
	ref := actortest.Spawn(s, on(func(*actor.ContextOf[int]) { handled++ }), "a")
	if s.Step() {
		t.Error("a step without a message")
	}
	actortest.Tell(s, ref, 1, 2, 3)
	for want := 1; want <= 3; want++ {
		if !s.Step() || handled != want {
			t.Fatalf("%d messages after %d steps", handled, want)
		}
	}
	if n := s.Run(); n > 1 || handled != 3 { // one, if the last step left the actor in the queue
		t.Errorf("%d steps more, %d messages", n, handled)
	}
}

// Whatever the seed, one sender's messages on one lane keep their order, and a
// wrong assumption about those of two is found.
func TestSeedsFindWhatDependsOnTheOrder(t *testing.T) {
	overtaken := 0
	for seed := range uint64(30) {
		s := actortest.NewSystem(t, seed)
		sink := actortest.NewProbe[int](s, "sink")
		for from := range 2 {
			ref := actortest.Spawn(s, on(func(ctx *actor.ContextOf[int]) { _ = actor.Send(ctx, sink.Ref(), ctx.Message()) }), fmt.Sprint(from))
			actortest.Tell(s, ref, 10*from, 10*from+1, 10*from+2)
		}
		got := sink.Received()
		if !slices.IsSorted(got) {
			overtaken++
		}
		for from := range 2 {
			own := slices.DeleteFunc(slices.Clone(got), func(m int) bool { return m/10 != from })
			if want := []int{10 * from, 10*from + 1, 10*from + 2}; !slices.Equal(own, want) {
				t.Errorf("seed %d: from %d came %v", seed, from, own)
			}
		}
	}
	if overtaken == 0 || overtaken == 30 {
		t.Errorf("in %d of 30 seeds the second sender overtook the first", overtaken)
	}
}

// both runs a test with a stepped system and with an ordinary one, in a bubble.
func both(t *testing.T, f func(t *testing.T, s *actortest.System)) {
	t.Run("stepped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(t, actortest.NewSystem(t, 7)) })
	})
	t.Run("ordinary", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, actortest.InBubble(t, actor.NewActorSystem(actor.Config{Address: "test"}, nil)))
		})
	})
}

func TestProbesWorkWithBothKindsOfSystem(t *testing.T) {
	both(t, func(t *testing.T, s *actortest.System) {
		p := actortest.NewProbe[int](s, "probe")
		p.ExpectNone()
		actortest.Tell(s, p.Ref(), 1, 2, 3, 4, 5)
		p.Expect(1, 2)
		if got := p.ExpectMatch("an odd number", func(n int) bool { return n%2 == 1 }); got != 3 {
			t.Errorf("got %d", got)
		}
		if got := p.Received(); !slices.Equal(got, []int{4, 5}) {
			t.Errorf("left %v", got)
		}
		p.ExpectNone()
	})
}

func TestAProbeAnswers(t *testing.T) {
	both(t, func(t *testing.T, s *actortest.System) {
		p := actortest.NewProbe[actor.Reply[int]](s, "probe")
		answers := []int{1, 2}
		p.Answer(func(r actor.Reply[int]) {
			r.Send(answers[0])
			answers = answers[1:]
		})
		asker := actortest.Spawn(s, on(func(ctx *actor.ContextOf[actor.Reply[int]]) {
			n, err := actor.Ask(ctx.Context(), p.Ref(), func(r actor.Reply[int]) actor.Reply[int] { return r })
			if err != nil {
				t.Error(err)
			}
			ctx.Message().Send(10 * n)
		}), "asker")
		for _, want := range []int{10, 20} {
			if got := actortest.Ask(s, asker, func(r actor.Reply[int]) actor.Reply[int] { return r }); got != want {
				t.Errorf("the answer is %d, want %d", got, want)
			}
		}
		if n := len(p.Received()); n != 2 {
			t.Errorf("%d questions were noted", n)
		}
	})
}

func TestTimePasses(t *testing.T) {
	both(t, func(t *testing.T, s *actortest.System) {
		p := actortest.NewProbe[string](s, "probe")
		begin := time.Now()
		ref := actortest.Spawn(s, on(func(ctx *actor.ContextOf[string]) {
			switch m := ctx.Message(); m {
			case "begin":
				ctx.Every(time.Minute, "tick")
				ctx.After(90*time.Second, "once")
			default:
				_ = actor.Send(ctx, p.Ref(), fmt.Sprint(m, "@", time.Since(begin)))
			}
		}), "a")
		actortest.Tell(s, ref, "begin")
		s.Pass(59 * time.Second)
		p.ExpectNone()
		s.Pass(3 * time.Minute)
		p.Expect("tick@1m0s", "once@1m30s", "tick@2m0s", "tick@3m0s")
		p.ExpectNone()
	})
}

func TestWhyAnActorStopped(t *testing.T) {
	both(t, func(t *testing.T, s *actortest.System) {
		letters := actortest.Listen[actor.DeadLetter](s)
		ref := actortest.Spawn(s, on(func(ctx *actor.ContextOf[int]) { panic("at once") }), "bad")
		if n, err := ref.TellBatch([]int{1, 2}); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		var reason *actor.PanicError
		if err := actortest.ExpectStopped(s, ref); !errors.As(err, &reason) || reason.Value != "at once" {
			t.Errorf("reason %v", err)
		}
		if d := letters.Next(); d.PID != ref.PID() || d.Message != 2 || d.Reason != "failure" {
			t.Errorf("dead letter %+v", d)
		}
		calm := actortest.Spawn(s, on(func(*actor.ContextOf[int]) {}), "calm")
		if err := calm.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := actortest.ExpectStopped(s, calm); err != nil {
			t.Errorf("reason %v", err)
		}
		letters.ExpectNone()
	})
}

// What would wait in a goroutine of its own steps instead.
func TestASenderThatWaitsForRoomSteps(t *testing.T) {
	s := actortest.NewSystem(t, 3)
	p := actortest.NewProbe[int](s, "probe")
	narrow := actortest.Spawn(s, on(func(ctx *actor.ContextOf[int]) { _ = actor.Send(ctx, p.Ref(), ctx.Message()) }).
		WithMailbox(actor.Mailbox{Size: 1, Overflow: actor.Block}), "narrow")
	actortest.Tell(s, narrow, 1, 2, 3)
	if err := narrow.TellWait(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	p.Expect(1, 2, 3, 4)
}

func TestAPipesFunctionIsAStep(t *testing.T) {
	actortest.Seeds(t, 5, func(t *testing.T, seed uint64) {
		var traces [2][]string
		for i := range traces {
			s := actortest.NewSystem(t, seed)
			p := actortest.NewProbe[string](s, "probe")
			for n := range 5 {
				if err := actor.PipeTo(p.Ref(), func(context.Context) string { return fmt.Sprint(n) }); err != nil {
					t.Fatal(err)
				}
			}
			traces[i] = p.Received()
		}
		if len(traces[0]) != 5 || !slices.Equal(traces[0], traces[1]) {
			t.Errorf("results came as %v and as %v", traces[0], traces[1])
		}
	})
}

// failing notes how a test fails.
type failing struct {
	testing.TB
	lines    []string
	cleanups []func()
}

func (f *failing) Helper()          {}
func (f *failing) Failed() bool     { return len(f.lines) > 0 }
func (f *failing) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }
func (f *failing) Logf(format string, args ...any) {
	f.lines = append(f.lines, fmt.Sprintf(format, args...))
}
func (f *failing) Errorf(format string, args ...any) { f.Logf(format, args...) }
func (f *failing) Fatal(args ...any)                 { f.Fatalf("%s", fmt.Sprint(args...)) }
func (f *failing) Fatalf(format string, args ...any) {
	f.Logf(format, args...)
	runtime.Goexit()
}

func TestFailuresSayWhatWasExpectedAndTheSeed(t *testing.T) {
	for _, c := range []struct {
		want string
		test func(s *actortest.System, p *actortest.Probe[int])
	}{
		{"no message came", func(_ *actortest.System, p *actortest.Probe[int]) { p.Expect(1) }},
		{"got 1, want 2", func(s *actortest.System, p *actortest.Probe[int]) {
			actortest.Tell(s, p.Ref(), 1)
			p.Expect(2)
		}},
		{"got 1, want an even number", func(s *actortest.System, p *actortest.Probe[int]) {
			actortest.Tell(s, p.Ref(), 1)
			p.ExpectMatch("an even number", func(n int) bool { return n%2 == 0 })
		}},
		{"got 2 messages more, the first 1", func(s *actortest.System, p *actortest.Probe[int]) {
			actortest.Tell(s, p.Ref(), 1, 2)
			p.ExpectNone()
		}},
		{"probe has not stopped", func(s *actortest.System, p *actortest.Probe[int]) { actortest.ExpectStopped(s, p.Ref()) }},
		{"actor: stopped", func(s *actortest.System, p *actortest.Probe[int]) {
			_ = p.Ref().Stop()
			actortest.Tell(s, p.Ref(), 1)
		}},
		{"id in use", func(s *actortest.System, _ *actortest.Probe[int]) { actortest.NewProbe[int](s, "probe") }},
		{"not quiet after", func(s *actortest.System, _ *actortest.Probe[int]) {
			busy := actortest.Spawn(s, on(func(ctx *actor.ContextOf[int]) {
				if ctx.Self().Waiting() < 10 { // else it ends with the test
					_ = ctx.Self().Tell(1)
				}
			}), "busy")
			actortest.Tell(s, busy, 1)
			s.Run()
		}},
	} {
		t.Run(c.want, func(t *testing.T) {
			f := &failing{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				s := actortest.NewSystem(f, 4711)
				c.test(s, actortest.NewProbe[int](s, "probe"))
			}()
			<-done
			for _, cleanup := range slices.Backward(f.cleanups) {
				cleanup()
			}
			all := strings.Join(f.lines, "\n")
			if !strings.Contains(all, c.want) || !strings.HasSuffix(all, "actortest: seed 4711") || len(f.lines) != 2 {
				t.Errorf("it printed %q", all)
			}
		})
	}
}
