package actor_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/snapshot"
	"github.com/atrium-iot/atrium/shared/actor/snapshot/snapshottest"
)

func TestALoadThatFailsIsTriedAgainAndItsMessagesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{})
		ref := b.ref("a")
		b.tell(ref, 1)
		rest()
		b.store.Add(snapshottest.Fault{Op: snapshottest.Load, Times: 4, Err: errDisk})
		begin := time.Now()
		b.tell(ref, 1)
		b.want(ref, 2)
		if took := time.Since(begin); took < time.Second || took > 2*time.Second {
			t.Errorf("four more loads took %v, want 0.1+0.2+0.4+0.8 s less a part", took)
		}
		if n := b.failures("load"); n != 4 {
			t.Errorf("%d failed loads counted, want 4", n)
		}
	})
}

// What can't be read stays unread however often it is tried.
func TestAnActorWhoseStateIsLostFailsAndTheNextMessageTriesAnew(t *testing.T) {
	for _, test := range []struct {
		name, step string
		spoil      func(b *bank)
	}{
		{"a damaged snapshot", "load", func(b *bank) {
			b.store.Add(snapshottest.Fault{Op: snapshottest.Load, Err: fmt.Errorf("a file: %w", snapshot.ErrDamaged)})
		}},
		{"an error of Restore", "restore", func(b *bank) { b.hooks.restore.set(once(func() error { return errDisk })) }},
		{"a panic of Restore", "restore", func(b *bank) { b.hooks.restore.set(once(func() error { panic(errDisk) })) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBank(t, actor.Passivation{})
				ref := b.ref("a")
				b.tell(ref, 1)
				rest()
				test.spoil(b)
				ended := ref.Stopped()
				if n, err := ref.TellBatch([]deposit{{add: 1}, {add: 1}}); n != 2 || err != nil {
					t.Fatal(n, err)
				}
				<-ended
				synctest.Wait()
				b.wantInMemory(0)
				if n := deadLetters(t, b.reg, "activation"); n != 2 {
					t.Errorf("%d dead letters, want 2", n)
				}
				if n := b.failures(test.step); n != 1 {
					t.Errorf("%d failures counted, want 1", n)
				}
				b.want(ref, 1)
			})
		})
	}
}

// once makes a function that does something the first time.
func once(f func() error) func() error {
	var done atomic.Bool
	return func() error {
		if done.Swap(true) {
			return nil
		}
		return f()
	}
}

func TestAnAskerIsToldThatItsActorCannotBeActivated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{}, snapshottest.Fault{Op: snapshottest.Load, Err: snapshot.ErrDamaged})
		_, err := actor.Ask(t.Context(), b.ref("a"), func(r actor.Reply[int]) deposit { return deposit{reply: r} })
		if !errors.Is(err, actor.ErrStopped) {
			t.Errorf("Ask = %v", err)
		}
	})
}

func TestAFailedSnapshotKeepsTheActor(t *testing.T) {
	for name, fault := range map[string]func() error{
		"error": func() error { return errDisk },
		"panic": func() error { panic(errDisk) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBank(t, actor.Passivation{})
				b.hooks.snapshot.set(once(fault))
				ref := b.ref("a")
				b.tell(ref, 1)
				rest()
				b.wantInMemory(1)
				if n := b.failures("snapshot"); n != 1 {
					t.Errorf("%d failed snapshots counted, want 1", n)
				}
				rest()
				b.wantInMemory(0)
				b.want(ref, 1)
			})
		})
	}
}

