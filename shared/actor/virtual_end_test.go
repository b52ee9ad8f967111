package actor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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
	first := true
	return func() error {
		if !first {
			return nil
		}
		first = false
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
			return false
		},
		"while a load fails": func(b *bank, ref actor.Ref[deposit]) bool {
			fault, met, release := hold(snapshottest.Load, errDisk)
			b.store.Add(fault)
			b.tell(ref, 0)
			<-met
			stopActor(b.t, ref)
			release()
			return false
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
		if n := deadLetters(t, b.reg, "panic"); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// An actor that has something which no snapshot holds stays.
func TestAnActorThatIsInTheMiddleOfSomethingStays(t *testing.T) {
	for name, middle := range map[string]struct {
		begin, end func(ctx *actor.ContextOf[deposit])
	}{
		"messages put aside": {
			func(ctx *actor.ContextOf[deposit]) { _ = ctx.Stash() },
			func(ctx *actor.ContextOf[deposit]) { ctx.Unstash() },
		},
		"another behaviour": {
			func(ctx *actor.ContextOf[deposit]) {
				ctx.Become(func(ctx *actor.ContextOf[deposit]) { ctx.Unbecome() })
			},
			func(*actor.ContextOf[deposit]) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBank(t, actor.Passivation{})
				calls := 0
				b.hooks.receive = func(ctx *actor.ContextOf[deposit]) {
					calls++
					if calls == 1 {
						middle.begin(ctx)
					} else {
						middle.end(ctx)
					}
				}
				ref := b.ref("a")
				b.tell(ref, 0)
				rest()
				rest()
				b.wantInMemory(1)
				b.tell(ref, 0)
				rest()
				b.wantInMemory(0)
			})
		})
	}
}

func TestAnActorThatOwesAnAnswerStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		var owed actor.Reply[int]
		typ, err := actor.Register(s.Engine(), "debtor", on(func(ctx *actor.ContextOf[actor.Reply[int]]) {
			owed = ctx.Message()
		}).WithPassivation(actor.Passivation{Idle: idleTime}))
		if err != nil {
			t.Fatal(err)
		}
		ref, err := typ.Ref("a")
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan int, 1)
		go func() {
			v, err := actor.Ask(t.Context(), ref, func(r actor.Reply[int]) actor.Reply[int] { return r })
			if err != nil {
				t.Error(err)
			}
			got <- v
		}()
		rest()
		rest()
		if n := sum(t, reg, "atrium_actor_actors", "type", "debtor"); n != 1 {
			t.Fatal("it has left memory")
		}
		owed.Send(7)
		if v := <-got; v != 7 {
			t.Errorf("got %d", v)
		}
		rest()
		if n := sum(t, reg, "atrium_actor_actors", "type", "debtor"); n != 0 {
			t.Error("it stays for ever")
		}
	})
}

// The system's Stop keeps the states, whatever goes on.
func TestTheSystemsStopKeepsTheStates(t *testing.T) {
	for name, at := range map[string]func(b *bank, ref actor.Ref[deposit]){
		"in memory":     func(*bank, actor.Ref[deposit]) {},
		"with messages": func(b *bank, ref actor.Ref[deposit]) { b.tell(ref, 0) },
		"not in memory": func(*bank, actor.Ref[deposit]) { rest() },
		"watched":       func(_ *bank, ref actor.Ref[deposit]) { ref.Stopped(); rest() },
		"while it is saved": func(b *bank, _ actor.Ref[deposit]) {
			fault, met, release := hold(snapshottest.Save, nil)
			b.store.Add(fault)
			time.Sleep(idleTime)
			<-met
			go func() { time.Sleep(time.Second); release() }()
		},
		"while a save fails": func(b *bank, _ actor.Ref[deposit]) {
			fault, met, release := hold(snapshottest.Save, errDisk)
			b.store.Add(fault)
			time.Sleep(idleTime)
			<-met
			go func() { time.Sleep(time.Second); release() }()
		},
		"with a store that fails twice": func(b *bank, _ actor.Ref[deposit]) {
			b.store.Add(snapshottest.Fault{Op: snapshottest.Save, Times: 2, Err: errDisk})
		},
		"while it is loaded": func(b *bank, ref actor.Ref[deposit]) {
			rest()
			fault, met, release := hold(snapshottest.Load, nil)
			b.store.Add(fault)
			b.tell(ref, 0)
			<-met
			go func() { time.Sleep(time.Second); release() }()
		},
		"while a load is to be tried again": func(b *bank, ref actor.Ref[deposit]) {
			rest()
			b.store.Add(snapshottest.Fault{Op: snapshottest.Load, Err: errDisk})
			b.tell(ref, 0)
			synctest.Wait()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBank(t, actor.Passivation{})
				b.hooks.stopped = func(error) { t.Error("the Stopped hook ran") }
				ref := b.ref("a")
				b.tell(ref, 7)
				synctest.Wait()
				at(b, ref)
				b.stop()
				b.wantInMemory(0)
				b.wantSaved("a", "7")
				if b.store.Unmet() > 0 {
					t.Error("the moment did not come")
				}
				if err := ref.Tell(deposit{}); !errors.Is(err, actor.ErrStopped) {
					t.Errorf("Tell after Stop = %v", err)
				}
				<-ref.Stopped()
			})
		})
	}
}

