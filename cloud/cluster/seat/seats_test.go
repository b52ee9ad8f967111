package seat

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/journal"
)

func TestANodeAloneTakesEveryShardAndTakesThemAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		n := w.start("a", 0, nil)
		after(time.Second)
		w.settled(n)
		if err := n.Ready(); err != nil {
			t.Fatal(err)
		}
		n.stop()
		n = w.start("a", 0, nil)
		after(time.Second)
		w.settled(n)
		if seat, _ := n.Of(0); seat.Claim.Epoch() != 2 {
			t.Fatalf("epoch %d after the second start", seat.Claim.Epoch())
		}
		n.stop()
		// Another that takes its place does not wait for it.
		w.set("a", placement.Dead)
		n = w.start("b", 0, nil)
		after(time.Second)
		w.settled(n)
		n.stop()
	})
}

// A cluster that starts must not give all to the first, to move most of it
// away again.
func TestNodesThatStartTogetherShareTheShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 12)
		a, b, c := w.start("a", time.Second, nil), w.start("b", time.Second, nil), w.start("c", time.Second, nil)
		after(3 * time.Second)
		for _, n := range w.settled(a, b, c) {
			if n < 2 || n > 6 {
				t.Fatalf("shares of 12: %v", w.settled(a, b, c))
			}
		}
		for _, n := range []*node{a, b, c} {
			n.stop()
		}
	})
}

func TestTheShardsOfADeadNodeAreTakenAtOnceAndTheOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		a, b, c := w.start("a", time.Second, nil), w.start("b", time.Second, nil), w.start("c", time.Second, nil)
		after(3 * time.Second)
		w.settled(a, b, c)
		kept := map[*node][]int{a: a.active(), b: b.active()}
		c.stop()
		w.set("c", placement.Dead)
		after(time.Second)
		w.settled(a, b)
		for n, shards := range kept {
			for _, shard := range shards {
				if seat, ok := n.Of(shard); !ok || seat.Claim.Epoch() != 1 {
					t.Errorf("shard %d of %s was moved although its owner lives", shard, n.name)
				}
			}
		}
		a.stop()
		b.stop()
	})
}

// I1, I3: what gates append meanwhile is applied by one of the two.
func TestAJoiningNodeIsHandedItsShardsTwoAtATimeWhileRecordsCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 8)
		a := w.start("a", 0, nil)
		after(placement.StableFor)
		b := w.start("b", time.Second, nil)
		after(placement.StableFor - 2*time.Second)
		if got := b.active(); len(got) != 0 {
			t.Fatalf("shards %v were moved before membership was quiet", got)
		}
		last := make([]uint64, w.shards)
		for range 60 {
			for shard := range w.shards {
				last[shard] = w.publish(shard)
			}
			after(100 * time.Millisecond)
			leaving := 0
			for shard := range w.shards {
				if h := a.parts.Owners.Of(shard); h.State == cluster.Offered {
					leaving++
				}
			}
			if leaving > placement.MaxMoves {
				t.Fatalf("%d shards are moving at once", leaving)
			}
		}
		counts := w.settled(a, b)
		if counts[1] < 2 || counts[1] > 5 {
			t.Fatalf("shares of 8: %v", counts)
		}
		for shard := range w.shards {
			seat, ok := a.Of(shard)
			if !ok {
				seat, _ = b.Of(shard)
			}
			if p, err := seat.Work.Progress(t.Context()); err != nil || p.Applied < last[shard] {
				t.Errorf("shard %d is applied to %d of %d: %v", shard, p.Applied, last[shard], err)
			}
		}
		if err := errors.Join(a.Ready(), b.Ready()); err != nil {
			t.Error(err)
		}
		a.stop()
		b.stop()
	})
}

func TestADrainingNodeGivesEverythingAwayAlsoAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 6)
		a, b := w.start("a", time.Second, nil), w.start("b", time.Second, nil)
		after(3 * time.Second)
		if counts := w.settled(a, b); counts[1] == 0 {
			t.Fatalf("shares %v before the drain", counts)
		}
		b.stop()
		b = w.start("b", time.Second, nil)
		w.set("b", placement.Draining)
		after(10 * time.Second)
		if counts := w.settled(a, b); counts[1] != 0 {
			t.Fatalf("shares %v after the drain", counts)
		}
		a.stop()
		b.stop()
	})
}

func TestAShardWhoseOfferNobodyTakesStaysAndIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		a := w.start("a", 0, nil)
		after(time.Second)
		w.set("ghost", placement.Live) // it beats, and does nothing
		w.set("a", placement.Draining)
		after(time.Second)
		if a.parts.Owners.Of(0).State != cluster.Offered {
			t.Fatal("nothing was offered")
		}
		for range 5 {
			after(takeTime)
			for shard := range w.shards {
				seq := w.publish(shard)
				after(time.Second)
				if seat, ok := a.Of(shard); !ok {
					t.Fatalf("shard %d is not served", shard)
				} else if p, err := seat.Work.Progress(t.Context()); err != nil || p.Applied < seq {
					t.Fatalf("shard %d is applied to %d of %d: %v", shard, p.Applied, seq, err)
				}
			}
		}
		w.set("a", placement.Live)
		w.set("ghost", placement.Dead)
		after(2 * takeTime)
		w.settled(a)
		a.stop()
	})
}

