package actor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/envelope"
)

// TestWhateverTheNetworkDoesNothingIsHandledTwiceOrOutOfOrder tells from three
// senders on two lanes through loss, delay and repetition while the actor
// moves, and compares what was handled with what was accepted (I5).
func TestWhateverTheNetworkDoesNothingIsHandledTwiceOrOutOfOrder(t *testing.T) {
	const senders, each = 3, 400
	lanes := []actor.Lane{actor.Normal, actor.High}
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			n := newNetwork()
			s, reg := n.join(t, "a")
			b, _ := n.join(t, "b")
			c, _ := n.join(t, "c")
			everywhere := &adder{} // the actor's state moves with it
			here := host(t, n, b, "b", "x", everywhere, 0)
			n.faults(weather(seed))
			var wg sync.WaitGroup
			refused, unsure := 0, map[int]bool{}
			var mu sync.Mutex
			for i := range senders {
				wg.Go(func() {
					ref := refTo(t, s, "b", "x")
					for k := range each {
						m := note{n: i*1_000_000 + k}
						var err error
						if to := ref.On(lanes[i%2]); k%50 == 49 {
							ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
							err = to.TellWait(ctx, m)
							cancel()
						} else {
							err = to.Tell(m)
						}
						mu.Lock()
						if errors.Is(err, actor.ErrUnconfirmed) {
							unsure[m.n] = true
						} else if err != nil {
							refused++
						}
						mu.Unlock()
						time.Sleep(time.Duration(k%7) * time.Millisecond)
					}
				})
			}
			for i := range 6 {
				time.Sleep(time.Second)
				_ = here.Stop()
				<-here.Stopped()
				here = host(t, n, []*actor.ActorSystem{c, b}[i%2], []string{"c", "b"}[i%2], "x", everywhere, 0)
			}
			wg.Wait()
			time.Sleep(2 * time.Minute) // what is still on its way arrives
			last, times := map[int]int{}, map[int]int{}
			for _, m := range everywhere.seen() {
				sender, k := m/1_000_000, m%1_000_000
				if times[m]++; times[m] > 1 {
					t.Fatalf("seed %d: %d of sender %d twice", seed, k, sender)
				}
				if unsure[m] {
					continue // its sender was told that it may still come
				}
				if before, some := last[sender]; some && k <= before {
					t.Fatalf("seed %d: %d of sender %d after %d", seed, k, sender, before)
				}
				last[sender] = k
			}
			handled := len(everywhere.seen())
			letters := sum(t, reg, "atrium_actor_dead_letters_total")
			ambiguous := deadLetters(t, reg, "unconfirmed") + len(unsure)
			outcomes := handled + letters + refused + len(unsure)
			if all := senders * each; outcomes < all || outcomes-ambiguous > all {
				t.Fatalf("seed %d: %d sent: %d handled, %d dead letters, %d refused, of these %d unconfirmed",
					seed, all, handled, letters, refused, ambiguous)
			}
			if handled < each/2 || ambiguous == 0 {
				t.Fatalf("seed %d: %d handled, %d unconfirmed: the test has lost its meaning", seed, handled, ambiguous)
			}
		})
	}
}

func TestAnOutboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		far, _ := n.join(t, "b")
		there := &adder{}
		host(t, n, far, "b", "x", there, 10_000)
		n.faults(func() fault { return fault{delay: time.Second} })
		ref := refTo(t, s, "b", "x")
		accepted, err := ref.TellBatch(numbers(1, 5000))
		if accepted != 4096 || !errors.Is(err, actor.ErrMailboxFull) {
			t.Fatalf("accepted %d, %v", accepted, err)
		}
		synctest.Wait() // the first load is on its way
		if err := ref.Tell(note{}); !errors.Is(err, actor.ErrMailboxFull) {
			t.Fatalf("Tell = %v", err)
		}
		if _, err := ask(t.Context(), ref); !errors.Is(err, actor.ErrMailboxFull) {
			t.Fatalf("Ask = %v", err)
		}
		if err := ref.On(actor.Control).Tell(note{n: 9999}); err != nil {
			t.Fatalf("control has room of its own: %v", err)
		}
		if r := refusals(t, reg, "mailbox_full"); r != 5000-4096+2 {
			t.Fatalf("%d refusals", r)
		}
		time.Sleep(time.Minute)
		got := there.seen()
		if len(got) != 4097 || got[256] != 9999 {
			t.Fatalf("%d messages arrived; after the first load came %v", len(got), got[256])
		}
		if err := ref.Tell(note{n: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
	})
}

func TestAnOutboxIsBoundedInBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := n.join(t, "a")
		n.faults(func() fault { return fault{lost: true} })
		large := &actor.Codec[int]{
			Name:   "large",
			Append: func(dst []byte, _ int) ([]byte, error) { return append(dst, make([]byte, envelope.MaxBody)...), nil },
			Parse:  func([]byte) (int, error) { return 0, nil },
		}
		total := 0
		for i := range 20 {
			ref, err := actor.RefAt(s.Engine(), actor.PID{Address: fmt.Sprintf("node%d:1", i), ID: "x"}, large)
			if err != nil {
				t.Fatal(err)
			}
			accepted, err := ref.TellBatch(make([]int, 16))
			if !errors.Is(err, actor.ErrMailboxFull) || accepted > 15 {
				t.Fatalf("%d messages of 256 KiB accepted for one node: %v", accepted, err)
			}
			total += accepted
		}
		if most := 32 << 20 / envelope.MaxBody; total > most || total < most-2 {
			t.Fatalf("%d messages of 256 KiB accepted", total)
		}
	})
}

// Where the catalog or some nodes hang, an outbox is held up for a moment, not
// once for each actor and each node.
func TestAnOutboxIsHeldUpOnceByAllThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		far, _ := n.join(t, "b")
		there := &adder{}
		host(t, n, far, "b", "x", there, 0)
		n.searches(func(ctx context.Context, id string) error {
			if strings.HasPrefix(id, "lost") {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		for i := range 100 {
			if err := refTo(t, s, "b", fmt.Sprintf("lost%d", i)).Tell(note{n: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := refTo(t, s, "b", "x").Tell(note{n: 1}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Second) // the first look-ups may begin before all have been told
		synctest.Wait()
		if d, got := deadLetters(t, reg, "unlocated"), there.seen(); d != 100 || len(got) != 1 {
			t.Fatalf("after 12 s %d are given up and %d are delivered", d, len(got))
		}

		n.searches(nil)
		for i := range 20 { // nodes that hang, each the new one of some actor
			name, id := fmt.Sprintf("node%d", i), fmt.Sprintf("moved%d", i)
			n.join(t, name)
			n.move(id, name)
		}
		n.faultsAt(func(address string) fault { return fault{lost: strings.HasPrefix(address, "node")} })
		for i := range 20 {
			if err := refTo(t, s, "b", fmt.Sprintf("moved%d", i)).Tell(note{n: 1}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(24 * time.Second)
		synctest.Wait()
		if d := deadLetters(t, reg, "unconfirmed"); d != 20 {
			t.Fatalf("after 24 s %d are given up", d)
		}
	})
}

func TestStopDeliversWhatOutboxesHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		far, _ := n.join(t, "b")
		there := &adder{}
		host(t, n, far, "b", "x", there, 10_000)
		n.faults(func() fault { return fault{delay: time.Second} })
		ref := refTo(t, s, "b", "x")
		if _, err := ref.TellBatch(numbers(1, 1000)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // they are in its mailbox
		if got := there.seen(); len(got) != 1000 {
			t.Fatalf("%d of 1000 delivered", len(got))
		}
		for what, err := range map[string]error{
			"Tell":     ref.Tell(note{}),
			"TellWait": ref.TellWait(ctx, note{}),
			"Ask":      second(ask(ctx, ref)),
		} {
			if !errors.Is(err, actor.ErrSystemStopped) {
				t.Errorf("%s after Stop = %v", what, err)
			}
		}
		if r := refusals(t, reg, "stopped"); r != 3 {
			t.Errorf("%d refusals", r)
		}
	})
}

func TestStopThatRunsOutOfTimeLeavesNoMessageUncounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, reg := n.join(t, "a")
		n.join(t, "b")
		n.faults(func() fault { return fault{lost: true} })
		ref := refTo(t, s, "b", "x")
		if _, err := ref.TellBatch(numbers(1, 1000)); err != nil {
			t.Fatal(err)
		}
		asked := make(chan error)
		go func() {
			_, err := ask(t.Context(), ref)
			asked <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "other nodes") {
			t.Fatalf("Stop = %v", err)
		}
		if err := <-asked; err == nil {
			t.Fatal("a question was answered by nobody")
		}
		synctest.Wait()
		if u, d := deadLetters(t, reg, "unconfirmed"), deadLetters(t, reg, "system_stopped"); u != 256 || d != 744 {
			t.Fatalf("%d unconfirmed, %d dropped", u, d)
		}
	})
}

func TestAReferenceHonoursTheTurnGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		s, _ := newSystem(t, actor.WithTransport(&link{network: n, cache: map[string]string{}}), actor.WithTurnGuard())
		ref := refTo(t, s, "b", "x")
		g, err := s.NewGroup("g", actor.GroupConfig{})
		if err != nil {
			t.Fatal(err)
		}
		var told, waited, asked error
		member, err := actor.SpawnIn(g, on(func(c *actor.ContextOf[int]) {
			told, waited, asked = ref.Tell(note{}), ref.TellWait(t.Context(), note{}), second(ask(t.Context(), ref))
		}), "m")
		if err != nil {
			t.Fatal(err)
		}
		if err := actor.Turn(g, member, 1); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{told, waited, asked} {
			if !errors.Is(err, actor.ErrOutsideGroup) {
				t.Errorf("sent from a turn: %v", err)
			}
		}
		if err := g.Stop(); err != nil {
			t.Fatal(err)
		}
	})
}
