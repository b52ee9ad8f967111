package actor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/atrium-iot/atrium/shared/actor"
)

func TestStopHandlesWhatWasAcceptedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		gate := make(chan struct{})
		var log []string
		ref := spawn(t, s, props(funcOf[int]{
			started: func(*actor.ContextOf[int]) { log = append(log, "started") },
			receive: func(ctx *actor.ContextOf[int]) {
				<-gate
				log = append(log, fmt.Sprint(ctx.Message()))
			},
			stopped: func(ctx *actor.ContextOf[int], reason error) {
				log = append(log, fmt.Sprint("stopped ", reason, " ", ctx.Message()))
			},
		}), "a")
		for i := 1; i <= 3; i++ {
			if err := ref.Tell(i); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := ref.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		if err := ref.Tell(4); !errors.Is(err, actor.ErrStopped) {
			t.Fatalf("Tell after Stop = %v", err)
		}
		if n, err := ref.TellBatch([]int{4, 5}); n != 0 || !errors.Is(err, actor.ErrStopped) {
			t.Fatalf("TellBatch after Stop = %d, %v", n, err)
		}
		if _, err := actor.Spawn(s.Engine(), on(func(*actor.ContextOf[int]) {}), "a"); !errors.Is(err, actor.ErrIDInUse) {
			t.Fatalf("Spawn under the id of an actor that is stopping = %v", err)
		}
		close(gate)
		<-ref.Stopped()
		want := []string{"started", "1", "2", "3", "stopped <nil> 0"}
		if !slices.Equal(log, want) {
			t.Fatalf("log %v, want %v", log, want)
		}
		if n := refusals(t, reg, "stopped"); n != 3 {
			t.Fatalf("%d refusals counted", n)
		}
		spawn(t, s, on(func(*actor.ContextOf[int]) {}), "a")
	})
}

func TestAPanicStopsTheActorAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		cause := errors.New("broken")
		gate := make(chan struct{})
		var reason error
		bad := spawn(t, s, props(funcOf[int]{
			receive: func(ctx *actor.ContextOf[int]) {
				<-gate
				if ctx.Message() == 2 {
					panic(cause)
				}
			},
			stopped: func(_ *actor.ContextOf[int], err error) { reason = err; panic("again") },
		}), "bad")
		for i := 1; i <= 30; i++ {
			if err := bad.Tell(i); err != nil {
				t.Fatal(err)
			}
		}
		close(gate)
		<-bad.Stopped()
		var p *actor.PanicError
		if !errors.As(reason, &p) || !errors.Is(reason, cause) || p.PID != bad.PID() || !strings.Contains(string(p.Stack), "system_test.go") {
			t.Fatalf("reason %v", reason)
		}
		if h, d := handled(t, reg), deadLetters(t, reg, "failure"); h != 2 || d != 28 {
			t.Fatalf("%d handled, %d dead letters, want 2 and 28", h, d)
		}
		if n := sum(t, reg, "atrium_actor_panics_total"); n != 2 {
			t.Fatalf("%d panics counted, want 2: Receive and Stopped", n)
		}
		if err := bad.Tell(1); !errors.Is(err, actor.ErrStopped) {
			t.Fatalf("Tell after a panic = %v", err)
		}
	})
}

func TestAWorkerThatAReceiverEndedIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		if err := s.RegisterDispatcher("one", actor.DispatcherConfig{Throughput: 1, MailboxSize: 10, MaxConcurrency: 1}); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			ref := spawn(t, s, on(func(*actor.ContextOf[int]) { runtime.Goexit() }).WithDispatcher("one"), fmt.Sprint(i))
			if err := ref.Tell(1); err != nil {
				t.Fatal(err)
			}
			<-ref.Stopped()
		}
	})
}

