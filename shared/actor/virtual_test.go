package actor_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/snapshot"
	"github.com/atrium-iot/atrium/shared/actor/snapshot/snapshottest"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

// errDisk is the fault of the stores in these tests.
var errDisk = errors.New("disk gone")

// account is a virtual actor that adds up what it is told.
type account struct {
	sum   int
	hooks *accountHooks
}

// hook is a function that a test may set while the actors run.
type hook struct{ f atomic.Pointer[func() error] }

func (h *hook) set(f func() error) { h.f.Store(&f) }

func (h *hook) call() error {
	if f := h.f.Load(); f != nil {
		return (*f)()
	}
	return nil
}

// accountHooks lets a test look into its accounts; nil fields do nothing.
type accountHooks struct {
	made     atomic.Int32
	snapshot hook
	restore  hook
	receive  func(*actor.ContextOf[deposit])
	started  func(*actor.ContextOf[deposit])
	stopped  func(error)
}

// deposit adds, and answers with the sum when somebody asks.
type deposit struct {
	add   int
	reply actor.Reply[int]
}

func (a *account) Receive(ctx *actor.ContextOf[deposit]) {
	m := ctx.Message()
	if a.hooks.receive != nil {
		a.hooks.receive(ctx)
	}
	a.sum += m.add
	m.reply.Send(a.sum)
}

func (a *account) Started(ctx *actor.ContextOf[deposit]) {
	if a.hooks.started != nil {
		a.hooks.started(ctx)
	}
}

func (a *account) Stopped(_ *actor.ContextOf[deposit], reason error) {
	if a.hooks.stopped != nil {
		a.hooks.stopped(reason)
	}
}

func (a *account) Snapshot() ([]byte, error) {
	if err := a.hooks.snapshot.call(); err != nil {
		return nil, err
	}
	return []byte(strconv.Itoa(a.sum)), nil
}

func (a *account) Restore(state []byte) (err error) {
	if err := a.hooks.restore.call(); err != nil {
		return err
	}
	a.sum, err = strconv.Atoi(string(state))
	return err
}

// bank is a system with accounts whose store fails by a script.
type bank struct {
	t        tb
	system   *actor.ActorSystem
	reg      *prometheus.Registry
	memory   *snapshot.Memory
	store    *snapshottest.Faulty
	accounts actor.Type[deposit]
	guardian supervise.Strategy
	hooks    accountHooks
}

const idleTime = time.Minute

// newBank registers accounts that leave memory after idleTime.
func newBank(t tb, rules actor.Passivation, faults ...snapshottest.Fault) *bank {
	t.Helper()
	b := &bank{t: t, memory: snapshot.NewMemory(1 << 20)}
	b.store = snapshottest.NewFaulty(b.memory, faults...)
	b.system, b.reg = newSystem(t)
	rules.Store = b.store
	if rules.Idle == 0 && rules.Messages == 0 && rules.Limit == 0 {
		rules.Idle = idleTime
	}
	b.register(rules)
	return b
}

func (b *bank) register(rules actor.Passivation) {
	b.t.Helper()
	var err error
	b.accounts, err = actor.Register(b.system.Engine(), "account", actor.PropsOf(func() actor.ReceiverOf[deposit] {
		b.hooks.made.Add(1)
		return &account{hooks: &b.hooks}
	}).WithPassivation(rules).WithGuardian(b.guardian))
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bank) ref(name string) actor.Ref[deposit] {
	b.t.Helper()
	ref, err := b.accounts.Ref(name)
	if err != nil {
		b.t.Fatal(err)
	}
	return ref
}

func (b *bank) tell(ref actor.Ref[deposit], add int) {
	b.t.Helper()
	if err := ref.Tell(deposit{add: add}); err != nil {
		b.t.Fatal(err)
	}
}

// want asks for the sum.
func (b *bank) want(ref actor.Ref[deposit], sum int) {
	b.t.Helper()
	ctx, cancel := testContext()
	defer cancel()
	got, err := actor.Ask(ctx, ref, func(r actor.Reply[int]) deposit { return deposit{reply: r} })
	if err != nil || got != sum {
		b.t.Errorf("the sum of %s is %d, %v; want %d", ref, got, err, sum)
	}
}

// saved is what the store has of an account, "" when nothing.
func (b *bank) saved(name string) string {
	b.t.Helper()
	ctx, cancel := testContext()
	defer cancel()
	data, err := b.memory.Load(ctx, "account/"+name)
	if err != nil && !errors.Is(err, snapshot.ErrNone) {
		b.t.Fatal(err)
	}
	return string(data)
}

func (b *bank) wantSaved(name, want string) {
	b.t.Helper()
	if got := b.saved(name); got != want {
		b.t.Errorf("the store has %q of %s, want %q", got, name, want)
	}
}

