package actor_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/snapshot"
	"github.com/atrium-iot/atrium/shared/actor/supervise"
)

func configure(t tb, s *actor.ActorSystem, name string, cfg actor.TypeConfig) {
	t.Helper()
	if err := s.ConfigureType(name, cfg); err != nil {
		t.Fatal(err)
	}
}

func limitSites(t tb, s *actor.ActorSystem, limits actor.SiteLimits) {
	t.Helper()
	if err := s.LimitSites(limits); err != nil {
		t.Fatal(err)
	}
}

func TestATypeHasAtMostAsManyActorsAsItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		configure(t, s, "device", actor.TypeConfig{Limit: 2})
		p := on(func(*actor.ContextOf[int]) {}).WithType("device")
		first := spawn(t, s, p, "1")
		spawn(t, s, p, "2")
		if _, err := actor.Spawn(s.Engine(), p, "2"); !errors.Is(err, actor.ErrLimit) {
			t.Errorf("the third: %v", err)
		}
		if err := first.Stop(); err != nil {
			t.Fatal(err)
		}
		<-first.Stopped()
		if _, err := actor.Spawn(s.Engine(), p, "2"); !errors.Is(err, actor.ErrIDInUse) {
			t.Errorf("an ID in use: %v", err)
		}
		spawn(t, s, p, "3")
		spawn(t, s, on(func(*actor.ContextOf[int]) {}).WithType("other"), "4")
	})
}

func TestALimitRefusesAMessageThatWouldActivateOneMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bank{t: t}
		b.system, b.reg = newSystem(t)
		configure(t, b.system, "account", actor.TypeConfig{Limit: 1, Passivation: actor.Passivation{Idle: idleTime}})
		b.register(actor.Passivation{})
		b.tell(b.ref("a"), 1)
		if err := b.ref("b").Tell(deposit{}); !errors.Is(err, actor.ErrLimit) {
			t.Errorf("Tell = %v", err)
		}
		b.tell(b.ref("a"), 1)
		if n := refusals(t, b.reg, "limit"); n != 1 {
			t.Errorf("%d refusals counted, want 1", n)
		}
		rest()
		b.tell(b.ref("b"), 1)
		stopActor(t, b.ref("a"))
		synctest.Wait()
		b.wantInMemory(1)
	})
}

func TestAConfigurationGoesOverWhatPropsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		if err := s.RegisterDispatcher("slow", actor.DispatcherConfig{Throughput: 1, MailboxSize: 10, MaxConcurrency: 1}); err != nil {
			t.Fatal(err)
		}
		configure(t, s, "device", actor.TypeConfig{
			Dispatcher:  "slow",
			Mailbox:     actor.Mailbox{Size: 2, Overflow: actor.DropNewest},
			Supervision: &supervise.Strategy{OnFailure: supervise.Resume},
		})
		wait := make(chan struct{})
		ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
			<-wait
			if ctx.Message() == 1 {
				panic(errDisk)
			}
		}).WithType("device").WithMailbox(actor.Mailbox{Size: 5}), "a")
		for i := 1; i <= 4; i++ {
			if err := ref.Tell(i); err != nil {
				t.Errorf("message %d: %v", i, err)
			}
		}
		close(wait)
		synctest.Wait()
		if n := deadLetters(t, reg, "overflow_newest"); n != 2 {
			t.Errorf("%d were dropped, want 2", n)
		}
		if n := sum(t, reg, "atrium_actor_messages_total", "dispatcher", "slow", "type", "device"); n != 2 {
			t.Errorf("%d handled on the dispatcher, want 2", n)
		}
	})
}

