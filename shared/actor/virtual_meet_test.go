package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/snapshot"
	"github.com/atrium-iot/atrium/shared/actor/snapshot/snapshottest"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// newFragileBank is a bank to be opened, with accounts that panic at a negative
// amount and begin anew a second later.
func newFragileBank(t tb) *bank {
	b := &bank{t: t, memory: snapshot.NewMemory(1 << 20)}
	b.store = snapshottest.NewFaulty(b.memory)
	b.guardian = supervise.Strategy{OnFailure: supervise.Restart, Backoff: supervise.Backoff{Min: time.Second, Max: time.Second}}
	b.hooks.receive = func(ctx *actor.ContextOf[deposit]) {
		if ctx.Message().add < 0 {
			panic(errDisk)
		}
	}
	return b
}

func newFragile(t tb, rules actor.Passivation) *bank {
	t.Helper()
	b := newFragileBank(t)
	b.system, b.reg = newSystem(t)
	rules.Store = b.store
	b.register(rules)
	return b
}

// saves is how often the store was asked to save.
func (b *bank) saves() (n int) {
	for _, call := range b.store.Calls() {
		if call.Op == snapshottest.Save {
			n++
		}
	}
	return n
}

// A failure that meets a save lets the store finish it, and then load: the
// actor is no longer one that leaves, and can leave again.
func TestAnActorThatFailsWhileItIsSavedCanLeaveLater(t *testing.T) {
	for name, fault := range map[string]error{"saved": nil, "not saved": errDisk} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFragile(t, actor.Passivation{Idle: idleTime})
				ref := b.ref("a")
				b.tell(ref, 1)
				rest()
				b.tell(ref, 2)
				hold, met, release := hold(snapshottest.Save, fault)
				b.store.Add(hold)
				time.Sleep(idleTime)
				<-met
				b.tell(ref, -1)
				time.Sleep(2 * time.Second)
				release()
				rest()
				b.wantInMemory(0)
				if n := b.failures("save"); n != btoi(fault != nil) {
					t.Errorf("%d failed saves counted", n)
				}
				want := map[bool]int{true: 3, false: 1}[fault == nil]
				b.want(ref, want)
			})
		})
	}
}

// Snapshot is the receiver's own code: one that ends its goroutine is a failure
// of the actor, at whatever moment it is asked.
func TestASnapshotThatEndsItsGoroutine(t *testing.T) {
	exit := func() error { runtime.Goexit(); return nil }
	t.Run("when the actor is to leave", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newFragile(t, actor.Passivation{Idle: idleTime})
			b.hooks.snapshot.set(once(exit))
			b.tell(b.ref("a"), 1)
			rest()
			rest()
			b.wantInMemory(0)
		})
	})
	t.Run("when the system stops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBank(t, actor.Passivation{})
			b.hooks.snapshot.set(exit)
			ref := b.ref("a")
			b.tell(ref, 1)
			synctest.Wait()
			ended := ref.Stopped()
			b.stop()
			<-ended
			if n := b.failures("snapshot"); n != 1 {
				t.Errorf("%d failures counted, want 1", n)
			}
		})
	})
}

// Who was told to end for good leaves no snapshot behind, whatever happens on
// the way to its end.
func TestAnActorToldToStopLeavesNoSnapshotAlthoughItFails(t *testing.T) {
	for name, end := range map[string]func(b *bank, ref actor.Ref[deposit]){
		"its last message fails": func(b *bank, ref actor.Ref[deposit]) {
			gate := make(chan struct{})
			next := b.hooks.receive
			b.hooks.receive = func(ctx *actor.ContextOf[deposit]) { <-gate; next(ctx) }
			b.tell(ref, -1)
			synctest.Wait()
			stopActor(b.t, ref)
			close(gate)
		},
		"it waits to begin anew": func(b *bank, ref actor.Ref[deposit]) {
			b.tell(ref, -1)
			synctest.Wait()
			stopActor(b.t, ref)
		},
		"by a pill, and the system stops before it": func(b *bank, ref actor.Ref[deposit]) {
			gate := make(chan struct{})
			b.hooks.receive = func(*actor.ContextOf[deposit]) { <-gate }
			b.tell(ref, 0)
			synctest.Wait()
			if err := ref.Poison(); err != nil {
				b.t.Fatal(err)
			}
			go func() { time.Sleep(time.Second); close(gate) }()
			b.stop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newFragile(t, actor.Passivation{Idle: idleTime})
				ref := b.ref("a")
				b.tell(ref, 1)
				rest()
				b.wantSaved("a", "1")
				ended := ref.Stopped()
				end(b, ref)
				<-ended
				synctest.Wait()
				b.wantInMemory(0)
				b.wantSaved("a", "")
			})
		})
	}
}

