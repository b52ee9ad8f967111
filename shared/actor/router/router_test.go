package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tb is what *testing.T, *testing.B and *rapid.T share.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Cleanup(f func())
}

// patience is for what a correct program does at once.
const patience = 30 * time.Second

// gated runs routees that wait at a gate.
const gated = "gated"

func newSystem(t tb, options ...actor.Option) *actor.ActorSystem {
	t.Helper()
	s := actor.NewActorSystem(actor.Config{Address: "node", Port: 1, ClusterName: "test"}, nil, options...)
	if err := s.RegisterDispatcher(gated, actor.DispatcherConfig{Throughput: 10, MailboxSize: 1000, MaxConcurrency: 64, Kind: actor.Blocking}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("%v", err)
		}
	})
	return s
}

// message is what the routees take: a number, and a question if it is one.
type message struct {
	n     int
	reply actor.Reply[string]
}

// routee counts what it got and answers with its name. While its gate is shut
// it handles nothing.
type routee struct {
	gate   chan struct{}
	panics bool
	got    atomic.Int64
	last   atomic.Int64
}

func (r *routee) Receive(ctx *actor.ContextOf[message]) {
	<-r.gate
	if r.panics {
		panic("as told")
	}
	r.last.Store(int64(ctx.Message().n))
	r.got.Add(1)
	ctx.Message().reply.Send(ctx.PID().ID)
}

func open() chan struct{} {
	gate := make(chan struct{})
	close(gate)
	return gate
}

func props(r *routee, size int) *actor.PropsTyped[message] {
	return actor.PropsOf(func() actor.ReceiverOf[message] { return r }).WithDispatcher(gated).WithMailbox(actor.Mailbox{Size: size})
}

// crew is some routees with one gate.
type crew struct {
	gate chan struct{}
	all  []*routee
	refs []actor.Ref[message]
}

// newCrew spawns a routee for each size, behind a shut gate that opens at the
// end of the test at the latest.
func newCrew(t tb, s *actor.ActorSystem, sizes ...int) *crew {
	t.Helper()
	c := &crew{gate: make(chan struct{})}
	for i, size := range sizes {
		r := &routee{gate: c.gate}
		ref, err := actor.Spawn(s.Engine(), props(r, size), fmt.Sprintf("routee/%d", i))
		if err != nil {
			t.Fatal(err)
		}
		c.all, c.refs = append(c.all, r), append(c.refs, ref)
	}
	t.Cleanup(c.open)
	return c
}

func (c *crew) open() {
	select {
	case <-c.gate:
	default:
		close(c.gate)
	}
}

// stop opens the gate and waits until all was handled.
func (c *crew) stop(t tb) {
	t.Helper()
	c.open()
	for _, ref := range c.refs {
		stop(t, ref)
	}
}

func stop(t tb, ref actor.Ref[message]) {
	t.Helper()
	if err := ref.Stop(); err != nil {
		t.Fatal(err)
	}
	<-ref.Stopped()
}

func (c *crew) got() []int {
	got := make([]int, len(c.all))
	for i, r := range c.all {
		got[i] = int(r.got.Load())
	}
	return got
}

func same(n, of int) []int { return slices.Repeat([]int{of}, n) }

func tell(t tb, r *router.Router[message], n int) {
	t.Helper()
	if err := r.Tell(message{n: n}); err != nil {
		t.Fatal(err)
	}
}

func byNumber(m message) string { return fmt.Sprint(m.n) }

// policies are all that send a message to one routee.
func policies() map[string]func(...actor.Ref[message]) *router.Router[message] {
	return map[string]func(...actor.Ref[message]) *router.Router[message]{
		"round robin":  router.RoundRobin[message],
		"least loaded": router.LeastLoaded[message],
		"by key": func(refs ...actor.Ref[message]) *router.Router[message] {
			return router.ConsistentHash(byNumber, refs...)
		},
	}
}

