package actor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/shared/actor"
)

func newGroup(t tb, s *actor.ActorSystem, limit int) *actor.Group {
	t.Helper()
	g, err := s.NewGroup("hq", actor.GroupConfig{TurnLimit: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Errorf("stop group: %v", err)
		}
	})
	return g
}

func spawnIn[M any](t tb, g *actor.Group, p *actor.PropsTyped[M], id string) actor.Ref[M] {
	t.Helper()
	ref, err := actor.SpawnIn(g, p, id)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestATurnHandlesMessagesInTheOrderInWhichTheyWereSent(t *testing.T) {
	s, _ := newSystem(t)
	g := newGroup(t, s, 0)
	var order []string
	var b actor.Ref[string]
	var c actor.Ref[int]
	send := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	a := spawnIn(t, g, on(func(ctx *actor.ContextOf[string]) {
		order = append(order, "a:"+ctx.Message())
		if ctx.Message() == "go" {
			send(actor.Send(ctx, b, "1"))
			send(actor.Send(ctx, c, 2))
			send(actor.Send(ctx, b, "3"))
			send(actor.Send(ctx, ctx.Self(), "4"))
		}
	}), "a")
	b = spawnIn(t, g, on(func(ctx *actor.ContextOf[string]) {
		order = append(order, "b:"+ctx.Message())
		send(actor.Send(ctx, c, 10))
	}), "b")
	c = spawnIn(t, g, on(func(ctx *actor.ContextOf[int]) {
		order = append(order, fmt.Sprint("c:", ctx.Message()))
	}), "c")
	if err := actor.Turn(g, a, "go"); err != nil {
		t.Fatal(err)
	}
	want := []string{"a:go", "b:1", "c:2", "b:3", "a:4", "c:10", "c:10"}
	if !slices.Equal(order, want) {
		t.Fatalf("order %v, want %v", order, want)
	}
}

// I7 rests on this: the same turns give the same order of messages, whatever
// the rest of the process does.
func TestTheSameTurnsGiveTheSameOrder(t *testing.T) {
	s, _ := newSystem(t)
	run := func(name string) []string {
		g, err := s.NewGroup(name, actor.GroupConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := g.Stop(); err != nil {
				t.Error(err)
			}
		}()
		var order []string
		rnd := rand.New(rand.NewPCG(1, 2))
		refs := make([]actor.Ref[int], 20)
		for i := range refs {
			refs[i] = spawnIn(t, g, on(func(ctx *actor.ContextOf[int]) {
				order = append(order, fmt.Sprint(i, ":", ctx.Message()))
				for range rnd.IntN(3) {
					if ctx.Message() > 0 {
						if err := actor.Send(ctx, refs[rnd.IntN(len(refs))], ctx.Message()-1); err != nil {
							t.Error(err)
						}
					}
				}
			}), fmt.Sprint(name, i))
		}
		for i := range 50 {
			if err := actor.Turn(g, refs[i%len(refs)], 12); err != nil {
				t.Fatal(err)
			}
		}
		return order
	}
	first := run("x")
	if len(first) < 500 {
		t.Fatalf("only %d messages: too few to show an order", len(first))
	}
	for range 5 {
		if !slices.Equal(first, run("y")) {
			t.Fatal("two runs differ")
		}
	}
}

func TestATurnEndsAtItsLimitAndTheGroupTakesNoMore(t *testing.T) {
	s, reg := newSystem(t)
	g := newGroup(t, s, 100)
	n := 0
	var last error
	a := spawnIn(t, g, on(func(ctx *actor.ContextOf[int]) {
		n++
		for range 2 {
			if err := actor.Send(ctx, ctx.Self(), 0); err != nil {
				last = err
			}
		}
	}), "a")
	if err := actor.Turn(g, a, 0); !errors.Is(err, actor.ErrTurnLimit) {
		t.Fatalf("Turn = %v", err)
	}
	if !errors.Is(last, actor.ErrTurnLimit) {
		t.Fatalf("the member's Send = %v", last)
	}
	if n > 100 || n+deadLetters(t, reg, "turn") != 100 {
		t.Fatalf("%d handled and %d discarded, want 100 together", n, deadLetters(t, reg, "turn"))
	}
	if err := actor.Turn(g, a, 0); !errors.Is(err, actor.ErrGroupFailed) {
		t.Fatalf("the next Turn = %v", err)
	}
}

func TestAnExactTurnOfTheLimitIsAllowed(t *testing.T) {
	s, _ := newSystem(t)
	g := newGroup(t, s, 100)
	var last error
	a := spawnIn(t, g, on(func(ctx *actor.ContextOf[int]) {
		if n := ctx.Message(); n > 1 {
			last = actor.Send(ctx, ctx.Self(), n-1)
		}
	}), "a")
	for range 3 {
		if err := errors.Join(actor.Turn(g, a, 100), last); err != nil {
			t.Fatal(err)
		}
	}
	if err := actor.Turn(g, a, 101); !errors.Is(err, actor.ErrTurnLimit) {
		t.Fatalf("a turn of 101 messages = %v", err)
	}
}

func TestAPanicEndsTheTurnAndCountsWhatWasLeft(t *testing.T) {
	s, reg := newSystem(t)
	g := newGroup(t, s, 0)
	cause := errors.New("broken")
	stopped := false
	b := spawnIn(t, g, props(funcOf[int]{
		receive: func(*actor.ContextOf[int]) { t.Error("a message after the panic was handled") },
		stopped: func(*actor.ContextOf[int], error) { stopped = true },
	}), "b")
	a := spawnIn(t, g, on(func(ctx *actor.ContextOf[int]) {
		for range 5 {
			if err := actor.Send(ctx, b, 1); err != nil {
				t.Error(err)
			}
		}
		panic(cause)
	}), "a")
	err := actor.Turn(g, a, 0)
	var p *actor.PanicError
	if !errors.As(err, &p) || p.PID != a.PID() || !errors.Is(err, cause) || !strings.Contains(string(p.Stack), "group_test.go") {
		t.Fatalf("Turn = %v", err)
	}
	if n := deadLetters(t, reg, "turn"); n != 5 {
		t.Fatalf("%d dead letters, want 5", n)
	}
	if n := sum(t, reg, "atrium_actor_panics_total", "dispatcher", "group"); n != 1 {
		t.Fatalf("%d panics counted", n)
	}
	if err := actor.Turn(g, b, 0); !errors.Is(err, actor.ErrGroupFailed) {
		t.Fatalf("the next Turn = %v", err)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if stopped {
		t.Fatal("a hook ran on a failed group")
	}
	if n := sum(t, reg, "atrium_actor_actors"); n != 0 {
		t.Fatalf("%d actors live after Stop", n)
	}
	if _, err := actor.SpawnIn(g, on(func(*actor.ContextOf[int]) {}), "c"); !errors.Is(err, actor.ErrStopped) {
		t.Fatalf("SpawnIn after Stop = %v", err)
	}
	if err := actor.Turn(g, b, 0); !errors.Is(err, actor.ErrStopped) {
		t.Fatalf("Turn after Stop = %v", err)
	}
}

// I7: members have one order only while turns come one after another.
func TestASecondTurnIsRefusedWhileOneRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		g := newGroup(t, s, 0)
		gate := make(chan struct{})
		var got []int
		ref := spawnIn(t, g, on(func(ctx *actor.ContextOf[int]) {
			if ctx.Message() == 1 {
				<-gate
			}
			got = append(got, ctx.Message())
		}), "a")
		first := make(chan error, 1)
		go func() { first <- actor.Turn(g, ref, 1) }()
		synctest.Wait()
		if err := actor.Turn(g, ref, 2); !errors.Is(err, actor.ErrTurnRunning) {
			t.Errorf("a turn while another runs = %v", err)
		}
		close(gate)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := actor.Turn(g, ref, 3); err != nil {
			t.Error(err)
		}
		if !slices.Equal(got, []int{1, 3}) || handled(t, reg) != 2 {
			t.Errorf("handled %v", got)
		}
	})
}

