package router_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/actor/router"
)

func TestRoundRobinIsEvenToOneMessage(t *testing.T) {
	s := newSystem(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(t, "routees")
		each, senders := rapid.IntRange(0, 40).Draw(t, "messages"), rapid.IntRange(1, 4).Draw(t, "senders")
		c := newCrew(t, s, same(n, 1000)...)
		r := router.RoundRobin(c.refs...)
		var all sync.WaitGroup
		for range senders {
			all.Go(func() {
				for i := range each {
					if err := r.Tell(message{n: i}); err != nil {
						t.Errorf("%v", err)
					}
				}
			})
		}
		all.Wait()
		c.stop(t)
		got, sent := c.got(), 0
		for _, g := range got {
			sent += g
		}
		if sent != each*senders || slices.Max(got)-slices.Min(got) > 1 {
			t.Errorf("%d messages: got %v", each*senders, got)
		}
	})
}

// load gives the routees of a crew messages to wait, without a router.
func (c *crew) load(t tb, loads []int) {
	t.Helper()
	for i, n := range loads {
		for range n {
			if err := c.refs[i].Tell(message{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (c *crew) waiting() []int {
	waiting := make([]int, len(c.refs))
	for i, ref := range c.refs {
		waiting[i] = ref.Waiting()
	}
	return waiting
}

// chosen returns which routee has got one message more.
func chosen(t tb, before, after []int) int {
	t.Helper()
	for i := range before {
		if after[i] != before[i] {
			return i
		}
	}
	t.Fatal("nobody got the message")
	return -1
}

func TestLeastLoadedOfFewTakesTheShortestQueue(t *testing.T) {
	s := newSystem(t)
	rapid.Check(t, func(t *rapid.T) {
		loads := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 4).Draw(t, "loads")
		c := newCrew(t, s, same(len(loads), 100)...)
		defer c.stop(t)
		c.load(t, loads)
		r := router.LeastLoaded(c.refs...)
		for range 10 {
			before := c.waiting()
			tell(t, r, 0)
			if i := chosen(t, before, c.waiting()); before[i] != slices.Min(before) {
				t.Fatalf("%v were waiting, it went to routee %d", before, i)
			}
		}
	})
}

// Of two that are looked at, the one with more never gets the message, so the
// one with the most of all never does.
func TestLeastLoadedOfManyNeverTakesTheLongestQueue(t *testing.T) {
	s := newSystem(t)
	rapid.Check(t, func(t *rapid.T) {
		loads := rapid.SliceOfN(rapid.IntRange(0, 5), 5, 12).Draw(t, "loads")
		longest := rapid.IntRange(0, len(loads)-1).Draw(t, "longest")
		loads[longest] = 40
		c := newCrew(t, s, same(len(loads), 100)...)
		defer c.stop(t)
		c.load(t, loads)
		r := router.LeastLoaded(c.refs...)
		for range 20 {
			tell(t, r, 0)
		}
		if w := c.refs[longest].Waiting(); w != 40 {
			t.Errorf("of %v routee %d got %d more", loads, longest, w-40)
		}
	})
}

// TestTwoChoicesKeepQueuesLevel puts ten messages a routee into many queues: the
// longest is within 4 of the average, where with one choice at random it is 8 to
// 19 above it.
func TestTwoChoicesKeepQueuesLevel(t *testing.T) {
	const routees, each = 500, 10
	c := newCrew(t, newSystem(t), same(routees, 1000)...)
	r := router.LeastLoaded(c.refs...)
	for n := range routees * each {
		tell(t, r, n)
	}
	if w := slices.Max(c.waiting()); w > each+4 {
		t.Errorf("%d messages wait at one of %d routees, %d on average", w, routees, each)
	}
}

// TestLeastLoadedSpreadsOverIdleRoutees: equal ones take turns by chance, so
// that one actor does not get all while the others sleep.
func TestLeastLoadedSpreadsOverIdleRoutees(t *testing.T) {
	for _, n := range []int{2, 4, 12} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrew(t, newSystem(t), same(n, 1000)...)
			c.open()
			r := router.LeastLoaded(c.refs...)
			for i := range 100 * n {
				tell(t, r, i)
				synctest.Wait() // who has the message in hand is not idle
			}
			if got := c.got(); slices.Min(got) < 40 { // 6 deviations below 100
				t.Errorf("%d idle routees got %v", n, got)
			}
		})
	}
}

// owners asks where the messages of each key go.
func owners(t tb, r *router.Router[message], keys int) []string {
	t.Helper()
	of := make([]string, keys)
	for n := range keys {
		name, err := router.Ask(context.Background(), r, func(reply actor.Reply[string]) message { return message{n, reply} })
		if err != nil {
			t.Fatal(err)
		}
		of[n] = name
	}
	return of
}

func TestOnlyTheKeysOfWhoLeavesOrComesMove(t *testing.T) {
	s := newSystem(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 12).Draw(t, "routees")
		keys := rapid.IntRange(1, 100).Draw(t, "keys")
		leaver := rapid.IntRange(0, n-1).Draw(t, "leaver")
		stops := rapid.Bool().Draw(t, "it stops")
		c := newCrew(t, s, same(n, 1000)...)
		c.open()
		defer c.stop(t)
		r := router.ConsistentHash(byNumber, c.refs...)
		with := owners(t, r, keys)
		if stops {
			stop(t, c.refs[leaver])
			for n := range keys {
				tell(t, r, n) // finds out, and goes where the key goes now
			}
		} else {
			r.Remove(c.refs[leaver])
		}
		without := owners(t, r, keys)
		for n := range keys {
			if moved := without[n] != with[n]; moved != (with[n] == c.refs[leaver].PID().ID) {
				t.Errorf("key %d went from %s to %s when routee %d left", n, with[n], without[n], leaver)
			}
		}
		if !stops {
			r.Add(c.refs[leaver]) // now the last one
			if again := owners(t, r, keys); !slices.Equal(again, with) {
				t.Errorf("when it came back the keys went to %v, before to %v", again, with)
			}
		}
	})
}

