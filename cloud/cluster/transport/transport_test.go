package transport

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/shared/actor"
)

// sendsReach sends in every way from a node to an actor that another has, and
// compares the sum there.
func sendsReach(t *testing.T, from, to *peer, name string) {
	t.Helper()
	ref := from.ref(t, name)
	before := to.adder.total()
	if err := ref.Tell(note{n: 1}); err != nil {
		t.Fatal(err)
	}
	if n, err := ref.TellBatch([]note{{n: 10}, {n: 100}}); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if err := ref.TellWait(t.Context(), note{n: 1000}); err != nil {
		t.Fatal(err)
	}
	if sum, err := ask(t.Context(), ref); sum != before+1111 || err != nil {
		t.Fatalf("asked after the tells: %d, %v, want %d", sum, err, before+1111)
	}
}

func TestOneSendReachesAnActorWhicheverNodeHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, o := journaltest.NewBus(), newOwners()
		a, b := join(t, "a", o, bus.Node("a")), join(t, "b", o, bus.Node("b"))
		synctest.Wait()
		o.move("adder/x", "b")
		sendsReach(t, a, b, "x")
		sendsReach(t, b, b, "x") // the same words where it lives
		o.move("adder/y", "a")
		sendsReach(t, b, a, "y")
		if sum, err := ask(t.Context(), a.ref(t, "nowhere")); err == nil {
			t.Fatalf("an actor that no node has answered %d", sum)
		}
	})
}

func TestAnActorThatMovedIsLookedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, o := journaltest.NewBus(), newOwners()
		a, b, c := join(t, "a", o, bus.Node("a")), join(t, "b", o, bus.Node("b")), join(t, "c", o, bus.Node("c"))
		synctest.Wait()
		o.move("adder/x", "b")
		sendsReach(t, a, b, "x")
		time.Sleep(patience) // it rests, so it may move
		o.move("adder/x", "c")
		sendsReach(t, a, c, "x")
		if o.freshLooks() == 0 {
			t.Fatal("it was found without a look")
		}
		if b.adder.total() != 1111 {
			t.Fatalf("the node before got %d", b.adder.total())
		}
	})
}

func TestWhatADeadNodeHadIsFoundAtTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, o := journaltest.NewBus(), newOwners()
		a, b, c := join(t, "a", o, bus.Node("a")), join(t, "b", o, bus.Node("b")), join(t, "c", o, bus.Node("c"))
		synctest.Wait()
		o.move("adder/x", "b")
		sendsReach(t, a, b, "x")
		b.stop()
		if _, err := a.transport.Exchange(t.Context(), addressOf("b"), nil); !errors.Is(err, actor.ErrStale) || !errors.Is(err, journal.ErrNobody) {
			t.Fatalf("a node that does not serve: %v, want ErrStale", err)
		}
		o.move("adder/x", "c")
		sendsReach(t, a, c, "x")
		if n := a.value(t, "atrium_transport_exchange_failures_total", "reason", "nobody"); n < 2 {
			t.Fatalf("%v requests counted that found nobody", n)
		}
	})
}

// A request that may have arrived must not be sent elsewhere.
func TestANetworkThatSwallowsARequestLeavesItUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, o := journaltest.NewBus(), newOwners()
		a := join(t, "a", o, bus.Node("a"))
		join(t, "b", o, bus.Node("b"))
		synctest.Wait()
		o.move("adder/x", "b")
		for name, loses := range map[string]func(from, to string) bool{
			"the way there": func(_, to string) bool { return to == "b" },
			"the way back":  func(_, to string) bool { return to == "a" },
		} {
			bus.Lose(loses)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			err := a.ref(t, "x").TellWait(ctx, note{n: 1})
			cancel()
			if !errors.Is(err, actor.ErrUnconfirmed) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s lost: %v, want ErrUnconfirmed", name, err)
			}
		}
		bus.Lose(nil)
		if sum, err := ask(t.Context(), a.ref(t, "x")); sum != 1 || err != nil {
			t.Fatalf("one message arrived whose answer was lost: %d, %v", sum, err)
		}
		if o.freshLooks() != 0 {
			t.Fatal("a request without an answer was sent elsewhere")
		}
	})
}

