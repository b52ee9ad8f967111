package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/router"
)

func newPool(t tb, s *actor.ActorSystem, size int, gate chan struct{}) *router.Pool[message] {
	t.Helper()
	p := actor.PropsOf(func() actor.ReceiverOf[message] { return &routee{gate: gate} }).WithDispatcher(gated)
	pool, err := router.NewPool(s.Engine(), p, "pool", size, router.RoundRobin[message])
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func names(pool *router.Pool[message]) []string {
	var names []string
	for _, ref := range pool.Router().Routees() {
		names = append(names, ref.PID().ID)
	}
	slices.Sort(names)
	return names
}

func wantNames(t tb, pool *router.Pool[message], want ...string) {
	t.Helper()
	if got := names(pool); !slices.Equal(got, want) {
		t.Errorf("the routees are %q, want %q", got, want)
	}
}

func resize(t tb, pool *router.Pool[message], size int) {
	t.Helper()
	if err := pool.Resize(size); err != nil {
		t.Fatal(err)
	}
}

func TestAPoolGrowsAndShrinks(t *testing.T) {
	pool := newPool(t, newSystem(t), 2, open())
	wantNames(t, pool, "pool/0", "pool/1")
	resize(t, pool, 4)
	wantNames(t, pool, "pool/0", "pool/1", "pool/2", "pool/3")
	resize(t, pool, 1)
	wantNames(t, pool, "pool/0")
	if err := pool.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := pool.Router().Tell(message{}); !errors.Is(err, router.ErrNoRoutees) {
		t.Errorf("after stop: %v", err)
	}
	if err := pool.Resize(2); !errors.Is(err, actor.ErrStopped) {
		t.Errorf("after stop: %v", err)
	}
	if err := pool.Stop(t.Context()); err != nil {
		t.Errorf("stopped again: %v", err)
	}
}

func TestARouteeThatEndedIsReplaced(t *testing.T) {
	pool := newPool(t, newSystem(t), 3, open())
	dead := pool.Router().Routees()[1]
	stop(t, dead)
	resize(t, pool, 3)
	wantNames(t, pool, "pool/0", "pool/1", "pool/2")
	if slices.Contains(pool.Router().Routees(), dead) {
		t.Error("the one that ended is still there")
	}
}

// While the old pool/1 handles what it accepted, its name is taken.
func TestANameIsNotGivenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		pool := newPool(t, newSystem(t), 2, gate)
		for n := range 4 {
			tell(t, pool.Router(), n)
		}
		resize(t, pool, 1)
		resize(t, pool, 2)
		wantNames(t, pool, "pool/0", "pool/2")
		close(gate)
		synctest.Wait()
		resize(t, pool, 3)
		wantNames(t, pool, "pool/0", "pool/1", "pool/2")
	})
}

func TestAPoolRefusesABadSizeAndChangesNothing(t *testing.T) {
	s := newSystem(t)
	pool := newPool(t, s, 2, open())
	for _, size := range []int{-1, 0, router.MaxSize + 1} {
		if err := pool.Resize(size); err == nil || !strings.Contains(err.Error(), fmt.Sprint(size)) {
			t.Errorf("size %d: %v", size, err)
		}
	}
	wantNames(t, pool, "pool/0", "pool/1")
	if _, err := router.NewPool(s.Engine(), props(&routee{}, 1), "other", 0, router.RoundRobin[message]); err == nil {
		t.Error("a pool of nobody was made")
	}
}

// Another actor has one of the names.
func TestAPoolThatCannotSpawnLeavesNobodyBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSystem(t)
		foreign, err := actor.Spawn(s.Engine(), props(&routee{gate: open()}, 1), "pool/2")
		if err != nil {
			t.Fatal(err)
		}
		p := actor.PropsOf(func() actor.ReceiverOf[message] { return &routee{gate: open()} })
		if _, err := router.NewPool(s.Engine(), p, "pool", 3, router.RoundRobin[message]); !errors.Is(err, actor.ErrIDInUse) {
			t.Fatalf("got %v", err)
		}
		synctest.Wait()
		pool := newPool(t, s, 2, open())
		if err := pool.Resize(3); !errors.Is(err, actor.ErrIDInUse) {
			t.Errorf("got %v", err)
		}
		wantNames(t, pool, "pool/0", "pool/1")
		stop(t, foreign)
		resize(t, pool, 3)
		wantNames(t, pool, "pool/0", "pool/1", "pool/2")
	})
}

// TestStopHandlesWhatWasAccepted holds I5: a pool that stops loses nothing.
func TestStopHandlesWhatWasAccepted(t *testing.T) {
	var got atomic.Int64
	p := actor.PropsOf(func() actor.ReceiverOf[message] {
		return receive(func(*actor.ContextOf[message]) { got.Add(1) })
	})
	pool, err := router.NewPool(newSystem(t).Engine(), p, "pool", 3, router.LeastLoaded[message])
	if err != nil {
		t.Fatal(err)
	}
	accepted := int64(0)
	for n := range 5000 {
		if pool.Router().Tell(message{n: n}) == nil {
			accepted++
		}
	}
	if err := pool.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got.Load() != accepted {
		t.Errorf("%d were accepted, %d handled", accepted, got.Load())
	}
}

func TestStopSaysHowManyDidNotEndInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		pool := newPool(t, newSystem(t), 3, gate)
		tell(t, pool.Router(), 1)
		tell(t, pool.Router(), 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := pool.Stop(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 routees") {
			t.Errorf("got %v", err)
		}
		close(gate)
		if err := pool.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestNothingIsLostOrDoubledWhileAPoolChanges sends from several goroutines while
// the pool grows, shrinks and loses routees: what Tell accepted is handled
// once, and Tell fails only for want of room.
func TestNothingIsLostOrDoubledWhileAPoolChanges(t *testing.T) {
	for name, make := range policies() {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t)
			rapid.Check(t, func(t *rapid.T) {
				changes := rapid.SliceOfN(rapid.IntRange(0, 6), 1, 15).Draw(t, "sizes, 0: one stops")
				whileItChanges(t, s, make, changes)
			})
		})
	}
}

const perSender = 300

func whileItChanges(t *rapid.T, s *actor.ActorSystem, route func(...actor.Ref[message]) *router.Router[message], changes []int) {
	var handled [3 * perSender]atomic.Int32
	p := actor.PropsOf(func() actor.ReceiverOf[message] {
		return receive(func(ctx *actor.ContextOf[message]) { handled[ctx.Message().n].Add(1) })
	})
	pool, err := router.NewPool(s.Engine(), p, "pool", 3, route)
	if err != nil {
		t.Fatal(err)
	}
	var accepted [len(handled)]bool
	var all sync.WaitGroup
	for sender := range len(handled) / perSender {
		all.Go(func() {
			for n := sender * perSender; n < (sender+1)*perSender; n++ {
				err := pool.Router().Tell(message{n: n})
				if err != nil && !errors.Is(err, actor.ErrMailboxFull) && !errors.Is(err, router.ErrNoRoutees) {
					t.Errorf("%v", err)
				}
				accepted[n] = err == nil
			}
		})
	}
	for _, size := range changes {
		if size > 0 {
			resize(t, pool, size)
		} else if refs := pool.Router().Routees(); len(refs) > 0 {
			stop(t, refs[0])
		}
	}
	all.Wait()
	if err := pool.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	for n := range handled {
		if got := handled[n].Load() == 1; got != accepted[n] || handled[n].Load() > 1 {
			t.Errorf("message %d: accepted %t, handled %d times", n, accepted[n], handled[n].Load())
		}
	}
}
