package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor"
)

// gated is an actor that handles a message each time that gate gives way, and
// notes it. Its first message is in hand.
func gated[M any](t *testing.T, s *actor.ActorSystem, m actor.Mailbox, first M) (ref actor.Ref[M], gate chan struct{}, got *[]M) {
	t.Helper()
	gate, got = make(chan struct{}), new([]M)
	ref = spawn(t, s, on(func(ctx *actor.ContextOf[M]) {
		<-gate
		*got = append(*got, ctx.Message())
	}).WithMailbox(m), "gated")
	if err := ref.Tell(first); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return ref, gate, got
}

// synctest.Wait returns when every goroutine is parked: a sender that tried
// again and again would keep it from returning.
func TestSendersThatWaitAreParkedAndLetInInTheirOrder(t *testing.T) {
	for _, policy := range []actor.Overflow{actor.Refuse, actor.Block} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, reg := newSystem(t)
				ref, gate, got := gated(t, s, actor.Mailbox{Size: 1, Overflow: policy}, 0)
				var senders sync.WaitGroup
				want := []int{0}
				cancels := map[int]context.CancelFunc{}
				for i := 1; i <= 12; i++ {
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					if i%3 == 0 {
						cancels[i] = cancel
					} else {
						want = append(want, i)
					}
					senders.Go(func() {
						var err error
						if policy == actor.Block && i%3 != 0 {
							err = ref.Tell(i)
						} else {
							err = ref.TellWait(ctx, i)
						}
						if i%3 != 0 && err != nil || i%3 == 0 && (!errors.Is(err, actor.ErrMailboxFull) || !errors.Is(err, context.Canceled)) {
							t.Errorf("sender %d: %v", i, err)
						}
					})
					synctest.Wait()
				}
				for _, cancel := range cancels {
					cancel()
				}
				synctest.Wait()
				close(gate)
				senders.Wait()
				synctest.Wait()
				if !slices.Equal(*got, want) {
					t.Errorf("order %v, want %v", *got, want)
				}
				if n := refusals(t, reg, "mailbox_full"); n != len(cancels) {
					t.Errorf("%d refusals counted, want %d", n, len(cancels))
				}
			})
		})
	}
}

// The room that becomes free belongs to who waits for it, however hard others
// try.
func TestNobodyOvertakesASenderThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		ref, gate, got := gated(t, s, actor.Mailbox{Size: 1}, 0)
		handled := 1
		for round := range 300 {
			const waits, spins = 1, 2
			errs := make(chan error, 1)
			go func() { errs <- ref.TellWait(context.Background(), waits) }()
			synctest.Wait()
			var stop atomic.Bool
			var others sync.WaitGroup
			for range 2 {
				others.Go(func() {
					for !stop.Load() {
						_ = ref.Tell(spins) // refused, as a rule
						runtime.Gosched()
					}
				})
			}
			gate <- struct{}{}
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
			gate <- struct{}{}
			stop.Store(true)
			others.Wait()
			synctest.Wait()
			for i, m := range (*got)[handled:] {
				if m == waits {
					break
				}
				t.Fatalf("round %d: %d of those that came later were before it", round, i+1)
			}
			for ref.Waiting() > 0 { // one of the others may have come in
				gate <- struct{}{}
				synctest.Wait()
			}
			handled = len(*got)
			if err := ref.Tell(0); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			handled++
		}
		close(gate)
	})
}

// laneLetter is a message and the lane that it was sent on.
type laneLetter struct {
	lane actor.Lane
	n    int
}

// What a full mailbox drops is what its policy says, and each is counted once.
func TestWhatAFullMailboxDropsIsExact(t *testing.T) {
	for _, policy := range []actor.Overflow{actor.DropOldest, actor.DropNewest} {
		t.Run(policy.String(), func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				lanes := rapid.SliceOfN(rapid.SampledFrom([]actor.Lane{actor.Normal, actor.High, actor.Bulk}), 0, 60).Draw(rt, "lanes")
				size := rapid.IntRange(1, 20).Draw(rt, "size")
				var err error
				synctest.Test(t, func(t *testing.T) { err = playDrops(t, policy, size, lanes) })
				if err != nil {
					rt.Fatal(err)
				}
			})
		})
	}
}