// I5: a node has so many requests in hand and no more; who is refused knows at
// once, and it gets better.
func TestANodeWithTooManyRequestsInHandSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, o := journaltest.NewBus(), newOwners()
		a, b := join(t, "a", o, bus.Node("a")), join(t, "b", o, bus.Node("b"))
		synctest.Wait()
		o.move("adder/x", "b")
		b.adder.mute = true
		ref := a.ref(t, "x")
		var questions sync.WaitGroup
		for range maxServed {
			questions.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if _, err := ask(ctx, ref); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := b.adder.asked(); n != maxServed {
			t.Fatalf("%d questions arrived, want %d", n, maxServed)
		}
		began := time.Now()
		_, err := ask(t.Context(), ref)
		if !errors.Is(err, actor.ErrMailboxFull) || time.Since(began) > time.Second {
			t.Fatalf("a question too many: %v after %v, want ErrMailboxFull at once", err, time.Since(began))
		}
		if n := b.value(t, "atrium_transport_dropped_total", "reason", "full"); n != 1 {
			t.Fatalf("%v requests counted as refused", n)
		}
		b.adder.answerAll()
		questions.Wait()
		if _, err := ask(t.Context(), ref); err != nil {
			t.Fatalf("after the others were answered: %v", err)
		}
	})
}

func TestBytesInHandAreBoundedToo(t *testing.T) {
	tr := New("a:1", nil, nil, slog.New(slog.DiscardHandler), nil)
	for taken := 0; taken < maxServedBytes; taken += journal.MaxBusMessage {
		if !tr.admit(journal.MaxBusMessage) {
			t.Fatalf("refused with %d bytes in hand", taken)
		}
	}
	if tr.admit(1) {
		t.Fatal("a byte too many was taken")
	}
	tr.release(journal.MaxBusMessage)
	if !tr.admit(1) {
		t.Fatal("refused although there is room again")
	}
}

func TestANodeThatStopsAnswersWhatItHasInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, o := journaltest.NewBus(), newOwners()
		a, b := join(t, "a", o, bus.Node("a")), join(t, "b", o, bus.Node("b"))
		synctest.Wait()
		o.move("adder/x", "b")
		b.adder.mute = true
		failed := make(chan error)
		go func() {
			_, err := ask(t.Context(), a.ref(t, "x"))
			failed <- err
		}()
		synctest.Wait()
		began := time.Now()
		b.stop()
		if err := <-failed; err == nil || time.Since(began) > time.Second {
			t.Fatalf("the question in hand ended with %v after %v", err, time.Since(began))
		}
	})
}

func TestAMessageThatWantsNoAnswerIsCountedAndDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, o := journaltest.NewBus(), newOwners()
		a := join(t, "a", o, bus.Node("a"))
		synctest.Wait()
		if err := bus.Node("b").Publish(subject+addressOf("a"), []byte("?")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := a.value(t, "atrium_transport_dropped_total", "reason", "unasked"); n != 1 {
			t.Fatalf("%v counted", n)
		}
	})
}

// What holds over the double holds over three real servers and their routes,
// also when one of them goes.
func TestActorsOfRealNodesReachEachOther(t *testing.T) {
	nodes, o := journaltest.StartNodes(t), newOwners()
	var peers []*peer
	for i, name := range []string{"n1", "n2", "n3"} {
		peers = append(peers, join(t, name, o, nodes.Servers[i].Bus(nil)))
	}
	o.move("adder/x", "n2")
	o.move("adder/y", "n3")
	o.move("adder/z", "n1")
	for _, p := range peers { // until each knows that the others listen
		for _, name := range []string{"x", "y", "z"} {
			until(t, func() error { _, err := ask(t.Context(), p.ref(t, name)); return err })
		}
	}
	sendsReach(t, peers[0], peers[1], "x")
	sendsReach(t, peers[2], peers[1], "x")
	sendsReach(t, peers[1], peers[2], "y")

	peers[1].stop()
	nodes.Stop(1)
	o.move("adder/x", "n3")
	until(t, func() error { _, err := ask(t.Context(), peers[0].ref(t, "x")); return err })
	sendsReach(t, peers[0], peers[2], "x")
}

// until repeats what needs the nodes to have heard of each other.
func until(t *testing.T, f func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for f() != nil {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal(f())
		}
	}
}