func TestNothingCrossesTheBorderOfAGroup(t *testing.T) {
	s, reg := newSystem(t)
	g, other := newGroup(t, s, 0), newGroup(t, s, 0)
	var received atomic.Int32
	count := on(func(*actor.ContextOf[int]) { received.Add(1) })
	outside := spawn(t, s, count, "outside")
	foreign := spawnIn(t, other, count, "foreign")
	inside := spawnIn(t, g, on(func(ctx *actor.ContextOf[int]) {
		for _, to := range []actor.Ref[int]{outside, foreign} {
			if err := actor.Send(ctx, to, 1); !errors.Is(err, actor.ErrOutsideGroup) {
				t.Errorf("Send to %s = %v", to, err)
			}
			if err := actor.Watch(ctx, to, func(actor.Terminated) int { return 0 }); !errors.Is(err, actor.ErrOutsideGroup) {
				t.Errorf("Watch of %s = %v", to, err)
			}
		}
		if err := ctx.Self().Tell(1); !errors.Is(err, actor.ErrOutsideGroup) {
			t.Errorf("Tell to a member within a turn = %v", err)
		}
		if err := actor.Turn(g, ctx.Self(), 1); !errors.Is(err, actor.ErrTurnRunning) {
			t.Errorf("a turn within a turn = %v", err)
		}
		if err := g.Stop(); !errors.Is(err, actor.ErrTurnRunning) {
			t.Errorf("Stop within a turn = %v", err)
		}
	}), "inside")

	if err := actor.Turn(g, inside, 1); err != nil {
		t.Fatal(err)
	}
	if err := actor.Turn(g, foreign, 1); !errors.Is(err, actor.ErrOutsideGroup) {
		t.Errorf("Turn with another group's member = %v", err)
	}
	if err := foreign.Tell(1); !errors.Is(err, actor.ErrOutsideGroup) {
		t.Errorf("Tell to a member = %v", err)
	}
	if n, err := foreign.TellBatch([]int{1, 2}); n != 0 || !errors.Is(err, actor.ErrOutsideGroup) {
		t.Errorf("TellBatch to a member = %d, %v", n, err)
	}
	if _, err := actor.Ask(context.Background(), foreign, func(actor.Reply[int]) int { return 1 }); !errors.Is(err, actor.ErrOutsideGroup) {
		t.Errorf("Ask of a member = %v", err)
	}
	if err := foreign.Stop(); !errors.Is(err, actor.ErrOutsideGroup) {
		t.Errorf("Stop of a member = %v", err)
	}
	sender := spawn(t, s, on(func(ctx *actor.ContextOf[actor.Reply[error]]) {
		ctx.Message().Send(actor.Send(ctx, foreign, 1))
	}), "sender")
	sent, err := actor.Ask(context.Background(), sender, func(r actor.Reply[error]) actor.Reply[error] { return r })
	if err != nil || !errors.Is(sent, actor.ErrOutsideGroup) {
		t.Errorf("Send from a dispatcher's actor to a member = %v, %v", sent, err)
	}
	if n := received.Load(); n != 0 {
		t.Errorf("%d messages crossed the border", n)
	}
	if n := refusals(t, reg, "outside_group"); n != 9 {
		t.Errorf("%d refusals counted, want 9", n)
	}
}