func TestBadConfigurationsOfTypesAreRefused(t *testing.T) {
	s, _ := newSystem(t)
	spawn(t, s, on(func(*actor.ContextOf[int]) {}).WithType("there"), "a")
	for name, test := range map[string]struct {
		typ  string
		cfg  actor.TypeConfig
		want string
	}{
		"no name":       {"", actor.TypeConfig{}, "the name is empty"},
		"actors":        {"there", actor.TypeConfig{}, "there already"},
		"no dispatcher": {"a", actor.TypeConfig{Dispatcher: "x"}, `TypeConfig.Dispatcher: no dispatcher "x"`},
		"a mailbox":     {"a", actor.TypeConfig{Mailbox: actor.Mailbox{Size: -1}}, "Mailbox.Size"},
		"a passivation": {"a", actor.TypeConfig{Passivation: actor.Passivation{Idle: -1}}, "Passivation.Idle"},
		"a supervision": {"a", actor.TypeConfig{Supervision: &supervise.Strategy{MaxRestarts: -1}}, "TypeConfig.Supervision: supervise: MaxRestarts"},
		"a limit":       {"a", actor.TypeConfig{Limit: -1}, "TypeConfig.Limit"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.ConfigureType(test.typ, test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("ConfigureType = %v, want %q", err, test.want)
			}
		})
	}
	configure(t, s, "spawned", actor.TypeConfig{Passivation: actor.Passivation{Idle: time.Second}})
	if _, err := actor.Spawn(s.Engine(), on(func(*actor.ContextOf[int]) {}).WithType("spawned"), "b"); err == nil || !strings.Contains(err.Error(), "Register") {
		t.Errorf("Spawn = %v", err)
	}
	if err := s.LimitSites(actor.SiteLimits{Actors: 1}); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("LimitSites = %v", err)
	}
	registered, _ := newSystem(t)
	if _, err := actor.Register(registered.Engine(), "r", on(func(*actor.ContextOf[int]) {})); err != nil {
		t.Fatal(err)
	}
	if err := registered.LimitSites(actor.SiteLimits{Actors: 1}); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("LimitSites after Register = %v", err)
	}
	if err := s.LimitSites(actor.SiteLimits{Messages: -1}); err == nil || !strings.Contains(err.Error(), "Messages") {
		t.Errorf("LimitSites = %v", err)
	}
}

func TestASiteHasAtMostItsActors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		limitSites(t, s, actor.SiteLimits{Actors: 2})
		p := on(func(*actor.ContextOf[int]) {})
		first := spawn(t, s, p, "hq")
		spawn(t, s, p, "hq/t1")
		if _, err := actor.Spawn(s.Engine(), p, "hq/t2"); !errors.Is(err, actor.ErrLimit) {
			t.Errorf("the third of a site: %v", err)
		}
		spawn(t, s, p, "plant/t1")
		if err := first.Stop(); err != nil {
			t.Fatal(err)
		}
		<-first.Stopped()
		spawn(t, s, p, "hq/t2")
	})
}

// A virtual actor's site follows its type: twin/hq/t1 is of the site hq.
func TestAVirtualActorBelongsToItsNamesSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bank{t: t}
		b.system, b.reg = newSystem(t)
		limitSites(t, b.system, actor.SiteLimits{Actors: 1})
		b.register(actor.Passivation{Idle: idleTime})
		for range 3 {
			b.tell(b.ref("hq/t1"), 1)
			b.tell(b.ref("plant/t1"), 1)
			if err := b.ref("hq/t2").Tell(deposit{}); !errors.Is(err, actor.ErrLimit) {
				t.Errorf("Tell = %v", err)
			}
			rest()
			b.tell(b.ref("hq/t2"), 1)
			stopActor(t, b.ref("hq/t2"))
			synctest.Wait()
			b.wantInMemory(0)
		}
	})
}

// twin/hq/t1/probe is of the site hq as its parent is, not of one named twin.
func TestAChildBelongsToItsParentsSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSystem(t)
		limitSites(t, s, actor.SiteLimits{Actors: 3})
		var mu sync.Mutex // of failed: a parent may still run when its child does
		var failed []error
		leaf := on(func(*actor.ContextOf[int]) {})
		var parent *actor.PropsTyped[int]
		parent = on(func(c *actor.ContextOf[int]) {
			var err error
			if c.Message() > 0 {
				_, err = actor.SpawnChild(c, leaf, fmt.Sprint(c.Message()))
			} else {
				var ref actor.Ref[int]
				if ref, err = actor.SpawnChild(c, parent, "probe"); err == nil {
					err = ref.Tell(1)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, err)
		})
		twins, err := actor.Register(s.Engine(), "twin", parent)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"hq/t1", "plant/t1"} {
			ref, err := twins.Ref(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := ref.Tell(0); err != nil { // a child and a grandchild
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if len(failed) != 4 || errors.Join(failed...) != nil {
			t.Fatalf("within the limit: %v", failed)
		}
		if _, err := actor.Spawn(s.Engine(), leaf, "hq/4"); !errors.Is(err, actor.ErrLimit) {
			t.Errorf("the fourth of the site: %v", err)
		}
	})
}

