package actor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/snapshot"
)

func TestAVirtualActorIsActiveOnItsNodeWhoeverSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		sums := map[string]*adder{"a": {}, "b": {}}
		refs := map[string]actor.Ref[note]{}
		for _, name := range []string{"a", "b"} {
			s, _ := n.join(t, name)
			adders, err := actor.Register(s.Engine(), "adder", actor.PropsOf(func() actor.ReceiverOf[note] { return sums[name] }).
				WithCodec(notes).WithPassivation(actor.Passivation{Idle: time.Second}))
			if err != nil {
				t.Fatal(err)
			}
			if refs[name], err = adders.Ref("x"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ask(t.Context(), refs["a"]); err == nil {
			t.Fatal("an actor that no node has was asked")
		}
		want := map[string]int{}
		for i, owner := range []string{"b", "a", "b"} {
			time.Sleep(time.Minute) // it rests, so it may move
			n.move("adder/x", owner)
			for _, ref := range refs {
				if err := ref.Tell(note{n: 1}); err != nil {
					t.Fatal(err)
				}
				if _, err := ref.TellBatch(numbers(1, 2)); err != nil {
					t.Fatal(err)
				}
				if err := ref.TellWait(t.Context(), note{n: 1}); err != nil {
					t.Fatal(err)
				}
				want[owner] += 5
				if total, err := ask(t.Context(), ref); total < 5 || err != nil {
					t.Fatalf("owner %d: %d, %v", i, total, err)
				}
			}
			synctest.Wait()
			for name := range sums {
				if got := sums[name].sum; got != want[name] {
					t.Fatalf("owner %d is %s: node %s has %d, want %d", i, owner, name, got, want[name])
				}
			}
		}
		time.Sleep(time.Minute)
		if err := refs["a"].Stop(); !errors.Is(err, actor.ErrElsewhere) {
			t.Fatalf("Stop = %v", err)
		}
	})
}

// registerAdders makes the type "adder" on a node, open to others.
func registerAdders(t tb, s *actor.ActorSystem, a *adder, rules actor.Passivation) actor.Type[note] {
	t.Helper()
	typ, err := actor.Register(s.Engine(), "adder", actor.PropsOf(func() actor.ReceiverOf[note] { return a }).
		WithCodec(notes).WithPassivation(rules))
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

func adderRef(t tb, typ actor.Type[note], name string) actor.Ref[note] {
	t.Helper()
	ref, err := typ.Ref(name)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// Who waits for the end of a virtual actor keeps its place in the directory,
// which is no reason to activate it where it does not belong any more.
func TestAVirtualActorThatIsWatchedMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		a, _ := n.join(t, "a")
		b, _ := n.join(t, "b")
		onA, onB := &adder{}, &adder{}
		rules := actor.Passivation{Idle: time.Second}
		ref := adderRef(t, registerAdders(t, a, onA, rules), "x")
		far := adderRef(t, registerAdders(t, b, onB, rules), "x")
		n.move("adder/x", "a")
		ended := ref.Stopped()
		if err := ref.Tell(note{n: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // it rests
		n.move("adder/x", "b")
		if err := ref.TellWait(t.Context(), note{n: 2}); err != nil {
			t.Fatal(err)
		}
		if err := refTo(t, b, "a", "adder/x").TellWait(t.Context(), note{n: 4}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if onA.sum != 1 || onB.sum != 6 {
			t.Fatalf("%d where it was, %d where it is", onA.sum, onB.sum)
		}
		select {
		case <-ended:
			t.Error("its move is taken for its end")
		default:
		}
		if err := far.Stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestASearchForAVirtualActorEndsWithItsSendersPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := n.join(t, "a")
		n.move("adder/x", "a")
		ref := adderRef(t, registerAdders(t, s, &adder{}, actor.Passivation{}), "x")
		n.searches(func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		})
		for what, send := range map[string]func(ctx context.Context) error{
			"TellWait": func(ctx context.Context) error { return ref.TellWait(ctx, note{}) },
			"Ask":      func(ctx context.Context) error { return second(ask(ctx, ref)) },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			begin := time.Now()
			if err := send(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
				t.Errorf("%s after %v: %v", what, time.Since(begin), err)
			}
			cancel()
		}
		begin := time.Now()
		if err := ref.Tell(note{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 5*time.Second {
			t.Errorf("Tell after %v: %v", time.Since(begin), err)
		}
	})
}

// The transport may itself use actors, and who is on the way to one must not
// keep others from it.
func TestASearchHoldsNoLockOfTheActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := n.join(t, "a")
		n.move("adder/x", "a")
		there := &adder{}
		ref := adderRef(t, registerAdders(t, s, there, actor.Passivation{}), "x")
		inside := false
		n.searches(func(context.Context, string) error {
			ref.Waiting()
			if !inside {
				inside = true
				return ref.Tell(note{n: 1})
			}
			return nil
		})
		if err := ref.Tell(note{n: 2}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := there.seen(); len(got) != 2 || got[0] != 1 {
			t.Fatalf("got %v", got)
		}
	})
}

// Its state may be another node's, in a store that both have.
func TestAVirtualActorThatIsNotFoundIsNotStoppedHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := n.join(t, "a")
		store := snapshot.NewMemory(1 << 20)
		typ, err := actor.Register(s.Engine(), "account", actor.PropsOf(func() actor.ReceiverOf[note] { return &savedAdder{} }).
			WithCodec(notes).WithPassivation(actor.Passivation{Store: store}))
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Save(t.Context(), "account/x", []byte("another node's")); err != nil {
			t.Fatal(err)
		}
		ref := adderRef(t, typ, "x")
		for what, err := range map[string]error{"Stop": ref.Stop(), "Poison": ref.Poison()} {
			if err == nil {
				t.Errorf("%s of an actor that nobody finds", what)
			}
		}
		synctest.Wait()
		if _, err := store.Load(t.Context(), "account/x"); err != nil {
			t.Error(err)
		}
	})
}

// savedAdder is an adder that a store keeps.
type savedAdder struct{ adder }

func (*savedAdder) Snapshot() ([]byte, error) { return nil, nil }
func (*savedAdder) Restore([]byte) error      { return nil }