// Anybody may ask how many messages a member has, at any time.
func TestTheMessagesOfAMemberAreCountedDuringATurn(t *testing.T) {
	s, _ := newSystem(t)
	g := newGroup(t, s, 0)
	most := 0
	ref := spawnIn(t, g, on(func(ctx *actor.ContextOf[int]) {
		for n := ctx.Message(); n > 0; n-- {
			if err := actor.Send(ctx, ctx.Self(), n-1); err != nil {
				t.Error(err)
			}
		}
		most = max(most, ctx.Self().Waiting())
	}), "a")
	var over atomic.Bool
	var asking sync.WaitGroup
	begun := make(chan struct{})
	asking.Go(func() {
		ref.Waiting()
		close(begun)
		for !over.Load() {
			ref.Waiting()
		}
	})
	<-begun
	if err := actor.Turn(g, ref, 12); err != nil {
		t.Fatal(err)
	}
	over.Store(true)
	asking.Wait()
	if n := ref.Waiting(); n != 0 || most < 13 {
		t.Errorf("%d wait after the turn, and %d at most within it: the first in hand has sent 12", n, most)
	}
}

func TestTheGuardRefusesATellFromInsideATurn(t *testing.T) {
	s, _ := newSystem(t, actor.WithTurnGuard())
	g := newGroup(t, s, 0)
	outside := spawn(t, s, on(func(ctx *actor.ContextOf[actor.Reply[int]]) { ctx.Message().Send(1) }), "outside")
	ask := func() error {
		_, err := actor.Ask(context.Background(), outside, func(r actor.Reply[int]) actor.Reply[int] { return r })
		return err
	}
	inside := spawnIn(t, g, on(func(ctx *actor.ContextOf[int]) {
		if err := outside.Tell(actor.Reply[int]{}); !errors.Is(err, actor.ErrOutsideGroup) {
			t.Errorf("Tell = %v", err)
		}
		if _, err := outside.TellBatch(make([]actor.Reply[int], 2)); !errors.Is(err, actor.ErrOutsideGroup) {
			t.Errorf("TellBatch = %v", err)
		}
		if err := ask(); !errors.Is(err, actor.ErrOutsideGroup) {
			t.Errorf("Ask = %v", err)
		}
		elsewhere := make(chan error)
		go func() { elsewhere <- ask() }()
		if err := <-elsewhere; err != nil {
			t.Errorf("Ask from another goroutine during a turn = %v", err)
		}
	}), "inside")
	if err := actor.Turn(g, inside, 1); err != nil {
		t.Fatal(err)
	}
	if err := ask(); err != nil {
		t.Errorf("Ask after the turn = %v", err)
	}
}

