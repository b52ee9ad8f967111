package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func claim(ctx context.Context, node string, kv cluster.KV, l cluster.Log) (*cluster.Ownership, error) {
	return cluster.Claim(ctx, cluster.Config{Node: node, Incarnation: 1}, kv, l, quiet(), nil)
}

func tick(node string) []journal.Record {
	return []journal.Record{{Kind: journal.KindTick, Origin: node, Site: "hq", Body: journal.AppendTick(nil)}}
}

// store is a shard's log and documents, real or double.
type store struct {
	log journaltest.Journal
	kv  cluster.KV
}

func realStore(t *testing.T) store {
	t.Helper()
	s, err := journal.StartServer(journal.ServerConfig{Dir: t.TempDir(), Name: "n1", MaxStore: 1 << 30}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	l, err := journal.OpenLog(t.Context(), s, 0, journal.LogConfig{MaxBytes: s.LogBytes(1)}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := journal.OpenKV(t.Context(), s, "owners")
	if err != nil {
		t.Fatal(err)
	}
	return store{l, kv}
}

func eachStore(t *testing.T, run func(t *testing.T, s store)) {
	t.Run("real", func(t *testing.T) { run(t, realStore(t)) })
	t.Run("double", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := journaltest.NewMem(journaltest.Config{Sync: time.Millisecond})
			run(t, store{m.Log(0), m.KV("owners")})
		})
	})
}

func TestAnOwnerClaimsActivatesAndPublishes(t *testing.T) { eachStore(t, ownerWorks) }

func ownerWorks(t *testing.T, s store) {
	ctx := t.Context()
	o, err := claim(ctx, "n1", s.kv, s.log)
	if err != nil {
		t.Fatal(err)
	}
	if o.Epoch() != 1 || o.Token() != 1 || o.Err() != nil {
		t.Fatalf("epoch %d, token %d, %v", o.Epoch(), o.Token(), o.Err())
	}
	if err := o.Activate(ctx); err != nil {
		t.Fatal(err)
	}
	e, err := s.kv.Get(ctx, cluster.Key(0))
	if err != nil {
		t.Fatal(err)
	}
	d, err := cluster.ParseDocument(e.Value)
	if err != nil || d.State != cluster.Active || d.Owner != "n1" || d.Barrier != 1 {
		t.Fatalf("document %+v, %v", d, err)
	}
	if seq, err := o.Publish(ctx, tick("n1")); err != nil || seq != 2 {
		t.Fatalf("publish = %d, %v", seq, err)
	}
}

// I3: of two that claim at once exactly one owns the shard.
func TestOfTwoClaimantsExactlyOneWins(t *testing.T) { eachStore(t, oneClaimantWins) }

func oneClaimantWins(t *testing.T, s store) {
	owners, errs := make([]*cluster.Ownership, 2), make([]error, 2)
	var wg sync.WaitGroup
	for i := range owners {
		wg.Go(func() { owners[i], errs[i] = claim(t.Context(), fmt.Sprintf("n%d", i), s.kv, s.log) })
	}
	wg.Wait()
	accepted := 0
	for i, o := range owners {
		if errs[i] != nil {
			if !errors.Is(errs[i], cluster.ErrTaken) && !errors.Is(errs[i], cluster.ErrLost) {
				t.Fatal(errs[i])
			}
			continue
		}
		_, err := o.Publish(t.Context(), tick(fmt.Sprintf("n%d", i)))
		if err == nil {
			accepted++
		} else if !errors.Is(err, cluster.ErrLost) {
			t.Fatal(err)
		}
	}
	if accepted != 1 {
		t.Fatalf("%d of two claimants may publish: %v", accepted, errs)
	}
}

// I3: a zombie's records are refused after a takeover, also when a purge has
// removed the barriers that it knows.
func TestAZombieStopsAfterATakeover(t *testing.T) { eachStore(t, zombieStops) }