func TestARouterWithoutRouteesSaysSo(t *testing.T) {
	all := policies()
	all["broadcast"] = router.Broadcast[message]
	for name, make := range all {
		r := make()
		for call, err := range map[string]error{"tell": r.Tell(message{}), "wait": r.TellWait(t.Context(), message{})} {
			if !errors.Is(err, router.ErrNoRoutees) || !errors.Is(err, actor.ErrStopped) {
				t.Errorf("%s, %s: %v", name, call, err)
			}
		}
	}
	for name, make := range policies() {
		if _, err := ask(make()); !errors.Is(err, router.ErrNoRoutees) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ask(r *router.Router[message]) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return router.Ask(ctx, r, func(reply actor.Reply[string]) message { return message{reply: reply} })
}

// TestARouterRefusesOnlyWhenAllAreFull fills any mailboxes: where anyone will do,
// as many messages are accepted as there is room, to the message (I5).
func TestARouterRefusesOnlyWhenAllAreFull(t *testing.T) {
	for _, name := range []string{"round robin", "least loaded"} {
		t.Run(name, func(t *testing.T) {
			s := newSystem(t)
			rapid.Check(t, func(t *rapid.T) {
				sizes := rapid.SliceOfN(rapid.IntRange(1, 9), 1, 12).Draw(t, "sizes")
				c := newCrew(t, s, sizes...)
				r, room := policies()[name](c.refs...), 0
				for _, size := range sizes {
					room += size
				}
				for n := range room {
					if err := r.Tell(message{n: n}); err != nil {
						t.Fatalf("message %d of %d: %v", n, room, err)
					}
				}
				if err := r.Tell(message{}); !errors.Is(err, actor.ErrMailboxFull) {
					t.Fatalf("one more than %d: %v", room, err)
				}
				c.stop(t)
				if got := c.got(); !slices.Equal(got, sizes) {
					t.Errorf("got %v, want %v", got, sizes)
				}
			})
		})
	}
}

// A key's messages would lose their order if another routee took one.
func TestAFullRouteeOfAKeyPassesNothingOn(t *testing.T) {
	c := newCrew(t, newSystem(t), 1, 1, 1)
	r := router.ConsistentHash(func(message) string { return "hq/t1" }, c.refs...)
	tell(t, r, 1)
	if err := r.Tell(message{n: 2}); !errors.Is(err, actor.ErrMailboxFull) {
		t.Errorf("got %v", err)
	}
	c.stop(t)
	if got := c.got(); slices.Max(got) != 1 || got[0]+got[1]+got[2] != 1 {
		t.Errorf("got %v", got)
	}
}

func TestARouteeThatStoppedIsLeftOut(t *testing.T) {
	for name, make := range policies() {
		t.Run(name, func(t *testing.T) {
			c := newCrew(t, newSystem(t), 100, 100, 100)
			c.open()
			r := make(c.refs...)
			stop(t, c.refs[1])
			for n := range 60 {
				tell(t, r, n)
			}
			if got := r.Routees(); slices.Contains(got, c.refs[1]) || len(got) != 2 {
				t.Errorf("the routees are %v", got)
			}
			stop(t, c.refs[0])
			stop(t, c.refs[2])
			if err := r.Tell(message{}); !errors.Is(err, router.ErrNoRoutees) {
				t.Errorf("after the last: %v", err)
			}
			if got := c.got(); got[0]+got[2] != 60 {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestTellWaitParksUntilThereIsRoom(t *testing.T) {
	for name, make := range policies() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrew(t, newSystem(t), 1)
				r := make(c.refs...)
				tell(t, r, 1)
				waited := false
				go func() {
					if err := r.TellWait(t.Context(), message{n: 2}); err != nil {
						t.Error(err)
					}
					waited = true
				}()
				synctest.Wait()
				if waited {
					t.Error("a full routee accepted a message")
				}
				c.open()
				synctest.Wait()
				c.stop(t)
				if !waited || c.all[0].last.Load() != 2 {
					t.Errorf("waited %t, got %v", waited, c.got())
				}
			})
		})
	}
}

func TestTellWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrew(t, newSystem(t), 1, 2)
		r := router.RoundRobin(c.refs...)
		tell(t, r, 1)
		tell(t, r, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		if err := r.TellWait(ctx, message{n: 3}); err != nil || time.Since(start) != time.Hour {
			t.Errorf("after %v: %v; at the end of the context the other one has room", time.Since(start), err)
		}
		if err := r.TellWait(ctx, message{n: 4}); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, actor.ErrMailboxFull) {
			t.Errorf("nobody has room: %v", err)
		}
		c.stop(t)
		if got := c.got(); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("got %v", got)
		}
	})
}

// Of those that wait at a routee when it fails, the first may be accepted, into
// the room of the message that it failed at, and be lost with it.
func TestTellWaitGoesOnWhenItsRouteeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const senders = 10 // half of them wait at each routee
		c := newCrew(t, newSystem(t), 1, 1)
		c.all[0].panics = true
		r := router.RoundRobin(c.refs...)
		tell(t, r, 1)
		tell(t, r, 2)
		var all sync.WaitGroup
		for n := range senders {
			all.Go(func() {
				if err := r.TellWait(t.Context(), message{n: n}); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		c.open()
		all.Wait()
		c.stop(t)
		if got := c.got(); got[0] != 0 || got[1] < 1+senders-1 {
			t.Errorf("got %v", got)
		}
	})
}

// lossy is a network on which requests arrive and nothing comes back.
type lossy struct{}