// What a Ref keeps of an actor that has stopped is small (I5): a table of Refs
// must not keep the state of all actors that ever were.
func TestARefToAStoppedActorDoesNotKeepItsReceiver(t *testing.T) {
	s, _ := newSystem(t)
	var state weak.Pointer[funcOf[int]]
	ref := spawn(t, s, actor.PropsOf(func() actor.ReceiverOf[int] {
		f := &funcOf[int]{receive: func(*actor.ContextOf[int]) {}}
		state = weak.Make(f)
		return f
	}), "a")
	for i := range 20 { // past the inline slots
		if err := ref.Tell(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := ref.Stop(); err != nil {
		t.Fatal(err)
	}
	<-ref.Stopped()
	deadline := time.Now().Add(patience)
	for state.Value() != nil { // the worker may still be leaving the turn
		if time.Now().After(deadline) {
			t.Fatal("the receiver of a stopped actor is still held")
		}
		runtime.GC()
	}
	if err := ref.Tell(1); !errors.Is(err, actor.ErrStopped) {
		t.Error(err)
	}
}

func TestTheReplyOfAQuestionThatWasRefusedReachesNobody(t *testing.T) {
	s, _ := newSystem(t)
	stopped := spawn(t, s, on(func(*actor.ContextOf[actor.Reply[int]]) {}), "a")
	if err := stopped.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []actor.Ref[actor.Reply[int]]{stopped, {}} {
		var kept actor.Reply[int]
		_, err := actor.Ask(t.Context(), ref, func(r actor.Reply[int]) actor.Reply[int] {
			kept = r
			return r
		})
		if !errors.Is(err, actor.ErrStopped) {
			t.Errorf("%s: %v", ref, err)
		}
		if kept.Send(1) || kept.Send(2) {
			t.Errorf("%s: an answer was taken that nobody waits for", ref)
		}
	}
}

func TestAskEndsWithItsContextAndTheLateReplyIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		delay := time.Second
		ref := spawn(t, s, on(func(ctx *actor.ContextOf[actor.Reply[string]]) {
			time.Sleep(delay)
			ctx.Message().Send("late")
			if ctx.Message().Send("twice") {
				t.Error("a second answer was taken")
			}
		}), "slow")
		ask := func(timeout time.Duration) (string, error) {
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			return actor.Ask(ctx, ref, func(r actor.Reply[string]) actor.Reply[string] { return r })
		}
		if v, err := ask(2 * time.Second); v != "late" || err != nil {
			t.Fatalf("Ask = %q, %v", v, err)
		}
		if _, err := ask(time.Millisecond); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "slow") {
			t.Fatalf("Ask with too little time = %v", err)
		}
		time.Sleep(2 * delay)
		if n := deadLetters(t, reg, "late_reply"); n != 3 { // two second answers, one late
			t.Fatalf("%d late replies counted, want 3", n)
		}
		if _, err := ask(0); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Ask without time = %v", err)
		}
		if (actor.Reply[int]{}).Send(1) {
			t.Fatal("nobody took an answer")
		}
	})
}

func TestAskEndsWhenTheActorStopsWithoutAnswering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		ref := spawn(t, s, on(func(*actor.ContextOf[actor.Reply[int]]) { panic("x") }), "a")
		for range 2 {
			_, err := actor.Ask(context.Background(), ref, func(r actor.Reply[int]) actor.Reply[int] { return r })
			if !errors.Is(err, actor.ErrStopped) {
				t.Fatalf("Ask = %v", err)
			}
		}
		if _, err := actor.Ask(context.Background(), actor.Ref[int]{}, func(actor.Reply[int]) int { return 0 }); !errors.Is(err, actor.ErrStopped) {
			t.Fatalf("Ask of the zero Ref = %v", err)
		}
	})
}

func TestSystemStopThatRunsOutOfTimeAbandonsAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		if err := s.RegisterDispatcher("one", actor.DispatcherConfig{Throughput: 10, MailboxSize: 10, MaxConcurrency: 1}); err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		hook := false
		stuck := spawn(t, s, on(func(*actor.ContextOf[int]) { <-gate }).WithDispatcher("one"), "stuck")
		queued := spawn(t, s, props(funcOf[int]{
			receive: func(*actor.ContextOf[int]) { t.Error("an abandoned message was handled") },
			stopped: func(*actor.ContextOf[int], error) { hook = true },
		}).WithDispatcher("one"), "queued")
		if err := stuck.Tell(1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for i := range 3 {
			if err := queued.Tell(i); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := s.Stop(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 actors") {
			t.Fatalf("Stop = %v", err)
		}
		<-queued.Stopped()
		if n := deadLetters(t, reg, "system_stopped"); n != 3 || hook {
			t.Fatalf("%d dead letters, hook ran: %v", n, hook)
		}
		close(gate)
		<-stuck.Stopped()
		if _, err := actor.Spawn(s.Engine(), on(func(*actor.ContextOf[int]) {}), "new"); !errors.Is(err, actor.ErrSystemStopped) {
			t.Fatalf("Spawn after Stop = %v", err)
		}
		if err := s.RegisterDispatcher("new", actor.RoomDispatcher()); !errors.Is(err, actor.ErrSystemStopped) {
			t.Fatalf("RegisterDispatcher after Stop = %v", err)
		}
	})
}