func playDrops(t *testing.T, policy actor.Overflow, size int, lanes []actor.Lane) error {
	s, reg := newSystem(t)
	ref, gate, got := gated(t, s, actor.Mailbox{Size: size, Overflow: policy}, laneLetter{actor.High, -1})
	want := [actor.Control + 1][]laneLetter{actor.High: {{actor.High, -1}}}
	waiting, dropped := 1, 0
	for n, lane := range lanes {
		if err := ref.On(lane).Tell(laneLetter{lane, n}); err != nil {
			return err
		}
		if waiting < size {
			waiting++
			want[lane] = append(want[lane], laneLetter{lane, n})
			continue
		}
		dropped++
		if policy == actor.DropNewest {
			continue
		}
		for _, from := range droppable[lane] {
			first := 0
			if from == actor.High {
				first = 1 // in hand
			}
			if len(want[from]) > first {
				want[from] = slices.Delete(want[from], first, first+1)
				want[lane] = append(want[lane], laneLetter{lane, n})
				break
			}
		}
	}
	close(gate)
	synctest.Wait()
	var have [len(want)][]laneLetter
	for _, m := range *got {
		have[m.lane] = append(have[m.lane], m)
	}
	for lane := range want {
		if !slices.Equal(have[lane], want[lane]) {
			return fmt.Errorf("%v: handled %v, want %v", actor.Lane(lane), have[lane], want[lane])
		}
	}
	if n := sum(t, reg, "atrium_actor_dead_letters_total"); n != dropped {
		return fmt.Errorf("%d dead letters, want %d", n, dropped)
	}
	return nil
}

// droppable is where room for a message is looked for, in order.
var droppable = map[actor.Lane][]actor.Lane{
	actor.Bulk:   {actor.Bulk},
	actor.Normal: {actor.Normal, actor.Bulk},
	actor.High:   {actor.High, actor.Bulk, actor.Normal},
}

// Control has room of its own, whatever else waits; a flood of it is refused,
// never dropped.
func TestControlHasItsOwnRoomExactly(t *testing.T) {
	const reserve = 64
	for _, policy := range []actor.Overflow{actor.Refuse, actor.DropOldest, actor.DropNewest} {
		synctest.Test(t, func(t *testing.T) {
			s, reg := newSystem(t)
			ref, gate, got := gated(t, s, actor.Mailbox{Size: 2, Overflow: policy}, 0)
			if err := ref.Tell(1); err != nil {
				t.Fatal(err)
			}
			for i := range reserve + 6 {
				err := ref.On(actor.Control).Tell(100 + i)
				if i < reserve && err != nil || i >= reserve && !errors.Is(err, actor.ErrMailboxFull) {
					t.Errorf("%v: control message %d: %v", policy, i, err)
				}
			}
			close(gate)
			synctest.Wait()
			if n := len(*got); n != reserve+2 || (*got)[1] != 100 || (*got)[n-1] != 1 {
				t.Errorf("%v: handled %v", policy, *got)
			}
			if n := refusals(t, reg, "mailbox_full"); n != 6 {
				t.Errorf("%v: %d refusals counted", policy, n)
			}
		})
	}
}

func TestAnActorDoesNotWaitForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		var errs []error
		ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
			if ctx.Message() == 0 {
				for i := 1; i <= 3; i++ {
					errs = append(errs, actor.Send(ctx, ctx.Self(), i))
				}
			}
		}).WithMailbox(actor.Mailbox{Size: 2, Overflow: actor.Block}), "a")
		if err := ref.Tell(0); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(errs) != 3 || errs[0] != nil || !errors.Is(errs[1], actor.ErrMailboxFull) || !errors.Is(errs[2], actor.ErrMailboxFull) {
			t.Errorf("Send to itself = %v", errs)
		}
	})
}