// TestKeysAreSpreadAsByAFairDraw holds the bound that ConsistentHash states, and
// that the keys of a leaver spread over all others in the same way.
func TestKeysAreSpreadAsByAFairDraw(t *testing.T) {
	const keys = 20_000
	for _, n := range []int{2, 3, 8, 20} {
		c := newCrew(t, newSystem(t), same(n, 10)...)
		c.open()
		r := router.ConsistentHash(byNumber, c.refs...)
		before := owners(t, r, keys)
		level(t, fmt.Sprintf("%d routees", n), before, n)

		r.Remove(c.refs[0])
		var moved []string
		for i, name := range owners(t, r, keys) {
			if name != before[i] {
				moved = append(moved, name)
			}
		}
		level(t, fmt.Sprintf("what one of %d leaves", n), moved, n-1)
	}
}

// level wants each of n names in a share within 5 deviations.
func level(t *testing.T, what string, names []string, n int) {
	t.Helper()
	count := map[string]int{}
	for _, name := range names {
		count[name]++
	}
	share := float64(len(names)) / float64(n)
	for name, got := range count {
		if math.Abs(float64(got)-share) > 5*math.Sqrt(share) {
			t.Errorf("%s: %s has %d of %d, its share is %.0f", what, name, got, len(names), share)
		}
	}
	if len(count) != n {
		t.Errorf("%s: only %v have any", what, slices.Sorted(maps.Keys(count)))
	}
}