func TestMaxConcurrencyBoundsTheActorsProcessedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		if err := s.RegisterDispatcher("three", actor.DispatcherConfig{Throughput: 1, MailboxSize: 9, MaxConcurrency: 3}); err != nil {
			t.Fatal(err)
		}
		running := make(chan int, 100)
		gate := make(chan struct{})
		for i := range 10 {
			ref := spawn(t, s, on(func(*actor.ContextOf[int]) { running <- i; <-gate }).WithDispatcher("three"), fmt.Sprint(i))
			if err := ref.Tell(1); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second) // actors that block lose the pool's workers, not their place
		if len(running) != 3 {
			t.Fatalf("%d actors run at once, want 3", len(running))
		}
		if n := sum(t, reg, "atrium_actor_run_queue_actors", "dispatcher", "three"); n != 7 {
			t.Fatalf("the run queue is said to hold %d, want 7", n)
		}
		close(gate)
		synctest.Wait()
		if len(running) != 10 {
			t.Fatalf("%d actors ran, want 10", len(running))
		}
	})
}

func TestThroughputSharesAWorkerBetweenActors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		if err := s.RegisterDispatcher("two", actor.DispatcherConfig{Throughput: 2, MailboxSize: 9, MaxConcurrency: 1}); err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		var order strings.Builder
		refs := map[string]actor.Ref[int]{}
		for _, name := range []string{"a", "b"} {
			refs[name] = spawn(t, s, on(func(*actor.ContextOf[int]) { <-gate; order.WriteString(name) }).WithDispatcher("two"), name)
		}
		for range 5 {
			for _, name := range []string{"a", "b"} {
				if err := refs[name].Tell(1); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		close(gate)
		synctest.Wait()
		if got := order.String(); got != "aabbaabbab" {
			t.Fatalf("order %s", got)
		}
	})
}

func TestBadSettingsAreRefusedWithTheField(t *testing.T) {
	s, _ := newSystem(t)
	good := actor.DeviceDispatcher()
	for _, c := range []struct {
		name   string
		change func(*actor.DispatcherConfig)
		want   string
	}{
		{"", func(*actor.DispatcherConfig) {}, "empty"},
		{"default", func(*actor.DispatcherConfig) {}, "in use"},
		{"x", func(c *actor.DispatcherConfig) { c.Throughput = 0 }, "Throughput: want 1 to"},
		{"x", func(c *actor.DispatcherConfig) { c.MailboxSize = -1 }, "MailboxSize: want 1 to"},
		{"x", func(c *actor.DispatcherConfig) { c.MaxConcurrency = 1<<30 + 1 }, "MaxConcurrency: want 1 to"},
	} {
		cfg := good
		c.change(&cfg)
		if err := s.RegisterDispatcher(c.name, cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("RegisterDispatcher(%q, %v) = %v, want %q", c.name, cfg, err, c.want)
		}
	}
	for want, cfg := range map[string]actor.Config{"Address": {Port: 1}, "Port": {Address: "a", Port: 65536}} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate(%v) = %v", cfg, err)
		}
	}
	if err := node.Validate(); err != nil {
		t.Error(err)
	}
	echo := on(func(*actor.ContextOf[int]) {})
	for _, c := range []struct {
		props    *actor.PropsTyped[int]
		id, want string
	}{
		{echo, "", "1 to 255 bytes"},
		{echo, strings.Repeat("x", 256), "1 to 255 bytes"},
		{echo.WithDispatcher("nope"), "a", `no dispatcher "nope"`},
		{actor.PropsOf(func() actor.ReceiverOf[int] { return nil }), "a", "nil receiver"},
	} {
		if _, err := actor.Spawn(s.Engine(), c.props, c.id); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Spawn = %v, want %q", err, c.want)
		}
	}
}

func TestTheZeroRefBehavesLikeAStoppedActor(t *testing.T) {
	var ref actor.Ref[int]
	if err := ref.Tell(1); !errors.Is(err, actor.ErrStopped) {
		t.Errorf("Tell = %v", err)
	}
	if _, err := ref.TellBatch([]int{1}); !errors.Is(err, actor.ErrStopped) {
		t.Errorf("TellBatch = %v", err)
	}
	if err := ref.Stop(); err != nil {
		t.Errorf("Stop = %v", err)
	}
	<-ref.Stopped()
	if ref.PID() != (actor.PID{}) {
		t.Errorf("PID = %v", ref.PID())
	}
}

func TestAPanicIsLoggedWithTheActorsName(t *testing.T) {
	var out bytes.Buffer
	s := actor.NewActorSystem(node, slog.New(slog.NewTextHandler(&out, nil)))
	ref := spawn(t, s, on(func(*actor.ContextOf[int]) { panic("boom") }), "hq/t1")
	if err := ref.Tell(1); err != nil {
		t.Fatal(err)
	}
	<-ref.Stopped()
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"node:1/hq/t1", "boom", "cluster=test"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log has no %q: %s", want, out.String())
		}
	}
}