// wantInMemory compares the number of actors that are in memory.
func (b *bank) wantInMemory(want int) {
	b.t.Helper()
	if got := sum(b.t, b.reg, "atrium_actor_actors", "type", "account"); got != want {
		b.t.Errorf("%d actors are in memory, want %d", got, want)
	}
}

func (b *bank) failures(step string) int {
	b.t.Helper()
	return sum(b.t, b.reg, "atrium_actor_state_failures_total", "step", step)
}

func (b *bank) passivations() int {
	b.t.Helper()
	return sum(b.t, b.reg, "atrium_actor_passivations_total")
}

func (b *bank) stop() {
	b.t.Helper()
	ctx, cancel := testContext()
	defer cancel()
	if err := b.system.Stop(ctx); err != nil {
		b.t.Errorf("%v", err)
	}
}

func testContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// rest lets fake time pass until idle actors have left.
func rest() {
	time.Sleep(idleTime + time.Second)
	synctest.Wait()
}

// hold is a fault that lets a call wait until it is released.
func hold(op snapshottest.Op, err error) (fault snapshottest.Fault, met <-chan struct{}, release func()) {
	m, until := make(chan struct{}), make(chan struct{})
	return snapshottest.Fault{Op: op, Met: m, Until: until, Err: err}, m, func() { close(until); synctest.Wait() }
}

func TestAnIdleActorLeavesMemoryAndComesBackWithItsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{})
		ref := b.ref("a")
		b.wantInMemory(0)
		b.tell(ref, 3)
		b.tell(ref, 4)
		synctest.Wait()
		b.wantInMemory(1)
		time.Sleep(idleTime - time.Second)
		synctest.Wait()
		b.wantInMemory(1)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b.wantInMemory(0)
		b.wantSaved("a", "7")
		b.want(ref, 7)
		b.tell(b.ref("a"), 1)
		b.want(ref, 8)
		if made := b.hooks.made.Load(); made != 3 { // Register looks at one
			t.Errorf("%d receivers were made, want 3", made)
		}
		if n := sum(t, b.reg, "atrium_actor_activations_total"); n != 2 {
			t.Errorf("%d activations counted, want 2", n)
		}
		if b.passivations() != 1 {
			t.Errorf("%d passivations counted, want 1", b.passivations())
		}
	})
}

func TestUseKeepsAnActorInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{})
		ref := b.ref("a")
		for range 10 {
			b.tell(ref, 1)
			time.Sleep(idleTime - time.Second)
			synctest.Wait()
			b.wantInMemory(1)
		}
		if b.passivations() != 0 {
			t.Error("it has left meanwhile")
		}
	})
}

func TestAnActorLeavesAfterItsNumberOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{Messages: 3})
		ref := b.ref("a")
		for i := 1; i <= 6; i++ {
			b.tell(ref, 1)
			synctest.Wait()
			b.wantInMemory(min(1, i%3))
		}
		b.wantSaved("a", "6")
	})
}

func TestBeyondTheLimitTheLeastRecentlyUsedLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{Limit: 2})
		use := func(name string) {
			b.tell(b.ref(name), 1)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		use("a")
		use("b")
		use("a")
		use("c")
		b.wantInMemory(2)
		b.wantSaved("a", "")
		b.wantSaved("b", "1")
		use("b")
		b.wantInMemory(2)
		b.wantSaved("a", "2")
		b.wantSaved("c", "")
	})
}

// Every moment of a passivation, and a message at each of them: it is handled
// once, and no state is lost.
func TestAMessageThatMeetsAPassivationKeepsTheActorOrBringsItBack(t *testing.T) {
	moments := map[string]func(b *bank, ref actor.Ref[deposit], meet func()){
		"as the snapshot is taken": func(b *bank, _ actor.Ref[deposit], meet func()) {
			var once sync.Once
			b.hooks.snapshot.set(func() error {
				once.Do(meet)
				return nil
			})
			rest()
		},
		"while it is saved": func(b *bank, _ actor.Ref[deposit], meet func()) {
			fault, met, release := hold(snapshottest.Save, nil)
			b.store.Add(fault)
			time.Sleep(idleTime)
			<-met
			meet()
			synctest.Wait()
			release()
		},
		"while a save that fails is under way": func(b *bank, _ actor.Ref[deposit], meet func()) {
			fault, met, release := hold(snapshottest.Save, errDisk)
			b.store.Add(fault)
			time.Sleep(idleTime)
			<-met
			meet()
			synctest.Wait()
			release()
		},
		"when it has left": func(_ *bank, _ actor.Ref[deposit], meet func()) {
			rest()
			meet()
		},
		"while it is loaded again": func(b *bank, ref actor.Ref[deposit], meet func()) {
			rest()
			fault, met, release := hold(snapshottest.Load, nil)
			b.store.Add(fault)
			b.tell(ref, 0)
			<-met
			meet()
			release()
		},
	}
	for name, at := range moments {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBank(t, actor.Passivation{})
				ref := b.ref("a")
				b.tell(ref, 1)
				synctest.Wait()
				at(b, ref, func() {
					b.tell(ref, 10)
					b.tell(b.ref("a"), 100)
				})
				if b.store.Unmet() > 0 {
					t.Fatal("the moment did not come")
				}
				b.want(ref, 111)
				rest()
				b.wantInMemory(0)
				b.wantSaved("a", "111")
				b.want(b.ref("a"), 111)
			})
		})
	}
}