// Nor does a virtual one, by whichever of its references it sends.
func TestAVirtualActorDoesNotWaitForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		var other actor.Ref[int]
		var err error
		full := on(func(ctx *actor.ContextOf[int]) { err = actor.Send(ctx, other, 1) }).
			WithMailbox(actor.Mailbox{Size: 1, Overflow: actor.Block})
		typ, bad := actor.Register(s.Engine(), "v", full)
		if bad != nil {
			t.Fatal(bad)
		}
		ref, bad := typ.Ref("a")
		var also error
		other, also = typ.Ref("a")
		if err := errors.Join(bad, also); err != nil {
			t.Fatal(err)
		}
		tell(t, ref, 0)
		synctest.Wait()
		if !errors.Is(err, actor.ErrMailboxFull) {
			t.Errorf("Send to itself = %v", err)
		}
	})
}

// A message that was put aside keeps room in the mailbox, and only there:
// whatever lane brought it, control has all of its room again.
func TestWhatIsPutAsideCountsInTheMailboxOnce(t *testing.T) {
	for _, lane := range []actor.Lane{actor.Normal, actor.High, actor.Bulk, actor.Control} {
		t.Run(lane.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := newSystem(t)
				const size, back = 3, -1
				aside := true
				var got []int
				ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
					if m := ctx.Message(); m == back {
						aside = false
						ctx.Unstash()
					} else if aside {
						if err := ctx.Stash(); err != nil {
							t.Error(err)
						}
					} else {
						got = append(got, m)
					}
				}).WithMailbox(actor.Mailbox{Size: size}), "a")
				for round := range 3 {
					aside = true
					for i := range size {
						if err := ref.On(lane).Tell(i); err != nil {
							t.Fatalf("round %d: %v", round, err)
						}
						synctest.Wait()
						if n := ref.Waiting(); n != i+1 {
							t.Fatalf("round %d: %d wait, want %d", round, n, i+1)
						}
					}
					if err := ref.Tell(9); !errors.Is(err, actor.ErrMailboxFull) {
						t.Fatalf("Tell to a mailbox full of what is aside = %v", err)
					}
					if err := ref.On(actor.Control).Tell(back); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if n := ref.Waiting(); n != 0 || !slices.Equal(got, []int{0, 1, 2}) {
						t.Fatalf("round %d: %d wait, handled %v", round, n, got)
					}
					got = nil
				}
			})
		})
	}
}

// The pill comes behind the messages that were accepted before it, and does not
// wait for those that were put aside, unless they come back before it.
func TestThePillDoesNotWaitForWhatIsPutAside(t *testing.T) {
	for _, lane := range []actor.Lane{actor.Normal, actor.High} {
		synctest.Test(t, func(t *testing.T) {
			s, reg := newSystem(t)
			gate := make(chan struct{})
			var got []int
			ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
				switch m := ctx.Message(); m {
				case 0:
					if err := ctx.Stash(); err != nil {
						t.Error(err)
					}
				case 1:
					<-gate
					fallthrough
				default:
					got = append(got, m)
				}
			}), "a")
			for _, m := range []int{0, 0} {
				if err := ref.On(lane).Tell(m); err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range []int{1, 2} {
				if err := ref.Tell(m); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			if err := ref.Poison(); err != nil {
				t.Fatal(err)
			}
			if err := ref.Tell(3); err != nil {
				t.Fatal(err)
			}
			close(gate)
			<-ref.Stopped()
			if !slices.Equal(got, []int{1, 2}) {
				t.Errorf("%v: handled %v before the end, want 1 and 2", lane, got)
			}
			if n := deadLetters(t, reg, "stopped"); n != 3 {
				t.Errorf("%v: %d dead letters, want 3", lane, n)
			}
		})
	}
}