func zombieStops(t *testing.T, s store) {
	ctx := t.Context()
	old, err := claim(ctx, "n1", s.kv, s.log)
	if err != nil {
		t.Fatal(err)
	}
	quietOne, err := claim(ctx, "n2", s.kv, s.log)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := claim(ctx, "n3", s.kv, s.log)
	if err != nil {
		t.Fatal(err)
	}
	wantLost(t, old, func() error { _, err := old.Publish(ctx, tick("n1")); return err })

	token, err := owner.Refence(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.log.Purge(ctx, token); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Publish(ctx, tick("n3")); err != nil {
		t.Fatalf("the owner after the purge: %v", err)
	}
	wantLost(t, quietOne, func() error { _, err := quietOne.Publish(ctx, tick("n2")); return err })
	wantLost(t, quietOne, func() error { return quietOne.Activate(ctx) })
	if first, last, err := s.log.Bounds(ctx); err != nil || first != token || last != token+1 {
		t.Fatalf("the log holds %d to %d, %v, want the barrier at %d and one record", first, last, err, token)
	}
}

// I3: an owner that hands over goes on until the next one's barrier, and not
// beyond it.
func TestAnOfferedShardIsItsOwnersUntilItIsTaken(t *testing.T) { eachStore(t, offeredIsOwned) }

func offeredIsOwned(t *testing.T, s store) {
	ctx := t.Context()
	old, err := claim(ctx, "n1", s.kv, s.log)
	if err == nil {
		err = old.Activate(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Offer(ctx, "", 0); err == nil {
		t.Error("offered to nobody")
	}
	upTo, err := old.Publish(ctx, tick("n1"))
	if err == nil {
		err = old.Offer(ctx, "n2", upTo)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Publish(ctx, tick("n1")); err != nil {
		t.Fatalf("after the offer: %v", err)
	}
	if _, err := old.Refence(ctx); err != nil {
		t.Fatalf("after the offer: %v", err)
	}
	next, err := claim(ctx, "n2", s.kv, s.log)
	if err != nil || next.Epoch() != old.Epoch()+1 {
		t.Fatalf("the offer was taken with epoch %d after %d: %v", next.Epoch(), old.Epoch(), err)
	}
	old.Observe(journal.Barrier{Incarnation: 1, Epoch: next.Epoch(), Owner: "n2"})
	wantLost(t, old, func() error { _, err := old.Publish(ctx, tick("n1")); return err })
	if err := old.Err(); !errors.Is(err, cluster.ErrHandedOver) {
		t.Errorf("it ended with %v", err)
	}
	if err := next.Activate(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Publish(ctx, tick("n2")); err != nil {
		t.Fatal(err)
	}
}

// An offer that the other node never took is replaced, in an epoch above it.
func TestAnOfferThatNobodyTakesIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		m := journaltest.NewMem(journaltest.Config{})
		old, err := claim(ctx, "n1", m.KV("owners"), m.Log(0))
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"n2", "n3", "n1"} {
			if err := old.Offer(ctx, to, 1); err != nil {
				t.Fatal(err)
			}
		}
		again, err := claim(ctx, "n1", m.KV("owners"), m.Log(0))
		if err != nil || again.Epoch() != old.Epoch()+3 {
			t.Fatalf("it claims with epoch %d after %d, %v", again.Epoch(), old.Epoch(), err)
		}
		wantLost(t, old, func() error { _, err := old.Publish(ctx, tick("n1")); return err })
	})
}

func wantLost(t *testing.T, o *cluster.Ownership, act func() error) {
	t.Helper()
	if err := act(); !errors.Is(err, cluster.ErrLost) {
		t.Fatalf("a zombie acted: %v", err)
	}
	select {
	case <-o.Lost():
	default:
		t.Fatal("Lost is not closed")
	}
	if o.Err() == nil {
		t.Fatal("no reason")
	}
}

// An idle zombie learns it from the log that it reads.
func TestABarrierInTheLogEndsAnOwnership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := journaltest.NewMem(journaltest.Config{})
		o, err := claim(t.Context(), "n1", m.KV("owners"), m.Log(0))
		if err != nil {
			t.Fatal(err)
		}
		o.Observe(journal.Barrier{Incarnation: 1, Epoch: o.Epoch(), Owner: "n1"})
		if o.Err() != nil {
			t.Fatal("its own barrier ended the ownership")
		}
		o.Observe(journal.Barrier{Incarnation: 2, Epoch: 1, Owner: "n2"})
		wantLost(t, o, func() error { _, err := o.Publish(t.Context(), tick("n1")); return err })
	})
}

// A log that has held messages and holds no barrier has no fence: nobody may
// own it before a person has looked.
func TestALogWithoutItsBarrierIsNotClaimed(t *testing.T) {
	m := journaltest.NewMem(journaltest.Config{})
	broken := brokenLog{m.Log(0)}
	if _, err := claim(t.Context(), "n1", m.KV("owners"), broken); !errors.Is(err, journal.ErrBarrierLost) {
		t.Fatalf("claim = %v", err)
	}
	if _, err := m.KV("owners").Get(t.Context(), cluster.Key(0)); !errors.Is(err, journal.ErrNotFound) {
		t.Fatalf("a refused claim wrote the document: %v", err)
	}
}

type brokenLog struct{ cluster.Log }

