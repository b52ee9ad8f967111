package actor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
)

// stamp says who sent a message and as which one to this actor.
type stamp struct{ producer, n int32 }

// counter checks that each producer's messages arrive in order, once.
type counter struct {
	next    [stressProducers]int32
	crashAt int32 // number of messages after which it panics; 0 is never
	seen    int32
	total   *atomic.Int64
	bad     *atomic.Int64
}

const stressProducers = 4

// patience bounds what never happens, on a machine however busy.
const patience = 3 * time.Minute

func (c *counter) Receive(ctx *actor.ContextOf[stamp]) {
	m := ctx.Message()
	if c.next[m.producer] != m.n {
		c.bad.Add(1)
	}
	c.next[m.producer]++
	c.total.Add(1)
	if c.seen++; c.seen == c.crashAt {
		panic("stress")
	}
}

// Producers spawn, tell, batch and stop at the same time, some actors panic.
// Every accepted message is handled once and in order, or is a dead letter;
// the system's Stop returns, so no wake-up was lost.
func TestEachAcceptedMessageIsHandledOnceOrCounted(t *testing.T) {
	actors := 20_000
	if testing.Short() {
		actors = 5_000
	}
	s, reg := newSystem(t)
	if err := s.RegisterDispatcher("d", actor.DispatcherConfig{Throughput: 3, MailboxSize: 40, MaxConcurrency: 4}); err != nil {
		t.Fatal(err)
	}
	var total, bad, accepted, refused atomic.Int64
	refs := make([]actor.Ref[stamp], actors)
	eachActor(actors, func(_, i int) {
		ref, err := actor.Spawn(s.Engine(), actor.PropsOf(func() actor.ReceiverOf[stamp] {
			c := &counter{total: &total, bad: &bad}
			if i%50 == 0 {
				c.crashAt = 3
			}
			return c
		}).WithDispatcher("d"), fmt.Sprint(i))
		if err != nil {
			t.Error(err)
		}
		refs[i] = ref
	})

	var producers sync.WaitGroup
	for p := range int32(stressProducers) {
		producers.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(p)))
			sent := make([]int32, actors)
			batch := make([]stamp, 20)
			for range 2 * actors {
				i := rnd.IntN(actors)
				if p%2 == 0 && i > 20 {
					i %= 20 // a few busy actors, to fill mailboxes
				}
				n := 1 + rnd.IntN(len(batch))
				for k := range batch[:n] {
					batch[k] = stamp{p, sent[i] + int32(k)}
				}
				var err error
				if n == 1 {
					if err = refs[i].Tell(batch[0]); err != nil {
						n = 0
					}
				} else {
					n, err = refs[i].TellBatch(batch[:n])
				}
				if err != nil && !errors.Is(err, actor.ErrMailboxFull) && !errors.Is(err, actor.ErrStopped) {
					t.Error(err)
				}
				if err != nil {
					refused.Add(1)
				}
				sent[i] += int32(n)
				accepted.Add(int64(n))
				if rnd.IntN(20) == 0 && i > 20 {
					if err := refs[i].Stop(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	producers.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	lost := int64(deadLetters(t, reg, "failure"))
	t.Logf("%d accepted, %d calls refused, %d handled, %d dead letters", accepted.Load(), refused.Load(), total.Load(), lost)
	if bad.Load() != 0 {
		t.Errorf("%d messages out of order", bad.Load())
	}
	if total.Load()+lost != accepted.Load() {
		t.Errorf("%d accepted, but %d handled and %d dead letters", accepted.Load(), total.Load(), lost)
	}
	if n := handled(t, reg); int64(n) != total.Load() {
		t.Errorf("%d messages counted, %d handled", n, total.Load())
	}
	if refused.Load() == 0 || lost == 0 {
		t.Error("the test met no full mailbox or no panic: it shows too little")
	}
	if n := sum(t, reg, "atrium_actor_actors"); n != 0 {
		t.Errorf("%d actors live", n)
	}
}

// eachActor calls f from stressProducers goroutines.
func eachActor(n int, f func(worker, i int)) {
	var all sync.WaitGroup
	for w := range stressProducers {
		all.Go(func() {
			for i := w; i < n; i += stressProducers {
				f(w, i)
			}
		})
	}
	all.Wait()
}

// A wake-up is lost when an actor stays idle with a message: the ring of
// actors then stands still. Few messages and many workers make the window
// between "nothing to do" and parking as frequent as can be.
func TestNoWakeUpIsLost(t *testing.T) {
	const actors, laps = 8, 5_000
	s, _ := newSystem(t)
	if err := s.RegisterDispatcher("d", actor.DispatcherConfig{Throughput: 1, MailboxSize: 4, MaxConcurrency: 8}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{}, 2)
	refs := make([]actor.Ref[int], actors)
	for i := range refs {
		refs[i] = spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
			if ctx.Message() == 0 {
				done <- struct{}{}
				return
			}
			if err := actor.Send(ctx, refs[(i+1)%actors], ctx.Message()-1); err != nil {
				t.Error(err)
			}
		}).WithDispatcher("d"), fmt.Sprint(i))
	}
	for _, at := range []int{0, actors / 2} {
		if err := refs[at].Tell(actors * laps); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("the ring stands still")
		}
	}
}

