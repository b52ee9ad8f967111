package actor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/actor"
)

func count(t tb, reg *prometheus.Registry, name string) (n uint64, total float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			h := f.GetMetric()[0].GetHistogram()
			return h.GetSampleCount(), h.GetSampleSum()
		}
	}
	return 0, 0
}

func received(t tb, reg *prometheus.Registry, outcome string) int {
	return sum(t, reg, "atrium_actor_received_total", "outcome", outcome)
}

func TestEverySendReachesAnActorOfAnotherNodeInOrder(t *testing.T) {
	for _, address := range []string{"b", "", "nowhere"} {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork()
			s, reg := n.join(t, "a")
			far, farReg := n.join(t, "b")
			n.faults(func() fault { return fault{delay: time.Millisecond} })
			actorThere := &adder{}
			host(t, n, far, "b", "x", actorThere, 0)
			ref := refTo(t, s, address, "x")

			if err := ref.Tell(note{n: 1}); err != nil {
				t.Fatal(err)
			}
			if accepted, err := ref.TellBatch(numbers(2, 500)); accepted != 499 || err != nil {
				t.Fatal(accepted, err)
			}
			if w := ref.Waiting(); w != 500 {
				t.Fatalf("%d messages wait", w)
			}
			if total, err := ask(t.Context(), ref); total != 500*501/2 || err != nil {
				t.Fatalf("asked after the tells: %d, %v", total, err)
			}
			if err := ref.TellWait(t.Context(), note{n: 501}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			want := numbers(1, 501)
			if got := actorThere.seen(); !slices.EqualFunc(got, want, func(n int, m note) bool { return n == m.n }) {
				t.Fatalf("got %v", got)
			}
			if pid := ref.PID(); pid != (actor.PID{Address: "b:1", ID: "x"}) {
				t.Fatalf("PID %v", pid)
			}
			if w := ref.Waiting(); w != 0 {
				t.Fatalf("%d messages wait", w)
			}
			if h := sum(t, reg, "atrium_actor_messages_total", "dispatcher", "remote", "type", "note/1"); h != 502 {
				t.Fatalf("%d messages counted as delivered", h)
			}
			if r := received(t, farReg, "accepted"); r != 502 {
				t.Fatalf("%d messages counted as received", r)
			}
			delivered, hops := count(t, reg, "atrium_actor_hops")
			if late := address == "nowhere"; delivered != 502 || !late && hops != 502 || late && hops <= 502 {
				t.Fatalf("%d messages, %v hops", delivered, hops)
			}
		})
	}
}

func TestAnActorThatMovesIsFollowedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		b, _ := n.join(t, "b")
		c, _ := n.join(t, "c")
		first, second := &adder{}, &adder{}
		old := host(t, n, b, "b", "x", first, 0)
		ref := refTo(t, s, "b", "x")
		if err := ref.Tell(note{n: 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := old.Stop(); err != nil {
			t.Fatal(err)
		}
		<-old.Stopped()
		host(t, n, c, "c", "x", second, 0)
		for i := 2; i <= 3; i++ {
			if err := ref.Tell(note{n: i}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if a, b := first.seen(), second.seen(); !slices.Equal(a, []int{1}) || !slices.Equal(b, []int{2, 3}) {
			t.Fatalf("%v before and %v after the move", a, b)
		}
		if pid := ref.PID(); pid.Address != "c:1" {
			t.Fatalf("PID %v", pid)
		}
		if delivered, hops := count(t, reg, "atrium_actor_hops"); delivered != 3 || hops != 4 {
			t.Fatalf("%d messages, %v hops: only the one after the move takes two", delivered, hops)
		}
	})
}

func TestAnActorThatComesHomeIsReachedByItsOldReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := n.join(t, "a")
		n.join(t, "b")
		home := &adder{}
		host(t, n, s, "a", "x", home, 0)
		ref := refTo(t, s, "b", "x")
		if err := ref.Tell(note{n: 7}); err != nil {
			t.Fatal(err)
		}
		if total, err := ask(t.Context(), ref); total != 7 || err != nil {
			t.Fatal(total, err)
		}
		if exchanges := n.count(); exchanges != 1 {
			t.Fatalf("%d requests left the node; only the stale one should have", exchanges)
		}
	})
}

func TestAMessageIsSentToTwoNodesAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		n.join(t, "b")
		n.join(t, "c")
		n.move("x", "c") // which does not have it
		ref := refTo(t, s, "b", "x")
		if err := ref.Tell(note{n: 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if d, e := deadLetters(t, reg, "stale"), n.count(); d != 1 || e != 2 {
			t.Fatalf("%d dead letters after %d requests", d, e)
		}
		if err := ref.TellWait(t.Context(), note{n: 1}); !errors.Is(err, actor.ErrStale) {
			t.Fatalf("TellWait = %v", err)
		}
		if _, err := ask(t.Context(), ref); !errors.Is(err, actor.ErrStale) {
			t.Fatalf("Ask = %v", err)
		}
		if e := n.count(); e != 6 {
			t.Fatalf("%d requests", e)
		}
		if r := refusals(t, reg, "unreachable"); r != 2 {
			t.Fatalf("%d refusals", r)
		}
	})
}

func TestAMessageToNobodyIsADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		var letters []actor.DeadLetter
		listener := spawn(t, s, on(func(c *actor.ContextOf[actor.DeadLetter]) { letters = append(letters, c.Message()) }), "listener")
		if _, err := actor.Subscribe(s.Events(), listener, func(d actor.DeadLetter) (actor.DeadLetter, bool) { return d, true }); err != nil {
			t.Fatal(err)
		}
		ref := refTo(t, s, "", "nobody")
		if err := ref.On(actor.High).Tell(note{n: 12}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if d := deadLetters(t, reg, "unlocated"); d != 1 {
			t.Fatalf("%d dead letters", d)
		}
		want := actor.DeadLetter{PID: actor.PID{ID: "nobody"}, Type: "note/1", Lane: actor.High, Message: []byte("12"), Reason: "unlocated"}
		if len(letters) != 1 || letters[0].PID != want.PID || letters[0].Type != want.Type || letters[0].Lane != want.Lane ||
			string(letters[0].Message.([]byte)) != "12" || letters[0].Reason != want.Reason {
			t.Fatalf("published %+v", letters)
		}
		if err := ref.TellWait(t.Context(), note{}); err == nil || errors.Is(err, actor.ErrUnconfirmed) {
			t.Fatalf("TellWait = %v", err)
		}
	})
}

func TestAFullActorOfAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		far, farReg := n.join(t, "b")
		slow := &adder{gate: make(chan struct{})}
		host(t, n, far, "b", "x", slow, 3)
		ref := refTo(t, s, "b", "x")
		if accepted, err := ref.TellBatch(numbers(1, 5)); accepted != 5 || err != nil {
			t.Fatal(accepted, err)
		}
		synctest.Wait()
		if d, r := deadLetters(t, reg, "far_full"), received(t, farReg, "full"); d != 2 || r != 2 {
			t.Fatalf("%d dead letters here, %d refused there", d, r)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := ref.TellWait(ctx, note{n: 6}); !errors.Is(err, actor.ErrMailboxFull) || errors.Is(err, actor.ErrUnconfirmed) {
			t.Fatalf("TellWait while full = %v", err)
		}
		told := make(chan error)
		go func() { told <- ref.TellWait(t.Context(), note{n: 7}) }()
		synctest.Wait()
		close(slow.gate)
		if err := <-told; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := slow.seen(); !slices.Equal(got, []int{1, 2, 3, 7}) {
			t.Fatalf("got %v", got)
		}
	})
}

func TestAFullActorThatLetsItsSendersWaitHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		far, _ := n.join(t, "b")
		slow, quick := &adder{gate: make(chan struct{})}, &adder{}
		spawn(t, far, actor.PropsOf(func() actor.ReceiverOf[note] { return slow }).WithCodec(notes).
			WithMailbox(actor.Mailbox{Size: 1, Overflow: actor.Block}), "slow")
		host(t, n, far, "b", "quick", quick, 0)
		for i := range 3 {
			if err := refTo(t, s, "b", "slow").Tell(note{n: i}); err != nil {
				t.Fatal(err)
			}
		}
		if err := refTo(t, s, "b", "quick").Tell(note{n: 1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, d := quick.seen(), deadLetters(t, reg, "far_full"); len(got) != 1 || d != 2 {
			t.Fatalf("the other got %v; %d dead letters", got, d)
		}
		close(slow.gate)
	})
}

func TestAStoppingActorOfAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		far, _ := n.join(t, "b")
		slow := &adder{gate: make(chan struct{})}
		there := host(t, n, far, "b", "x", slow, 0)
		ref := refTo(t, s, "b", "x")
		asked := make(chan error)
		go func() {
			_, err := ask(t.Context(), ref)
			asked <- err
		}()
		synctest.Wait()
		if err := there.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := ref.Tell(note{n: 1}); err != nil {
			t.Fatal(err)
		}
		if err := ref.TellWait(t.Context(), note{n: 1}); !errors.Is(err, actor.ErrStopped) {
			t.Fatalf("TellWait = %v", err)
		}
		if d := deadLetters(t, reg, "far_stopped"); d != 1 {
			t.Fatalf("%d dead letters", d)
		}
		close(slow.gate)
		if err := <-asked; err != nil {
			t.Fatalf("a question that was accepted before = %v", err)
		}
	})
}

func TestAnAskerThatGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := n.join(t, "a")
		far, _ := n.join(t, "b")
		mute := on(func(*actor.ContextOf[note]) {}).WithCodec(notes)
		spawn(t, far, mute, "x")
		ref := refTo(t, s, "b", "x")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := ask(ctx, ref); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > time.Second {
			t.Fatalf("after %v: %v", time.Since(begin), err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := ask(ctx, ref); !errors.Is(err, context.Canceled) || !errors.Is(err, actor.ErrUnconfirmed) {
			t.Fatalf("cancelled: %v", err)
		}
		begin = time.Now()
		if _, err := ask(context.Background(), ref); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > time.Minute {
			t.Fatalf("without an end, after %v: %v", time.Since(begin), err)
		}
	})
}

func TestWhatAnotherNodesActorCantBeAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := n.join(t, "a")
		ref := refTo(t, s, "b", "x")
		var watched error
		spawn(t, s, props(funcOf[int]{
			receive: func(*actor.ContextOf[int]) {},
			started: func(c *actor.ContextOf[int]) {
				watched = actor.Watch(c, ref, func(actor.Terminated) int { return 0 })
			},
		}), "watcher")
		synctest.Wait()
		_, subscribed := actor.Subscribe(s.Events(), ref, func(actor.Event) (note, bool) { return note{}, true })
		for what, err := range map[string]error{"Stop": ref.Stop(), "Poison": ref.Poison(), "Watch": watched, "Subscribe": subscribed} {
			if !errors.Is(err, actor.ErrElsewhere) {
				t.Errorf("%s = %v", what, err)
			}
		}
		if ref.Stopped() != nil {
			t.Error("Stopped is a channel")
		}
		g, err := s.NewGroup("g", actor.GroupConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if err := actor.Turn(g, ref, note{}); !errors.Is(err, actor.ErrOutsideGroup) {
			t.Errorf("Turn = %v", err)
		}
	})
}

func TestAReferenceToThisNodeIsLocal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := n.join(t, "a")
		here := host(t, n, s, "a", "x", &adder{}, 0)
		if ref := refTo(t, s, "a", "x"); ref != here {
			t.Fatal("another reference")
		}
		spawn(t, s, on(func(*actor.ContextOf[int]) {}), "int")
		e := s.Engine()
		alone, _ := newSystem(t)
		for what, err := range map[string]error{
			"no actor":     second(actor.RefAt(e, actor.PID{Address: "a:1", ID: "none"}, notes)),
			"another type": second(actor.RefAt(e, actor.PID{Address: "a:1", ID: "int"}, notes)),
			"no id":        second(actor.RefAt(e, actor.PID{Address: "b:1"}, notes)),
			"no codec":     second(actor.RefAt[note](e, actor.PID{Address: "b:1", ID: "x"}, nil)),
			"empty codec":  second(actor.RefAt(e, actor.PID{Address: "b:1", ID: "x"}, &actor.Codec[note]{Name: "n"})),
			"no transport": second(actor.RefAt(alone.Engine(), actor.PID{Address: "b:1", ID: "x"}, notes)),
		} {
			if err == nil {
				t.Errorf("%s: no error", what)
			}
		}
	})
}

func second[T any](_ T, err error) error { return err }