// An actor that has handled its number of messages leaves as soon as the store
// lets it, without another message.
func TestAnActorThatHandledItsNumberLeavesOnceItCan(t *testing.T) {
	t.Run("more than may leave at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const actors = 1000
			b := newBank(t, actor.Passivation{Messages: 1})
			hold, _, release := hold(snapshottest.Save, nil)
			hold.Times = -1
			b.store.Add(hold)
			for i := range actors {
				b.tell(b.ref(fmt.Sprint(i)), 1)
			}
			synctest.Wait()
			b.wantInMemory(actors)
			release()
			rest()
			b.wantInMemory(0)
		})
	})
	t.Run("after a save that failed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBank(t, actor.Passivation{Messages: 1}, snapshottest.Fault{Op: snapshottest.Save, Times: 3, Err: errDisk})
			b.tell(b.ref("a"), 1)
			rest()
			b.wantInMemory(0)
			b.wantSaved("a", "1")
		})
	})
	t.Run("after a message that met the save", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hold, met, release := hold(snapshottest.Save, nil)
			b := newBank(t, actor.Passivation{Messages: 1}, hold)
			b.tell(b.ref("a"), 1)
			<-met
			b.tell(b.ref("a"), 1)
			synctest.Wait()
			release()
			rest()
			b.wantInMemory(0)
			b.wantSaved("a", "2")
		})
	})
	t.Run("with the message after a snapshot that failed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBank(t, actor.Passivation{Messages: 1})
			b.hooks.snapshot.set(once(func() error { return errDisk }))
			b.tell(b.ref("a"), 1)
			rest()
			b.wantInMemory(1)
			b.tell(b.ref("a"), 1)
			rest()
			b.wantInMemory(0)
		})
	})
}

// On a disk that is full loads work all the same: they do not make the type try
// its saves again.
func TestALoadDoesNotEndTheRestAfterAFailedSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{Limit: 1}, snapshottest.Fault{Op: snapshottest.Save, Times: -1, Err: errDisk})
		for i := range 600 { // a minute
			b.tell(b.ref(fmt.Sprint(i)), 1)
			time.Sleep(100 * time.Millisecond)
		}
		// Each time up to 256 of them are asked: after 0.1 s, 0.2 s, up to 25.6 s.
		moments := 10
		if n := b.saves(); n > moments*256 {
			t.Errorf("%d saves in a minute", n)
		}
	})
}

// What fails at one moment is one fault of the store.
func TestSavesThatFailTogetherDoNotMultiplyTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const actors = 100
		b := newBank(t, actor.Passivation{Messages: 2})
		tell := func() {
			for i := range actors {
				b.tell(b.ref(fmt.Sprint(i)), 1)
			}
			synctest.Wait()
		}
		tell()
		fault, _, release := hold(snapshottest.Save, errDisk)
		fault.Times = actors
		b.store.Add(fault)
		tell()
		release()
		if n := b.failures("save"); n != actors {
			t.Fatalf("%d saves failed, want all", n)
		}
		b.wantInMemory(actors)
		time.Sleep(time.Second)
		synctest.Wait()
		b.wantInMemory(0)
	})
}

// An actor that begins anew has no receiver before its state is loaded: it
// cannot be asked for it.
func TestAnActorThatIsLoadedAgainIsNotAskedToLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newFragile(t, actor.Passivation{Idle: idleTime})
		ref := b.ref("a")
		b.tell(ref, 1)
		rest()
		b.tell(ref, 2)
		b.tell(ref, -1)
		fault, met, release := hold(snapshottest.Load, nil)
		synctest.Wait()
		b.store.Add(fault)
		<-met
		rest()
		release()
		rest()
		if n := b.failures("snapshot"); n != 0 {
			t.Errorf("%d failed snapshots", n)
		}
		b.wantInMemory(0)
		b.want(ref, 1)
	})
}

// Whoever waits for the end of an actor learns of the system's, also where the
// actor leaves memory while the system stops.
func TestTheEndOfTheSystemMeetsASave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault, met, release := hold(snapshottest.Save, nil)
		b := newBank(t, actor.Passivation{}, fault)
		ref := b.ref("a")
		ended := ref.Stopped()
		b.tell(ref, 1)
		time.Sleep(idleTime)
		<-met
		go func() { time.Sleep(time.Second); release() }()
		b.stop()
		b.wantSaved("a", "1")
		select {
		case <-ended:
		default:
			t.Error("who waits for its end is told nothing")
		}
	})
}