// Stop and Tell race on an idle actor: both wake it, and neither is lost.
func TestStopAndTellTogetherLoseNothing(t *testing.T) {
	s, reg := newSystem(t)
	accepted := 0
	for i := range 20_000 {
		ref := spawn(t, s, on(func(*actor.ContextOf[int]) {}), fmt.Sprint(i))
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := ref.Stop(); err != nil {
				t.Error(err)
			}
		})
		if ref.Tell(1) == nil {
			accepted++
		}
		wg.Wait()
		<-ref.Stopped()
	}
	if err := s.Stop(t.Context()); err != nil { // workers count in their own time
		t.Fatal(err)
	}
	if n := handled(t, reg); n != accepted {
		t.Fatalf("%d accepted, %d handled, %d dropped", accepted, n, sum(t, reg, "atrium_actor_dead_letters_total"))
	}
}

// The next message is sent as its actor comes to rest, a little later each
// time: somewhere in between lies the moment at which the actor has found its
// mailbox empty and is not yet idle.
func TestAMessageThatMeetsItsActorComingToRestIsHandled(t *testing.T) {
	const messages, sweep = 60_000, 64
	const stall = 10 * time.Second // of one message, however busy the machine is
	s, _ := newSystem(t)
	var seen atomic.Int32
	ref := spawn(t, s, on(func(ctx *actor.ContextOf[int32]) { seen.Store(ctx.Message()) }), "a")
	for i := int32(1); i <= messages; i++ {
		if err := ref.Tell(i); err != nil {
			t.Fatal(err)
		}
		var since time.Time
		for spins := 1; seen.Load() != i; spins++ {
			if spins%1024 != 0 {
				continue
			}
			runtime.Gosched() // the worker may need this core
			if since.IsZero() {
				since = time.Now()
			} else if time.Since(since) > stall {
				t.Fatalf("message %d waits in an idle actor", i)
			}
		}
		for range i % sweep {
			seen.Load()
		}
	}
}

// Whatever comes for an actor that runs, or that stands in a queue, one worker
// at a time runs it.
func TestAnActorIsRunByOneWorkerAtATime(t *testing.T) {
	for _, kind := range []actor.Kind{actor.Pool, actor.Blocking} {
		t.Run(kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := newSystem(t)
				if err := s.RegisterDispatcher("d", actor.DispatcherConfig{Throughput: 1, MailboxSize: 100, MaxConcurrency: 4, Kind: kind}); err != nil {
					t.Fatal(err)
				}
				gate := make(chan struct{})
				defer close(gate)
				var inside atomic.Int32
				ref := spawn(t, s, on(func(*actor.ContextOf[int]) {
					inside.Add(1)
					<-gate
					inside.Add(-1)
				}).WithDispatcher("d"), "a")
				for i, come := range []func() error{
					func() error { return ref.Tell(1) },
					func() error { _, err := ref.TellBatch([]int{1, 2}); return err },
					func() error { return ref.On(actor.Control).Tell(1) },
					func() error { return ref.TellWait(t.Context(), 1) },
					func() error { return actor.PipeTo(ref, func(context.Context) int { return 1 }) },
					ref.Poison,
					ref.Stop,
				} {
					for range 3 { // while it runs its first turn, and the next one
						if err := come(); err != nil {
							t.Fatal(err)
						}
						synctest.Wait()
						if n := inside.Load(); n != 1 {
							t.Fatalf("%d workers run it after call %d", n, i)
						}
						if ref.Waiting() > 1 {
							gate <- struct{}{}
							synctest.Wait()
						}
					}
				}
			})
		})
	}
}