// Stop ends a virtual actor for good, wherever it is.
func TestStopDeletesTheStateOfAVirtualActor(t *testing.T) {
	for name, stopAt := range map[string]func(b *bank, ref actor.Ref[deposit]) (hook bool){
		"in memory": func(b *bank, ref actor.Ref[deposit]) bool {
			b.tell(ref, 0)
			synctest.Wait()
			stopActor(b.t, ref)
			return true
		},
		"not in memory": func(b *bank, ref actor.Ref[deposit]) bool {
			stopActor(b.t, ref)
			return false
		},
		"not in memory, by another reference": func(b *bank, _ actor.Ref[deposit]) bool {
			stopActor(b.t, b.ref("a"))
			return false
		},
		"by a pill": func(b *bank, ref actor.Ref[deposit]) bool {
			b.tell(ref, 0)
			if err := ref.Poison(); err != nil {
				b.t.Fatal(err)
			}
			return true
		},
		"not in memory, by a pill": func(b *bank, ref actor.Ref[deposit]) bool {
			if err := ref.Poison(); err != nil {
				b.t.Fatal(err)
			}
			return false
		},
		"while it is saved": func(b *bank, ref actor.Ref[deposit]) bool {
			fault, met, release := hold(snapshottest.Save, nil)
			b.store.Add(fault)
			b.tell(ref, 0)
			time.Sleep(idleTime)
			<-met
			stopActor(b.t, ref)
			synctest.Wait()
			if err := ref.Tell(deposit{}); !errors.Is(err, actor.ErrStopped) {
				b.t.Errorf("Tell while it stops = %v", err)
			}
			release()
			return true
		},
		"while it is loaded": func(b *bank, ref actor.Ref[deposit]) bool {
			fault, met, release := hold(snapshottest.Load, nil)
			b.store.Add(fault)
			b.tell(ref, 0)
			<-met
			stopActor(b.t, ref)
			release()
			return true
		},
		"while a load is to be tried again": func(b *bank, ref actor.Ref[deposit]) bool {
			b.store.Add(snapshottest.Fault{Op: snapshottest.Load, Err: errDisk})
			b.tell(ref, 0)
			synctest.Wait()
			stopActor(b.t, ref)
			return true
		},
		"while every load fails": func(b *bank, ref actor.Ref[deposit]) bool {
			b.store.Add(snapshottest.Fault{Op: snapshottest.Load, Times: 4, Err: errDisk})
			b.tell(ref, 0)
			synctest.Wait()
			stopActor(b.t, ref)
			return false
		},
		"while a load fails": func(b *bank, ref actor.Ref[deposit]) bool {
			fault, met, release := hold(snapshottest.Load, errDisk)
			b.store.Add(fault)
			b.tell(ref, 0)
			<-met
			stopActor(b.t, ref)
			release()
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBank(t, actor.Passivation{})
				var hooks []error
				b.hooks.stopped = func(reason error) { hooks = append(hooks, reason) }
				ref := b.ref("a")
				b.tell(ref, 1)
				rest()
				b.wantSaved("a", "1")
				ended := ref.Stopped()
				hook := stopAt(b, ref)
				<-ended
				synctest.Wait()
				b.wantInMemory(0)
				b.wantSaved("a", "")
				if want := make([]error, btoi(hook)); !slices.Equal(hooks, want) {
					t.Errorf("Stopped got %v, want %v", hooks, want)
				}
				b.want(ref, 0)
				b.tell(b.ref("a"), 2)
				b.want(ref, 2)
			})
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func stopActor(t tb, ref actor.Ref[deposit]) {
	t.Helper()
	if err := ref.Stop(); err != nil {
		t.Fatal(err)
	}
}

func TestASnapshotThatCannotBeDeletedIsTheReasonOfTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{}, snapshottest.Fault{Op: snapshottest.Delete, Err: errDisk})
		ref := b.ref("a")
		b.tell(ref, 1)
		reasons := make(chan error, 1)
		watchFrom(t, b.system, ref, reasons)
		synctest.Wait() // who watches a virtual actor after its end waits for its next
		stopActor(t, ref)
		if err := <-reasons; !errors.Is(err, errDisk) {
			t.Errorf("reason %v", err)
		}
		if n := b.failures("delete"); n != 1 {
			t.Errorf("%d failures counted, want 1", n)
		}
	})
}

// watchFrom spawns an actor that watches target and reports why it ended.
func watchFrom(t tb, s *actor.ActorSystem, target actor.Ref[deposit], reasons chan<- error) {
	t.Helper()
	spawn(t, s, props(funcOf[actor.Terminated]{
		started: func(ctx *actor.ContextOf[actor.Terminated]) {
			if err := actor.Watch(ctx, target, func(n actor.Terminated) actor.Terminated { return n }); err != nil {
				t.Errorf("%v", err)
			}
		},
		receive: func(ctx *actor.ContextOf[actor.Terminated]) { reasons <- ctx.Message().Reason },
	}), "watcher")
}

// Whoever watches learns of the end and not of passivations, also when it
// watches an actor that is not in memory, and the end comes by another Ref.
func TestAWatcherIsToldOfTheEndAndNotOfAPassivation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{})
		old, ref := b.ref("a"), b.ref("a")
		b.tell(ref, 1)
		rest()
		reasons := make(chan error, 1)
		watchFrom(t, b.system, old, reasons)
		synctest.Wait()
		for range 3 {
			b.tell(ref, 1)
			b.tell(b.ref("a"), 1)
			rest()
			b.wantInMemory(0)
		}
		b.hooks.receive = nil
		if len(reasons) > 0 {
			t.Fatalf("told of %v", <-reasons)
		}
		b.want(ref, 7)
		stopActor(t, ref)
		if err := <-reasons; err != nil {
			t.Errorf("reason %v, want nil", err)
		}
		b.tell(old, 1)
		stopActor(t, old)
		synctest.Wait()
		if len(reasons) > 0 {
			t.Error("told twice")
		}
	})
}

func TestAPanicKeepsTheLastSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{})
		b.hooks.receive = func(ctx *actor.ContextOf[deposit]) {
			if ctx.Message().add < 0 {
				panic(errDisk)
			}
		}
		ref := b.ref("a")
		b.tell(ref, 1)
		rest()
		b.tell(ref, 10)
		ended := ref.Stopped()
		b.tell(ref, -1)
		<-ended
		synctest.Wait()
		b.wantInMemory(0)
		b.want(ref, 1)
		if n := deadLetters(t, b.reg, "failure"); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}
