package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// I3 with three replicas: what a node alone and its double promise the
// protocol, a cluster's log does too. Each case has a log and documents of its
// own, through another node.
func TestTheProtocolHoldsOnThreeReplicas(t *testing.T) {
	nodes := journaltest.StartNodes(t)
	for shard, c := range []struct {
		name string
		run  func(t *testing.T, s store)
	}{
		{"AnOwnerClaimsActivatesAndPublishes", ownerWorks},
		{"OfTwoClaimantsExactlyOneWins", oneClaimantWins},
		{"AZombieStopsAfterATakeover", zombieStops},
		{"AnOfferedShardIsItsOwnersUntilItIsTaken", offeredIsOwned},
		{"LostAnswersAreResolvedByReading", lostAnswers},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, replicated(t, nodes.Servers[shard%3], shard)) })
	}
	t.Run("AnOwnerOutlivesTheLossOfALeader", func(t *testing.T) { leaderStops(t, nodes) })
}

func replicated(t *testing.T, s *journal.Server, shard int) store {
	t.Helper()
	l, err := journal.OpenLog(t.Context(), s, shard, journal.LogConfig{MaxBytes: s.LogBytes(journal.MaxShards)}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := journal.OpenKV(t.Context(), s, fmt.Sprintf("owners%d", shard))
	if err != nil {
		t.Fatal(err)
	}
	return store{l, kv}
}

// mute performs what it is asked, and every second answer is lost.
type mute struct {
	cluster.Log
	cluster.KV
	calls int
}

func (m *mute) lose(seq uint64, err error) (uint64, error) {
	if m.calls++; err == nil && m.calls%2 == 1 {
		return 0, journal.ErrAmbiguous
	}
	return seq, err
}

func (m *mute) Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return m.lose(m.KV.Put(ctx, key, value, revision))
}

func (m *mute) PublishBarrier(ctx context.Context, previous uint64, b journal.Barrier) (uint64, error) {
	return m.lose(m.Log.PublishBarrier(ctx, previous, b))
}

func (m *mute) PublishFenced(ctx context.Context, token uint64, recs []journal.Record) (uint64, error) {
	return m.lose(m.Log.PublishFenced(ctx, token, recs))
}

func lostAnswers(t *testing.T, s store) {
	ctx := t.Context()
	m := &mute{Log: s.log, KV: s.kv}
	for i := range 4 {
		name := fmt.Sprintf("n%d", i)
		m.calls = i // which of the answers are lost
		o, err := claim(ctx, name, m, m)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Activate(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Publish(ctx, tick(name)); err != nil {
			t.Fatal(err)
		}
		token, err := o.Refence(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if b, seq, err := s.log.LastBarrier(ctx); err != nil || seq != token || b.Owner != name {
			t.Fatalf("the last barrier is %+v at %d, %v, the owner has %d", b, seq, err, token)
		}
	}
	if b, _, err := s.log.LastBarrier(ctx); err != nil || b.Epoch != 4 {
		t.Fatalf("four claims end at epoch %d, %v", b.Epoch, err)
	}
}

// leaderStops: the shard is its owner's before and after, on another node than
// the log's leader, which stops while records are published.
func leaderStops(t *testing.T, nodes *journaltest.Nodes) {
	const shard = 10
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	replicated(t, nodes.Servers[0], shard)
	st, err := nodes.Servers[0].JetStream().Stream(ctx, fmt.Sprintf("INGEST_%d", shard))
	if err != nil {
		t.Fatal(err)
	}
	leader := 0
	for i, c := range nodes.Configs {
		if c.Name == st.CachedInfo().Cluster.Leader {
			leader = i
		}
	}
	s := replicated(t, nodes.Servers[(leader+1)%3], shard)
	o, err := claim(ctx, "owner", s.kv, s.log)
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	for i := range 100 {
		if i == 30 {
			go func() {
				defer close(stopped)
				nodes.Stop(leader)
			}()
		}
		if i == 60 {
			<-stopped
		}
		var err error
		if i%10 == 9 {
			_, err = o.Refence(ctx)
		} else {
			_, err = o.Publish(ctx, tick("owner"))
		}
		if err != nil {
			t.Fatalf("publish %d: %v (lost: %v)", i, err, errors.Is(err, cluster.ErrLost))
		}
	}
	if err := o.Activate(ctx); err != nil {
		t.Fatal(err)
	}
	if b, seq, err := s.log.LastBarrier(ctx); err != nil || seq != o.Token() || b.Epoch != o.Epoch() {
		t.Fatalf("the last barrier is %+v at %d, %v", b, seq, err)
	}
}

// electing is a log whose replicas elect a leader: reads get no answer.
type electing struct {
	cluster.Log
	left int
}

func (e *electing) LastBarrier(ctx context.Context) (journal.Barrier, uint64, error) {
	if e.left--; e.left >= 0 {
		return journal.Barrier{}, 0, journal.ErrUnavailable
	}
	return e.Log.LastBarrier(ctx)
}

func TestAnElectionDelaysAClaimAndDoesNotEndIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := journaltest.NewMem(journaltest.Config{})
		o, err := claim(t.Context(), "n1", m.KV("owners"), &electing{m.Log(0), 5})
		if err != nil || o.Token() != 1 {
			t.Fatalf("claim: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := claim(ctx, "n2", m.KV("owners"), &electing{m.Log(0), 1000}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a claim without an end: %v", err)
		}
	})
}