func TestAMemberStopsAfterWhatItAcceptedAndIsWatched(t *testing.T) {
	s, _ := newSystem(t)
	g := newGroup(t, s, 0)
	var log []string
	var child actor.Ref[string]
	parent := spawnIn(t, g, on(func(ctx *actor.ContextOf[any]) {
		switch m := ctx.Message().(type) {
		case actor.Terminated:
			log = append(log, "gone:"+m.PID.ID)
		default:
			var err error
			child, err = actor.SpawnIn(g, props(funcOf[string]{
				started: func(*actor.ContextOf[string]) { log = append(log, "started") },
				receive: func(c *actor.ContextOf[string]) {
					log = append(log, c.Message())
					c.Stop()
				},
				stopped: func(_ *actor.ContextOf[string], reason error) { log = append(log, fmt.Sprint("stopped:", reason)) },
			}), "child")
			if err != nil {
				t.Error(err)
			}
			if err := actor.Watch(ctx, child, func(n actor.Terminated) any { return n }); err != nil {
				t.Error(err)
			}
			for _, m := range []string{"1", "2"} {
				if err := actor.Send(ctx, child, m); err != nil {
					t.Error(err)
				}
			}
		}
	}), "parent")
	want := []string{"started", "1", "2", "stopped:<nil>", "gone:child"}
	for range 3 { // the ID is free again each time
		log = nil
		if err := actor.Turn(g, parent, any(nil)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(log, want) {
			t.Fatalf("log %v, want %v", log, want)
		}
		<-child.Stopped()
		if err := actor.Turn(g, child, "3"); !errors.Is(err, actor.ErrStopped) {
			t.Fatalf("Turn with a stopped member = %v", err)
		}
	}
}

func TestAGroupStopsItsMembersLastSpawnedFirst(t *testing.T) {
	s, reg := newSystem(t)
	g := newGroup(t, s, 0)
	var order []int
	for i := range 5 {
		spawnIn(t, g, props(funcOf[int]{
			receive: func(*actor.ContextOf[int]) {},
			stopped: func(ctx *actor.ContextOf[int], _ error) {
				order = append(order, i)
				if err := actor.Send(ctx, ctx.Self(), 1); err == nil {
					t.Error("a member could send while its group stopped")
				}
			},
		}), fmt.Sprint(i))
	}
	if n := sum(t, reg, "atrium_actor_actors", "dispatcher", "group"); n != 5 {
		t.Fatalf("%d actors", n)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(order, []int{4, 3, 2, 1, 0}) {
		t.Fatalf("order %v", order)
	}
	if _, err := s.NewGroup("x", actor.GroupConfig{TurnLimit: -1}); err == nil || !strings.Contains(err.Error(), "TurnLimit") {
		t.Fatalf("a negative limit gave %v", err)
	}
}
