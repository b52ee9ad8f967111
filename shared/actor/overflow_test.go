package actor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/atrium-iot/atrium/shared/actor"
)

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