// A flood of messages to new names must not fill the memory with actors that
// have none (I5).
func TestAFullSiteActivatesNobody(t *testing.T) {
	for name, rules := range map[string]actor.Passivation{
		"without a store": {Idle: idleTime},
		"with a store":    {Idle: idleTime, Store: snapshot.NewMemory(1 << 20)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bank{t: t}
				b.system, b.reg = newSystem(t)
				limitSites(t, b.system, actor.SiteLimits{Messages: 3})
				wait := make(chan struct{})
				slow := spawn(t, b.system, on(func(*actor.ContextOf[int]) { <-wait }), "hq")
				b.register(rules)
				if _, err := slow.TellBatch([]int{1, 2, 3}); err != nil {
					t.Fatal(err)
				}
				for i := range 10 {
					ref := b.ref(fmt.Sprintf("hq/%d", i))
					_, batch := ref.TellBatch([]deposit{{}, {}})
					for what, err := range map[string]error{"Tell": ref.Tell(deposit{}), "TellWait": ref.TellWait(t.Context(), deposit{}), "TellBatch": batch} {
						if !errors.Is(err, actor.ErrLimit) {
							t.Errorf("%s = %v", what, err)
						}
					}
				}
				synctest.Wait()
				b.wantInMemory(0)
				close(wait)
				synctest.Wait()
				b.tell(b.ref("hq/1"), 1)
				b.wantInMemory(1)
			})
		})
	}
}

// Messages that meet at the limit of a site may bring an actor into memory and
// find no room for themselves: it leaves as others do.
func TestAnActorThatWasBroughtInForNothingLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bank{t: t}
		b.system, b.reg = newSystem(t)
		limitSites(t, b.system, actor.SiteLimits{Messages: 2})
		b.register(actor.Passivation{Idle: idleTime})
		var senders sync.WaitGroup
		for g := range 4 {
			senders.Go(func() {
				for i := range 2000 {
					_ = b.ref(fmt.Sprintf("hq/%d/%d", g, i)).Tell(deposit{add: 1})
				}
			})
		}
		senders.Wait()
		synctest.Wait()
		time.Sleep(time.Hour)
		synctest.Wait()
		b.wantInMemory(0)
	})
}

func TestASiteHoldsAtMostItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		limitSites(t, s, actor.SiteLimits{Messages: 5})
		wait := make(chan struct{})
		p := on(func(*actor.ContextOf[int]) { <-wait })
		one, two, other := spawn(t, s, p, "hq/1"), spawn(t, s, p, "hq/2"), spawn(t, s, p, "plant/1")
		if n, err := one.TellBatch([]int{1, 2, 3}); n != 3 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := two.TellBatch([]int{1, 2, 3}); n != 2 || !errors.Is(err, actor.ErrLimit) {
			t.Errorf("TellBatch = %d, %v; want 2 and a limit", n, err)
		}
		for name, err := range map[string]error{
			"Tell": one.Tell(1), "TellWait": two.TellWait(t.Context(), 1), "control": one.On(actor.Control).Tell(1),
		} {
			if !errors.Is(err, actor.ErrLimit) {
				t.Errorf("%s = %v", name, err)
			}
		}
		if err := other.Tell(1); err != nil {
			t.Errorf("another site: %v", err)
		}
		if n := refusals(t, reg, "limit"); n != 4 {
			t.Errorf("%d refusals counted, want 4", n)
		}
		close(wait)
		synctest.Wait()
		if n, err := one.TellBatch([]int{1, 2, 3, 4, 5}); n != 5 || err != nil {
			t.Errorf("when all is handled: %d, %v", n, err)
		}
	})
}

// Whatever becomes of messages, their site gets them back: handled, dropped,
// put aside, lost with their actor (I5).
func TestASiteGetsItsMessagesBack(t *testing.T) {
	const most = 64
	s, _ := newSystem(t)
	limitSites(t, s, actor.SiteLimits{Messages: most})
	of := func(overflow actor.Overflow) *actor.PropsTyped[int] {
		return on(func(ctx *actor.ContextOf[int]) {
			switch ctx.Message() % 97 {
			case 1:
				_ = ctx.Stash()
			case 2:
				panic(errDisk)
			case 3:
				ctx.Unstash()
			}
		}).WithMailbox(actor.Mailbox{Size: 3, Overflow: overflow})
	}
	var senders sync.WaitGroup
	for g := range 4 {
		senders.Go(func() {
			for i := range 300 {
				id := fmt.Sprintf("hq/%d/%d", g, i)
				ref, err := actor.Spawn(s.Engine(), of(actor.Overflow(i%4)), id)
				if err != nil {
					t.Error(err)
					return
				}
				for k := range 10 {
					_ = ref.Tell(i*10 + k)
				}
				_, _ = ref.TellBatch([]int{i, i + 1, i + 2, i + 3})
				if err := ref.Stop(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	senders.Wait()
	deadline := time.Now().Add(patience)
	probe := spawn(t, s, on(func(*actor.ContextOf[int]) {}).WithMailbox(actor.Mailbox{Size: 2 * most}), "hq/probe")
	for {
		n, err := probe.TellBatch(make([]int, most))
		if n == most && err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the site has room for %d of %d messages: %v", n, most, err)
		}
		runtime.Gosched()
	}
}