// A save that fails once the actor has other things to do is a failure like
// any other.
func TestAFailedSaveOfAnActorThatStopsIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fault, met, release := hold(snapshottest.Save, errDisk)
		b := newBank(t, actor.Passivation{}, fault)
		ref := b.ref("a")
		b.tell(ref, 1)
		time.Sleep(idleTime)
		<-met
		ended := ref.Stopped()
		stopActor(t, ref)
		synctest.Wait()
		release()
		<-ended
		if n := b.failures("save"); n != 1 {
			t.Errorf("%d failed saves counted, want 1", n)
		}
	})
}

// meetStep is one thing that happens to an account.
type meetStep struct {
	kind, account, n int
	wait             time.Duration
	op               snapshottest.Op
}

const meetKinds = 8

// Messages, failures, stops, snapshots that fail and a store that is slow or
// broken, in any order: once all is quiet, or the system has stopped, nobody is
// left in memory, and every accepted message was handled or is a counted dead
// letter (I5).
func TestWhateverMeetsAnActorItLeavesInTheEnd(t *testing.T) {
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) meetStep {
		return meetStep{
			kind:    rapid.IntRange(0, meetKinds-1).Draw(t, "kind"),
			account: rapid.IntRange(0, 2).Draw(t, "account"),
			n:       rapid.IntRange(1, 3).Draw(t, "n"),
			wait:    rapid.SampledFrom([]time.Duration{0, 1, time.Second, idleTime - 1, idleTime, 2 * idleTime}).Draw(t, "wait"),
			op:      rapid.SampledFrom([]snapshottest.Op{snapshottest.Save, snapshottest.Load}).Draw(t, "op"),
		}
	}), 1, 30)
	rapid.Check(t, func(rt *rapid.T) {
		rules := actor.Passivation{
			Idle:     idleTime,
			Messages: rapid.IntRange(0, 2).Draw(rt, "messages"),
			Limit:    rapid.IntRange(0, 2).Draw(rt, "limit"),
		}
		answer := rapid.SampledFrom([]supervise.Directive{supervise.Stop, supervise.Restart, supervise.Resume}).Draw(rt, "failures")
		script, quiet := steps.Draw(rt, "steps"), rapid.Bool().Draw(rt, "quiet")
		var err error
		synctest.Test(t, func(t *testing.T) { err = playMeetings(t, rules, answer, script, quiet) })
		if err != nil {
			rt.Fatal(err)
		}
	})
}

func playMeetings(t *testing.T, rules actor.Passivation, answer supervise.Directive, script []meetStep, quiet bool) error {
	v := &vault{bank: newFragileBank(t), rules: rules}
	v.guardian.OnFailure = answer
	v.rules.Store = moody{v}
	v.open()
	var ends []<-chan struct{}
	for _, step := range script {
		ref := &v.refs[step.account][step.n%modelRefs]
		var err error
		switch step.kind {
		case 0, 1:
			err = ref.Tell(deposit{add: step.n})
		case 2:
			err = ref.Tell(deposit{add: -1})
		case 3:
			time.Sleep(step.wait)
			synctest.Wait()
			continue
		case 4:
			v.store.Add(snapshottest.Fault{Op: step.op, Times: step.n, Err: errDisk})
			continue
		case 5:
			v.store.Add(snapshottest.Fault{Op: step.op, Delay: step.wait})
			continue
		case 6:
			v.hooks.snapshot.set(once(func() error {
				switch step.n {
				case 1:
					panic(errDisk)
				case 2:
					runtime.Goexit()
				}
				return errDisk
			}))
			continue
		case 7:
			end := [...]func() error{ref.Stop, ref.Poison, func() error { *ref = v.ref(strconv.Itoa(step.account)); return nil }}
			ends = append(ends, ref.Stopped())
			if err := end[step.n-1](); err != nil {
				return err
			}
			continue
		}
		if err == nil {
			v.accepted++
		} else if !errors.Is(err, actor.ErrStopped) {
			return err
		}
	}
	v.calm.Store(true)
	if quiet {
		time.Sleep(10 * idleTime)
		synctest.Wait()
		if n := sum(t, v.reg, "atrium_actor_actors"); n != 0 {
			return fmt.Errorf("%d actors stay in memory", n)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	if err := v.system.Stop(ctx); err != nil {
		return err
	}
	if n := sum(t, v.reg, "atrium_actor_actors"); n != 0 {
		return fmt.Errorf("%d actors are left", n)
	}
	for _, end := range ends {
		<-end
	}
	dead := sum(t, v.reg, "atrium_actor_dead_letters_total")
	if n := handled(t, v.reg); n+dead != v.accepted {
		return fmt.Errorf("%d accepted, %d handled, %d dead letters", v.accepted, n, dead)
	}
	return nil
}