func TestMessagesOfAKeyStayInOrder(t *testing.T) {
	s := newSystem(t)
	var mu sync.Mutex
	got := map[int][]int{} // of each device, its messages
	p := actor.PropsOf(func() actor.ReceiverOf[message] {
		return receive(func(ctx *actor.ContextOf[message]) {
			m := ctx.Message().n
			mu.Lock()
			got[m%7] = append(got[m%7], m)
			mu.Unlock()
		})
	})
	pool, err := router.NewPool(s.Engine(), p, "device", 4, func(refs ...actor.Ref[message]) *router.Router[message] {
		return router.ConsistentHash(func(m message) string { return fmt.Sprint(m.n % 7) }, refs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2000 {
		if err := pool.Router().TellWait(t.Context(), message{n: n}); err != nil {
			t.Fatal(err)
		}
	}
	if err := pool.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for device, all := range got {
		if !slices.IsSorted(all) || len(all) < 2000/7 {
			t.Errorf("device %d got %v", device, all)
		}
	}
}

type receive func(*actor.ContextOf[message])

func (f receive) Receive(ctx *actor.ContextOf[message]) { f(ctx) }

func TestABroadcastReachesAll(t *testing.T) {
	c := newCrew(t, newSystem(t), same(20, 9)...)
	r := router.Broadcast(c.refs...)
	for n := range 5 {
		tell(t, r, n)
	}
	stop := c.refs[3]
	r.Remove(stop)
	tell(t, r, 6)
	c.stop(t)
	want := same(20, 6)
	want[3] = 5
	if got := c.got(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestABroadcastSaysWhoRefused is about any mixture of routees: those with room
// get the message, those that stopped are left out, those that are full are
// counted, and the first of them is named (I5).
func TestABroadcastSaysWhoRefused(t *testing.T) {
	s := newSystem(t)
	rapid.Check(t, func(t *rapid.T) {
		states := rapid.SliceOfN(rapid.SampledFrom([]string{"free", "full", "stopped"}), 1, 10).Draw(t, "states")
		c := newCrew(t, s, same(len(states), 2)...)
		defer c.stop(t)
		var first actor.PID
		count := map[string]int{}
		for i, state := range states {
			switch count[state]++; state {
			case "full":
				c.load(t, append(make([]int, i), 2))
				if first == (actor.PID{}) {
					first = c.refs[i].PID()
				}
			case "stopped":
				stop(t, c.refs[i])
			}
		}
		r := router.Broadcast(c.refs...)
		err := r.Tell(message{})
		var lost *router.Undelivered
		switch {
		case count["full"] > 0:
			if !errors.As(err, &lost) || !errors.Is(err, actor.ErrMailboxFull) {
				t.Fatalf("got %v", err)
			}
			got := router.Undelivered{Accepted: lost.Accepted, Refused: lost.Refused, Routee: lost.Routee, Err: actor.ErrMailboxFull}
			if want := (router.Undelivered{Accepted: count["free"], Refused: count["full"], Routee: first, Err: actor.ErrMailboxFull}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		case count["free"] == 0:
			if !errors.Is(err, router.ErrNoRoutees) {
				t.Errorf("all have stopped: %v", err)
			}
		case err != nil:
			t.Error(err)
		}
		if got := len(r.Routees()); got != len(states)-count["stopped"] {
			t.Errorf("%d routees of %v", got, states)
		}
		for i, state := range states {
			if got, want := c.refs[i].Waiting(), map[string]int{"free": 1, "full": 2}[state]; got != want {
				t.Errorf("%s routee %d has %d messages, want %d", state, i, got, want)
			}
		}
	})
}

func TestABroadcastThatWaitsEndsWithItsContext(t *testing.T) {
	c := newCrew(t, newSystem(t), 9, 1, 9)
	c.load(t, []int{0, 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var lost *router.Undelivered
	err := router.Broadcast(c.refs...).TellWait(ctx, message{})
	if !errors.As(err, &lost) || !errors.Is(err, context.Canceled) || lost.Accepted != 2 || lost.Refused != 1 {
		t.Errorf("got %v", err)
	}
	if got := c.waiting(); !slices.Equal(got, []int{1, 1, 1}) {
		t.Errorf("got %v", got)
	}
}

func TestAQuestionToAllIsRefused(t *testing.T) {
	c := newCrew(t, newSystem(t), 9)
	if _, err := ask(router.Broadcast(c.refs...)); !errors.Is(err, router.ErrManyAnswers) {
		t.Errorf("got %v", err)
	}
	if c.refs[0].Waiting() != 0 {
		t.Error("it was sent")
	}
}