func (brokenLog) LastBarrier(context.Context) (journal.Barrier, uint64, error) {
	return journal.Barrier{}, 0, journal.ErrBarrierLost
}

// I3 under faults: nodes claim, publish, refence and purge while answers get
// lost and messages arrive late. In the log no record stands behind a barrier
// of another owner, epochs only rise, and what was acked is there.
func TestNoRecordStandsBehindAnothersBarrier(t *testing.T) {
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) {
			m := journaltest.NewMem(journaltest.Config{
				Sync: time.Millisecond, AckTimeout: 20 * time.Millisecond, Seed: seed,
				Fault: journaltest.Seeded(seed, journaltest.Rates{LostAck: 0.1, LostMessage: 0.1, Late: 0.1}),
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			acked := make([]map[uint64]bool, 4)
			var wg sync.WaitGroup
			for i := range acked {
				acked[i] = map[uint64]bool{}
				wg.Go(func() { node(ctx, t, m, fmt.Sprintf("n%d", i), rand.New(rand.NewPCG(seed, uint64(i))), acked[i]) })
			}
			wg.Wait()
			time.Sleep(time.Minute) // what is late arrives
			checkLog(t, seed, m, acked)
		})
	}
}

// node claims the shard whenever it has lost it, and works while it owns it.
func node(ctx context.Context, t *testing.T, m *journaltest.Mem, name string, rnd *rand.Rand, acked map[uint64]bool) {
	for ctx.Err() == nil {
		if wait(ctx, time.Duration(rnd.IntN(400))*time.Millisecond) != nil {
			return
		}
		o, err := claim(ctx, name, m.KV("owners"), m.Log(0))
		if err != nil {
			continue
		}
		for o.Err() == nil && ctx.Err() == nil {
			if rnd.IntN(5) == 0 {
				token, err := o.Refence(ctx)
				if err == nil && rnd.IntN(2) == 0 {
					m.Log(0).Purge(ctx, token) //nolint:errcheck // one that fails purges nothing
				}
				continue
			}
			if seq, err := o.Publish(ctx, tick(name)); err == nil {
				acked[seq] = true
			} else if !errors.Is(err, cluster.ErrLost) && ctx.Err() == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func checkLog(t *testing.T, seed uint64, m *journaltest.Mem, acked []map[uint64]bool) {
	t.Helper()
	first, last, err := m.Log(0).Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Log(0).Read(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	var at journal.Barrier
	origins := map[uint64]string{}
	for range last - first + 1 {
		msg, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if b, ok, err := msg.Barrier(); err != nil {
			t.Fatal(err)
		} else if ok {
			if b.Compare(at) < 0 || b.Compare(at) == 0 && b.Owner != at.Owner {
				t.Fatalf("seed %d: barrier %+v follows %+v", seed, b, at)
			}
			at = b
			continue
		}
		origins[msg.Seq] = msg.Records[0].Origin
		if at.Owner != "" && msg.Records[0].Origin != at.Owner {
			t.Fatalf("seed %d: message %d of %s stands behind the barrier of %s", seed, msg.Seq, msg.Records[0].Origin, at.Owner)
		}
	}
	total := 0
	for i, seqs := range acked {
		total += len(seqs)
		for seq := range seqs {
			if seq >= first && origins[seq] != fmt.Sprintf("n%d", i) {
				t.Fatalf("seed %d: %d was acked to n%d, the log holds %q", seed, seq, i, origins[seq])
			}
		}
	}
	if total == 0 || at.Epoch < 3 {
		t.Fatalf("seed %d: %d records in %d epochs prove nothing", seed, total, at.Epoch)
	}
}

func TestADocumentOfAnotherFormIsRefused(t *testing.T) {
	for name, in := range map[string]string{
		"newer version": `{"version":2,"incarnation":1,"epoch":1,"owner":"n1","state":"active","barrier":1}`,
		"unknown key":   `{"version":1,"epoch":1,"owner":"n1","state":"active","lease":3}`,
		"no owner":      `{"version":1,"epoch":1,"state":"active"}`,
		"unknown state": `{"version":1,"epoch":1,"owner":"n1","state":"resting"}`,
		"two documents": `{"version":1,"epoch":1,"owner":"n1","state":"active"}{}`,
		"cut":           `{"version":1,"epo`,
	} {
		if _, err := cluster.ParseDocument([]byte(in)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestANodeWithoutANameClaimsNothing(t *testing.T) {
	m := journaltest.NewMem(journaltest.Config{})
	if _, err := claim(t.Context(), "", m.KV("owners"), m.Log(0)); err == nil {
		t.Fatal("claimed without a name")
	}
}