func TestAStopThatRunsOutOfTimeWaitsForNoStore(t *testing.T) {
	for _, op := range []snapshottest.Op{snapshottest.Save, snapshottest.Load} {
		t.Run(string(op), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewRegistry()
				system := actor.NewActorSystem(node, nil, actor.WithMetrics(reg))
				memory := snapshot.NewMemory(1000)
				met := make(chan struct{})
				store := snapshottest.NewFaulty(memory, snapshottest.Fault{Op: op, Met: met, Until: make(chan struct{})})
				b := &bank{t: t, system: system, reg: reg, memory: memory, store: store}
				b.register(actor.Passivation{Idle: idleTime, Store: store})
				ref := b.ref("a")
				ended := ref.Stopped()
				b.tell(ref, 1)
				<-met
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := system.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Stop = %v", err)
				}
				synctest.Wait()
				<-ended
				b.wantInMemory(0)
				if op == snapshottest.Load && deadLetters(t, reg, "system_stopped")+deadLetters(t, reg, "activation") != 1 {
					t.Error("the message is no dead letter")
				}
			})
		})
	}
}

func TestBadTypesAreRefused(t *testing.T) {
	s, _ := newSystem(t)
	b := &bank{t: t, system: s}
	b.register(actor.Passivation{})
	good := on(func(*actor.ContextOf[int]) {})
	if _, err := actor.Spawn(s.Engine(), good, "account/spawned"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		typ   string
		props *actor.PropsTyped[int]
		want  string
	}{
		"no name":           {"", good, "name of 1 to 64 bytes"},
		"a slash":           {"a/b", good, "without a slash"},
		"a long name":       {strings.Repeat("a", 65), good, "name of 1 to 64 bytes"},
		"a name in use":     {"account", good, "in use"},
		"no snapshots":      {"a", good.WithPassivation(actor.Passivation{Store: snapshot.NewMemory(1)}), "is no Snapshotter"},
		"a nil receiver":    {"a", actor.PropsOf(func() actor.ReceiverOf[int] { return nil }), "nil receiver"},
		"a negative time":   {"a", good.WithPassivation(actor.Passivation{Idle: -1}), "Passivation.Idle"},
		"a negative number": {"a", good.WithPassivation(actor.Passivation{Messages: -1}), "Passivation.Messages"},
		"a negative limit":  {"a", good.WithPassivation(actor.Passivation{Limit: -1}), "Passivation.Limit"},
		"no dispatcher":     {"a", good.WithDispatcher("x"), `no dispatcher "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := actor.Register(s.Engine(), test.typ, test.props); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Register = %v, want %q", err, test.want)
			}
		})
	}
	for name, want := range map[string]string{"": "name of 1 to 247 bytes", strings.Repeat("a", 248): "got 248", "spawned": "id in use"} {
		if _, err := b.accounts.Ref(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Ref(%q) = %v, want %q", name, err, want)
		}
	}
	if _, err := (actor.Type[int]{}).Ref("a"); err == nil {
		t.Error("the zero Type gave a Ref")
	}
	if _, err := actor.Spawn(s.Engine(), good.WithPassivation(actor.Passivation{Idle: idleTime}), "a"); err == nil || !strings.Contains(err.Error(), "Register") {
		t.Errorf("Spawn of props with a passivation = %v", err)
	}
}