func TestAllWaysToSendReachAnActorThatIsNotInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{})
		old := []actor.Ref[deposit]{b.ref("a"), b.ref("a"), b.ref("a")}
		b.tell(old[0], 1) // the others point to cells that are not in memory
		rest()
		b.tell(old[1], 1)
		if n, err := old[2].TellBatch([]deposit{{add: 1}, {add: 1}}); n != 2 || err != nil {
			t.Errorf("TellBatch: %d, %v", n, err)
		}
		if err := old[0].TellWait(t.Context(), deposit{add: 1}); err != nil {
			t.Error(err)
		}
		if n := old[0].Waiting(); n > 4 {
			t.Errorf("%d wait", n)
		}
		b.want(old[0], 5)
		rest()
		if n, err := old[2].TellBatch([]deposit{{add: 1}, {add: 1}}); n != 2 || err != nil {
			t.Errorf("TellBatch: %d, %v", n, err)
		}
		rest()
		if err := old[1].TellWait(t.Context(), deposit{add: 1}); err != nil {
			t.Error(err)
		}
		rest()
		b.want(old[2], 8)
		b.wantInMemory(1)
		if n := sum(t, b.reg, "atrium_actor_refusals_total"); n != 0 {
			t.Errorf("%d messages were refused", n)
		}
	})
}

func TestSendersAtOnceActivateOneActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const senders = 50
		b := newBank(t, actor.Passivation{})
		b.tell(b.ref("a"), 0)
		rest()
		refs := make([]actor.Ref[deposit], senders)
		for i := range refs {
			refs[i] = b.ref("a")
		}
		for _, ref := range refs {
			go func() { b.tell(ref, 1) }()
		}
		synctest.Wait()
		b.wantInMemory(1)
		b.want(refs[0], senders)
		if n := sum(t, b.reg, "atrium_actor_activations_total"); n != 2 {
			t.Errorf("%d activations, want the first and the second", n)
		}
	})
}

func TestTheStoreIsCalledOnceAtATimeForAnActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{})
		ref := b.ref("a")
		b.tell(ref, 1)
		fault, met, release := hold(snapshottest.Save, nil)
		b.store.Add(fault)
		time.Sleep(idleTime)
		<-met
		b.tell(ref, 1)
		rest() // idle again, while the first save is under way
		rest()
		if calls := b.store.Calls(); len(calls) != 2 {
			t.Fatalf("calls %v, want the load and one save", calls)
		}
		release()
		rest()
		b.wantSaved("a", "2")
		b.wantInMemory(0)
	})
}

func TestASaveThatFailsKeepsTheActorAndIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBank(t, actor.Passivation{Idle: idleTime, Limit: 1},
			snapshottest.Fault{Op: snapshottest.Save, Times: 3, Err: errDisk})
		a, c := b.ref("a"), b.ref("c")
		b.tell(a, 5)
		time.Sleep(time.Second)
		b.tell(c, 6) // the limit wants one to leave
		synctest.Wait()
		b.wantInMemory(2)
		b.want(a, 5)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := b.failures("save"); n != 3 {
			t.Errorf("%d failed saves counted, want 3", n)
		}
		b.wantInMemory(1)
		b.want(a, 5)
		b.want(c, 6)
	})
}

func TestAPanicOfTheStoreIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		b := &bank{t: t, system: s, reg: reg}
		b.register(actor.Passivation{Idle: idleTime, Store: panicking{}})
		ref := b.ref("a")
		b.tell(ref, 1)
		rest()
		b.want(ref, 1)
		if b.failures("save") == 0 {
			t.Error("no failed save is counted")
		}
	})
}

// panicking is a store that has nothing and cannot save.
type panicking struct{}

func (panicking) Save(context.Context, string, []byte) error   { panic("no disk") }
func (panicking) Load(context.Context, string) ([]byte, error) { return nil, snapshot.ErrNone }
func (panicking) Delete(context.Context, string) error         { return nil }
