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
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// An actor that has something which no snapshot holds stays.
func TestAnActorThatIsInTheMiddleOfSomethingStays(t *testing.T) {
	var timer actor.Timer
	var child actor.Ref[int]
	for name, middle := range map[string]struct {
		begin, end func(ctx *actor.ContextOf[deposit])
	}{
		"messages put aside": {
			func(ctx *actor.ContextOf[deposit]) { _ = ctx.Stash() },
			func(ctx *actor.ContextOf[deposit]) { ctx.Unstash() },
		},
		"a timer": {
			func(ctx *actor.ContextOf[deposit]) { timer = ctx.After(time.Hour, deposit{}) },
			func(*actor.ContextOf[deposit]) { timer.Stop() },
		},
		"a child": {
			func(ctx *actor.ContextOf[deposit]) {
				var err error
				if child, err = actor.SpawnChild(ctx, on(func(*actor.ContextOf[int]) {}), "child"); err != nil {
					panic(err)
				}
			},
			func(*actor.ContextOf[deposit]) { _ = child.Stop() },
		},
		"another behaviour": {
			func(ctx *actor.ContextOf[deposit]) {
				ctx.Become(func(ctx *actor.ContextOf[deposit]) { ctx.Unbecome() })
			},
			func(*actor.ContextOf[deposit]) {},
		},
	} {
		for _, rules := range []actor.Passivation{{Idle: idleTime}, {Messages: 1}} {
			t.Run(fmt.Sprintf("%s, %+v", name, rules), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBank(t, rules)
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
}

func TestAnActorThatOwesAnAnswerStays(t *testing.T) {
	for name, rules := range map[string]actor.Passivation{"idle": {Idle: idleTime}, "messages": {Messages: 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { owe(t, rules) })
		})
	}
}

func owe(t *testing.T, rules actor.Passivation) {
	s, reg := newSystem(t)
	var owed actor.Reply[int]
	typ, err := actor.Register(s.Engine(), "debtor", on(func(ctx *actor.ContextOf[actor.Reply[int]]) {
		owed = ctx.Message()
	}).WithPassivation(rules))
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

func TestARestartedActorGetsItsLastSnapshotAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bank{t: t, memory: snapshot.NewMemory(1000)}
		b.system, b.reg = newSystem(t)
		b.store = snapshottest.NewFaulty(b.memory)
		b.guardian = supervise.Strategy{OnFailure: supervise.Restart, Backoff: supervise.Backoff{Min: time.Second, Max: time.Second}}
		b.hooks.receive = func(ctx *actor.ContextOf[deposit]) {
			if ctx.Message().add < 0 {
				panic(errDisk)
			}
		}
		b.register(actor.Passivation{Idle: idleTime, Store: b.store})
		ref := b.ref("a")
		b.tell(ref, 1)
		rest()
		b.store.Add(snapshottest.Fault{Op: snapshottest.Load, Err: errDisk})
		if n, err := ref.TellBatch([]deposit{{add: 10}, {add: -1}, {add: 5}}); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		b.want(ref, 6)
		if n := sum(t, b.reg, "atrium_actor_restarts_total"); n != 1 {
			t.Errorf("%d restarts counted, want 1", n)
		}
		if n := sum(t, b.reg, "atrium_actor_activations_total"); n != 2 {
			t.Errorf("%d activations counted, want 2", n)
		}
		rest()
		b.wantInMemory(0)
		b.wantSaved("a", "6")
	})
}

func TestActivationsAndPassivationsAreEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{})
		var got []actor.Event
		log := spawn(t, b.system, on(func(ctx *actor.ContextOf[actor.Event]) { got = append(got, ctx.Message()) }), "log")
		if _, err := actor.Subscribe(b.system.Events(), log, func(e actor.Event) (actor.Event, bool) { return e, true }); err != nil {
			t.Fatal(err)
		}
		ref := b.ref("a")
		for range 2 {
			b.tell(ref, 1)
			rest()
		}
		pid := ref.PID()
		want := []actor.Event{actor.Activated{PID: pid}, actor.Passivated{PID: pid}, actor.Activated{PID: pid}, actor.Passivated{PID: pid}}
		if !slices.Equal(got, want) {
			t.Errorf("events %v, want %v", got, want)
		}
	})
}

// What a virtual actor watches or subscribes to is told to it, and not to the
// one that comes back.
func TestWatchesOfAVirtualActorEndWithItsTimeInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{})
		target := spawn(t, b.system, on(func(*actor.ContextOf[int]) {}), "target")
		b.hooks.receive = func(ctx *actor.ContextOf[deposit]) {
			if ctx.Message().add != 1 {
				return
			}
			if err := actor.Watch(ctx, target, func(actor.Terminated) deposit { return deposit{add: 100} }); err != nil {
				t.Error(err)
			}
		}
		ref := b.ref("a")
		b.tell(ref, 1)
		rest()
		if err := target.Stop(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b.wantInMemory(0)
		b.want(ref, 1)
		b.tell(ref, 1) // the target has stopped: told at once
		synctest.Wait()
		b.want(ref, 102)
	})
}