// I6: the others go on, and readiness names the one.
func TestAShardThatFailsRestsAndIsTakenUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		broken := errors.New("no memory")
		var tries atomic.Int32
		n := w.start("a", 0, func(shard int) error {
			if shard != 1 || tries.Add(1) > 6 {
				return nil
			}
			return broken
		})
		after(3 * time.Second)
		if err := n.Ready(); !errors.Is(err, broken) || !strings.Contains(err.Error(), "shard 1") {
			t.Fatalf("ready: %v", err)
		}
		if got := n.active(); len(got) != 2 {
			t.Fatalf("shards %v are served", got)
		}
		if n := tries.Load(); n > 5 {
			t.Fatalf("%d tries in three seconds: it does not rest", n)
		}
		after(time.Minute)
		w.settled(n)
		if err := n.Ready(); err != nil {
			t.Fatal(err)
		}
		n.stop()
	})
}

// A node that was cut off in the middle of a claim must not come back with it
// when another has long had the shard.
func TestAClaimThatGetsNoAnswerIsGivenUpAndMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		var tries atomic.Int32
		w.hang = func(ctx context.Context, shard int) error {
			if shard != 0 || tries.Add(1) > 1 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		n := w.start("a", 0, nil)
		after(claimTime - time.Second)
		if got := n.active(); len(got) != 1 || tries.Load() != 1 {
			t.Fatalf("shards %v are served, %d tries", got, tries.Load())
		}
		after(3 * time.Second)
		w.settled(n)
		n.stop()
	})
}

// Of two that claim a shard at once one is second. It serves on what it has, and
// is ready: the other's shard is no failure of its own.
func TestANodeWhoseClaimCameSecondIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.hang = func(ctx context.Context, shard int) error {
			w.set("b", placement.Live)
			first, err := cluster.Claim(ctx, cluster.Config{Node: "b", Shard: shard, Incarnation: 1}, w.mem.KV("owners"), w.mem.Log(shard), quiet(), nil)
			if err == nil {
				err = errors.Join(first.Activate(ctx), cluster.ErrTaken)
			}
			return err
		}
		a := w.start("a", 0, nil)
		after(5 * time.Second)
		if got := a.active(); got != nil {
			t.Fatalf("a has %v", got)
		}
		if err := a.Ready(); err != nil {
			t.Error(err)
		}
		a.stop()
	})
}

// late shows each change of the owners some seconds late.
type late struct {
	cluster.Watcher
	by time.Duration
}

func (l late) Watch(ctx context.Context, each func(journal.Entry), ready func()) error {
	shown := false
	return l.Watcher.Watch(ctx, func(e journal.Entry) {
		if shown {
			time.Sleep(l.by)
		}
		each(e)
	}, func() { shown = true; ready() })
}

// I3 would hold, but two nodes would take a shard from each other for ever.
func TestAShardThatWasLostIsNotTakenBackBeforeItsNewOwnerIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.kv = late{w.kv, 5 * time.Second}
		a := w.start("a", 0, nil)
		after(20 * time.Second)
		w.settled(a)
		other, err := cluster.Claim(t.Context(), cluster.Config{Node: "b", Shard: 0, Incarnation: 1}, w.mem.KV("owners"), w.mem.Log(0), quiet(), nil)
		if err != nil {
			t.Fatal(err)
		}
		w.set("b", placement.Live)
		after(30 * time.Second)
		if err := other.Err(); err != nil {
			t.Fatalf("the new owner lost it: %v", err)
		}
		if got := a.active(); len(got) != 0 {
			t.Fatalf("the old owner serves %v", got)
		}
		a.stop()
	})
}

// A seat may end between the decision to hand it over and the first step of that:
// its claim and its work are then another's, or nobody's.
func TestAHandOverIsOfTheSeatThatItWasDecidedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		a := w.start("a", 0, nil)
		time.Sleep(every + every/2)
		synctest.Wait()
		w.mu.Lock() // nobody is told: what follows decides
		w.nodes = []placement.Node{{Name: "a", Capacity: 4, State: placement.Draining}, {Name: "b", Capacity: 4}}
		w.mu.Unlock()
		var working sync.WaitGroup
		if err := a.act(t.Context(), &working); err != nil {
			t.Fatal(err)
		}
		a.mu.Lock()
		to := a.seats[0].to
		a.seats[0].claim, a.seats[0].work = nil, nil // it has ended
		a.mu.Unlock()
		if to != "b" {
			t.Fatalf("the shard is handed to %q", to)
		}
		working.Wait()
		a.stop()
	})
}