func (lossy) Locate(context.Context, string, bool) (string, error) { return "far:1", nil }

func (lossy) Exchange(context.Context, string, []byte) ([]byte, error) {
	return nil, errors.New("nothing came back")
}

// A routee on another node may have the message though nobody says so.
func TestWhatMayHaveArrivedIsNotSentToAnother(t *testing.T) {
	s := newSystem(t, actor.WithTransport(lossy{}))
	codec := &actor.Codec[message]{
		Name:   "message/1",
		Append: func(dst []byte, _ message) ([]byte, error) { return dst, nil },
		Parse:  func([]byte) (message, error) { return message{}, nil },
	}
	far, err := actor.RefAt(s.Engine(), actor.PID{Address: "far:1", ID: "routee/far"}, codec)
	if err != nil {
		t.Fatal(err)
	}
	c := newCrew(t, s, 9)
	r := router.RoundRobin(far, c.refs[0])
	if err := r.TellWait(t.Context(), message{}); !errors.Is(err, actor.ErrUnconfirmed) {
		t.Errorf("got %v", err)
	}
	c.stop(t)
	if got := c.got(); got[0] != 0 {
		t.Errorf("another one got it too")
	}
}

func TestAQuestionGoesOnFromAFullRoutee(t *testing.T) {
	s := newSystem(t)
	shut := newCrew(t, s, 1)
	if err := shut.refs[0].Tell(message{}); err != nil {
		t.Fatal(err)
	}
	free, err := actor.Spawn(s.Engine(), props(&routee{gate: open()}, 9), "free") // an answer comes before its room is free
	if err != nil {
		t.Fatal(err)
	}
	for _, make := range []func(...actor.Ref[message]) *router.Router[message]{router.RoundRobin[message], router.LeastLoaded[message]} {
		r := make(shut.refs[0], free)
		for range 4 {
			if name, err := ask(r); name != "free" {
				t.Errorf("got %q, %v", name, err)
			}
		}
	}
	if _, err := ask(router.RoundRobin(shut.refs...)); !errors.Is(err, actor.ErrMailboxFull) {
		t.Errorf("all are full: %v", err)
	}
	byKey := router.ConsistentHash(func(message) string { return "" }, shut.refs[0])
	if _, err := ask(byKey); !errors.Is(err, actor.ErrMailboxFull) {
		t.Errorf("the key's routee is full: %v", err)
	}
}

func TestAQuestionWithAKeyGoesWhereItsMessagesGo(t *testing.T) {
	c := newCrew(t, newSystem(t), 100, 100, 100, 100, 100)
	c.open()
	r := router.ConsistentHash(byNumber, c.refs...)
	for n := range 50 {
		before := c.got()
		name, err := router.Ask(t.Context(), r, func(reply actor.Reply[string]) message { return message{n, reply} })
		if err != nil {
			t.Fatal(err)
		}
		asked := slices.IndexFunc(c.refs, func(ref actor.Ref[message]) bool { return ref.PID().ID == name })
		if _, err := actor.Ask(t.Context(), c.refs[asked], func(reply actor.Reply[string]) message { return message{reply: reply} }); err != nil {
			t.Fatal(err)
		}
		if after := c.got(); after[asked] != before[asked]+2 {
			t.Fatalf("%s answered, got %v then %v", name, before, after)
		}
	}
}

// A question may have been handled when its routee ends, so it is not asked
// again, and the next one goes elsewhere.
func TestAQuestionToARouteeThatStopsFails(t *testing.T) {
	c := newCrew(t, newSystem(t), 9, 9)
	c.open()
	r := router.RoundRobin(c.refs...)
	stop(t, c.refs[0])
	if _, err := ask(r); !errors.Is(err, actor.ErrStopped) || errors.Is(err, router.ErrNoRoutees) {
		t.Errorf("got %v", err)
	}
	for range 3 {
		if name, err := ask(r); name != "routee/1" {
			t.Errorf("got %q, %v", name, err)
		}
	}
}

func TestAddAndRemove(t *testing.T) {
	c := newCrew(t, newSystem(t), 9, 9, 9)
	r := router.RoundRobin(c.refs[0], c.refs[0])
	r.Add(c.refs[1], c.refs[0])
	r.Add()
	if got := r.Routees(); !slices.Equal(got, c.refs[:2]) {
		t.Errorf("got %v", got)
	}
	r.Remove(c.refs[0], c.refs[2])
	if got := r.Routees(); !slices.Equal(got, c.refs[1:2]) {
		t.Errorf("got %v", got)
	}
	tell(t, r, 1)
	c.stop(t)
	if got := c.got(); !slices.Equal(got, []int{0, 1, 0}) {
		t.Errorf("got %v", got)
	}
}
