package actor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/shared/actor"
)

// The oldest that waits is the one behind the message in hand, wherever in the
// mailbox it lies.
func TestDropOldestDropsTheOldestAlsoDuringATurn(t *testing.T) {
	for _, lane := range []actor.Lane{actor.Normal, actor.High} {
		synctest.Test(t, func(t *testing.T) {
			s, reg := newSystem(t)
			const size = 6
			ref, gate, got := gated(t, s, actor.Mailbox{Size: size, Overflow: actor.DropOldest}, 0)
			tell(t, ref.On(lane), 1, 2, 3, 4, 5)
			for range 3 {
				gate <- struct{}{}
			}
			synctest.Wait()
			tell(t, ref.On(lane), 6, 7, 8, 9, 10)
			close(gate)
			synctest.Wait()
			if want := []int{0, 1, 2, 3, 6, 7, 8, 9, 10}; !slices.Equal(*got, want) {
				t.Errorf("%v: handled %v, want %v", lane, *got, want)
			}
			if n := deadLetters(t, reg, "overflow_oldest"); n != 2 {
				t.Errorf("%v: %d dead letters, want 2", lane, n)
			}
		})
	}
}

// A message that is dropped is one less before the pill: else an actor whose
// normal lane stays empty would never reach it.
func TestThePillIsReachedWhenWhatWasBeforeItIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		ref, gate, got := gated(t, s, actor.Mailbox{Size: 2, Overflow: actor.DropOldest}, 0)
		tell(t, ref, 1)
		if err := ref.Poison(); err != nil {
			t.Fatal(err)
		}
		tell(t, ref.On(actor.High), 2)
		close(gate)
		synctest.Wait()
		select {
		case <-ref.Stopped():
		default:
			t.Fatal("the actor has not stopped")
		}
		if !slices.Equal(*got, []int{0}) || deadLetters(t, reg, "overflow_oldest") != 1 || deadLetters(t, reg, "stopped") != 1 {
			t.Errorf("handled %v", *got)
		}
	})
}

// A sender that waits for room was not accepted: the end of the actor, of
// either kind, gives its message back.
func TestSendersThatWaitAreRefusedWhenTheActorStops(t *testing.T) {
	for name, end := range map[string]func(ref actor.Ref[int], gate chan bool){
		"stop":  func(ref actor.Ref[int], gate chan bool) { _ = ref.Stop(); close(gate) },
		"panic": func(_ actor.Ref[int], gate chan bool) { gate <- true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, reg := newSystem(t)
				gate := make(chan bool)
				got := 0
				ref := spawn(t, s, on(func(*actor.ContextOf[int]) {
					if <-gate {
						panic("x")
					}
					got++
				}).WithMailbox(actor.Mailbox{Size: 1}), "a")
				if err := ref.Tell(1); err != nil {
					t.Fatal(err)
				}
				errs := make(chan error, 2)
				for range cap(errs) {
					go func() { errs <- ref.TellWait(context.Background(), 2) }()
				}
				synctest.Wait()
				end(ref, gate)
				<-ref.Stopped()
				for range cap(errs) {
					if err := <-errs; !errors.Is(err, actor.ErrStopped) {
						t.Errorf("TellWait = %v, want ErrStopped", err)
					}
				}
				if n := refusals(t, reg, "stopped"); n != 2 {
					t.Errorf("%d refusals counted, want 2", n)
				}
				if want := 1; name == "stop" && got != want {
					t.Errorf("%d messages handled, want %d", got, want)
				}
			})
		})
	}
}
