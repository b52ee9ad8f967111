package journal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// What the ownership protocol rests on, with three replicas: DESIGN.md, Three
// replicas, names these tests. Each has a shard of its own.
func TestThreeReplicas(t *testing.T) {
	t.Parallel()
	nodes := journaltest.StartNodes(t)
	for shard, c := range []struct {
		name string
		run  func(t *testing.T, nodes *journaltest.Nodes, shard int)
	}{
		{"APurgePastTheBarrierKillsTheFence", purgeKillsFence},
		{"AServersConsumerSkipsWhatWasPurgedAndAReaderDoesNot", consumerSkips},
		{"OfTwoClaimantsOneWinsEachTime", claimantsRace},
		{"OneConditionalPublishIsInFlight", oneInFlight},
		{"ABatchHoldsTogetherUnderItsCondition", batchUnderCondition},
		{"APublishWithoutAnAnswerIsResolvedByReading", answerLost},
		{"CompareAndSetHoldsAcrossNodes", casAcrossNodes},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, nodes, shard) })
	}
}

// rounds of a race: enough to see both orders.
func rounds() int {
	if *long {
		return 1000
	}
	return 50
}

func barrier(owner string, epoch uint64) journal.Barrier {
	return journal.Barrier{Incarnation: 1, Epoch: epoch, Owner: owner}
}

// started opens a shard's log on each node, with a first barrier.
func started(t *testing.T, nodes *journaltest.Nodes, shard int) (logs []journaltest.Journal, token uint64) {
	t.Helper()
	for _, s := range nodes.Servers {
		logs = append(logs, open3(t, s, shard).Log)
	}
	token, err := logs[0].PublishBarrier(t.Context(), 0, barrier("n1", 1))
	if err != nil {
		t.Fatal(err)
	}
	return logs, token
}

// raw is the server's own stream beneath a log.
func raw(t *testing.T, s *journal.Server, shard int) jetstream.Stream {
	t.Helper()
	st, err := s.JetStream().Stream(t.Context(), fmt.Sprintf("INGEST_%d", shard))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func code(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	return 0
}

func purgeKillsFence(t *testing.T, nodes *journaltest.Nodes, shard int) {
	ctx, js := t.Context(), nodes.Servers[1].JetStream()
	logs, token := started(t, nodes, shard)
	last, err := logs[1].Publish(ctx, []journal.Record{journaltest.GatewayRecord("a")})
	if err != nil {
		t.Fatal(err)
	}

	// Below a barrier that was published again the fence holds, on every node.
	again, err := logs[2].PublishBarrier(ctx, token, barrier("n1", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := logs[1].Purge(ctx, again); err != nil {
		t.Fatal(err)
	}
	for i, l := range logs {
		if _, err := l.PublishFenced(ctx, token, []journal.Record{tick()}); !errors.Is(err, journal.ErrFenced) {
			t.Fatalf("n%d: an old token after the purge: %v", i+1, err)
		}
		if last, err = l.PublishFenced(ctx, again, []journal.Record{tick()}); err != nil {
			t.Fatalf("n%d: the owner after the purge: %v", i+1, err)
		}
	}

	// Past it, which only the server allows, the owner is refused, and so is
	// who expects the barrier; who expects none is accepted: the fence is gone.
	if err := raw(t, nodes.Servers[0], shard).Purge(ctx, jetstream.WithPurgeSequence(last)); err != nil {
		t.Fatal(err)
	}
	own, epoch := fmt.Sprintf("in.%d.own", shard), fmt.Sprintf("in.%d.epoch", shard)
	_, err = js.Publish(ctx, own, nil, jetstream.WithExpectLastSequenceForSubject(again, epoch))
	if code(err) != 10071 {
		t.Errorf("the owner: %v, want 10071", err)
	}
	_, err = js.Publish(ctx, epoch, nil, jetstream.WithExpectLastSequencePerSubject(again))
	if code(err) != 10071 {
		t.Errorf("a claimant that knows the barrier: %v, want 10071", err)
	}
	if _, err := logs[0].PublishBarrier(ctx, 0, barrier("n2", 2)); !errors.Is(err, journal.ErrFenced) {
		t.Errorf("a claimant of this package that expects none: %v, want ErrFenced", err)
	}
	if _, _, err := logs[2].LastBarrier(ctx); !errors.Is(err, journal.ErrBarrierLost) {
		t.Errorf("the last barrier: %v, want ErrBarrierLost", err)
	}
	if _, err := js.Publish(ctx, epoch, nil, jetstream.WithExpectLastSequencePerSubject(0)); err != nil {
		t.Errorf("a claimant of the server's that expects none: %v, want it accepted", err)
	}
}

func consumerSkips(t *testing.T, nodes *journaltest.Nodes, shard int) {
	ctx := t.Context()
	logs, token := started(t, nodes, shard)
	for range 20 {
		if _, err := logs[1].Publish(ctx, []journal.Record{journaltest.GatewayRecord("a")}); err != nil {
			t.Fatal(err)
		}
	}
	again, err := logs[0].PublishBarrier(ctx, token, barrier("n1", 1))
	if err != nil {
		t.Fatal(err)
	}
	// It pulls two messages at a time, so that the purge overtakes it.
	slow, err := raw(t, nodes.Servers[2], shard).OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{OptStartSeq: 1, DeliverPolicy: jetstream.DeliverByStartSequencePolicy})
	if err != nil {
		t.Fatal(err)
	}
	early, err := slow.Fetch(2)
	if err != nil {
		t.Fatal(err)
	}
	for range early.Messages() { //nolint:revive // read, to be behind
	}
	if err := logs[0].Purge(ctx, again); err != nil {
		t.Fatal(err)
	}
	late, err := slow.Fetch(1)
	if err != nil {
		t.Fatal(err)
	}
	for m := range late.Messages() {
		if meta, err := m.Metadata(); err != nil || meta.Sequence.Stream != again {
			t.Errorf("after message 2 the server's consumer gives %d, %v: want %d, silently", meta.Sequence.Stream, err, again)
		}
	}
	if err := late.Error(); err != nil {
		t.Errorf("the server's consumer says %v", err)
	}
	for i, l := range logs {
		if _, err := l.Read(ctx, 3); !errors.Is(err, journal.ErrGap) {
			t.Errorf("n%d: a reader of message 3: %v, want ErrGap", i+1, err)
		}
	}
}

func claimantsRace(t *testing.T, nodes *journaltest.Nodes, shard int) {
	logs, token := started(t, nodes, shard)
	for round := range uint64(rounds()) {
		var wg sync.WaitGroup
		tokens, errs := make([]uint64, len(logs)), make([]error, len(logs))
		for i, l := range logs {
			wg.Go(func() {
				tokens[i], errs[i] = l.PublishBarrier(t.Context(), token, barrier(fmt.Sprintf("n%d", i+1), round+2))
			})
		}
		wg.Wait()
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
				token = tokens[i]
			case !errors.Is(err, journal.ErrFenced):
				t.Fatalf("round %d: n%d: %v", round, i+1, err)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d claimants won: %v", round, won, errs)
		}
	}
	if first, last, err := logs[0].Bounds(t.Context()); err != nil || first != 1 || last != uint64(rounds())+1 {
		t.Fatalf("the log holds %d to %d, %v, want one barrier a round", first, last, err)
	}
}

// A stream refuses a condition on a subject that a publish in flight depends
// on, with another code: nothing is decided by it. Log waits until it is.
func oneInFlight(t *testing.T, nodes *journaltest.Nodes, shard int) {
	ctx, js := t.Context(), nodes.Servers[1].JetStream()
	logs, token := started(t, nodes, shard)
	own, epoch := fmt.Sprintf("in.%d.own", shard), fmt.Sprintf("in.%d.epoch", shard)
	var acks []jetstream.PubAckFuture
	for range 200 {
		f, err := js.PublishMsgAsync(&nats.Msg{Subject: own}, jetstream.WithExpectLastSequenceForSubject(token, epoch))
		if err != nil {
			t.Fatal(err)
		}
		acks = append(acks, f)
	}
	codes := map[jetstream.ErrorCode]int{}
	for _, f := range acks {
		select {
		case <-f.Ok():
			codes[0]++
		case err := <-f.Err():
			codes[code(err)]++
		}
	}
	if len(codes) != 2 || codes[0] == 0 || codes[10164] == 0 {
		t.Errorf("200 conditional publishes at once end with %v, want some stored (0) and some 10164", codes)
	}
	// Owner and zombie at once, from three nodes: the owner's are all stored.
	stale := token
	token, err := logs[0].PublishBarrier(ctx, stale, barrier("n1", 2))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, of := range []uint64{token, stale, token} {
		wg.Go(func() {
			for range 20 {
				_, err := logs[i].PublishFenced(ctx, of, []journal.Record{tick()})
				if of == token && err != nil || of == stale && !errors.Is(err, journal.ErrFenced) {
					t.Errorf("n%d with token %d: %v", i+1, of, err)
				}
			}
		})
	}
	wg.Wait()
}

// batchUnderCondition: an atomic batch (NATS ADR-50) with the condition on its
// first message is stored whole under the fence, and not at all for a zombie.
func batchUnderCondition(t *testing.T, nodes *journaltest.Nodes, shard int) {
	logs, stale := started(t, nodes, shard)
	token, err := logs[1].PublishBarrier(t.Context(), stale, barrier("n2", 2))
	if err != nil {
		t.Fatal(err)
	}
	own, epoch := fmt.Sprintf("in.%d.own", shard), fmt.Sprintf("in.%d.epoch", shard)
	batch := func(id string, expected uint64) (err error) {
		for i := 1; i <= 3; i++ {
			m := nats.NewMsg(own)
			m.Header.Set("Nats-Batch-Id", id)
			m.Header.Set("Nats-Batch-Sequence", fmt.Sprint(i))
			if i == 1 {
				m.Header.Set("Nats-Expected-Last-Subject-Sequence", fmt.Sprint(expected))
				m.Header.Set("Nats-Expected-Last-Subject-Sequence-Subject", epoch)
			}
			if i < 3 {
				err = nodes.Servers[2].JetStream().Conn().PublishMsg(m)
			} else {
				m.Header.Set("Nats-Batch-Commit", "1")
				_, err = nodes.Servers[2].JetStream().PublishMsg(t.Context(), m)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := batch("owner", token); err != nil {
		t.Errorf("the owner's batch: %v", err)
	}
	if _, last, err := logs[0].Bounds(t.Context()); err != nil || last != token+3 {
		t.Errorf("the log ends at %d, %v, want %d", last, err, token+3)
	}
	if err := batch("zombie", stale); code(err) != 10071 {
		t.Errorf("the zombie's batch: %v, want 10071", err)
	}
	if _, last, err := logs[0].Bounds(t.Context()); err != nil || last != token+3 {
		t.Errorf("after the zombie the log ends at %d, %v, want %d", last, err, token+3)
	}
}

// answerLost: a barrier is stored and its answer is lost. The next try is
// refused, and a read on any node says by whose barrier: one's own.
func answerLost(t *testing.T, nodes *journaltest.Nodes, shard int) {
	ctx := t.Context()
	logs, token := started(t, nodes, shard)
	b := barrier("n2", 2)
	b.Previous = token
	m := nats.NewMsg(fmt.Sprintf("in.%d.epoch", shard))
	m.Data = journal.AppendMessage(nil, []journal.Record{b.Record()})
	m.Header.Set("Nats-Expected-Last-Subject-Sequence", fmt.Sprint(token))
	if err := nodes.Servers[1].JetStream().Conn().PublishMsg(m); err != nil { // nowhere to answer to
		t.Fatal(err)
	}
	if _, err := logs[1].PublishBarrier(ctx, token, b); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("the same barrier again: %v, want ErrFenced", err)
	}
	for i, l := range logs {
		if got, seq, err := l.LastBarrier(ctx); err != nil || got != b || seq != token+1 {
			t.Errorf("n%d reads %+v at %d, %v", i+1, got, seq, err)
		}
	}
	// A publish whose time is over may be stored or not, and a read says which.
	short, err := journal.OpenLog(ctx, nodes.Servers[2], shard, journal.LogConfig{AckTimeout: 1, MaxBytes: nodes.Servers[2].LogBytes(journal.MaxShards)}, quiet(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := short.PublishBarrier(ctx, token+1, barrier("n3", 3)); !errors.Is(err, journal.ErrAmbiguous) {
		t.Fatalf("a publish without time: %v, want ErrAmbiguous", err)
	}
}

func casAcrossNodes(t *testing.T, nodes *journaltest.Nodes, shard int) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var kvs []journaltest.Documents
	for _, s := range nodes.Servers {
		kvs = append(kvs, open3(t, s, shard).KV)
	}
	var rev uint64
	for round := range rounds() {
		var wg sync.WaitGroup
		revs, errs := make([]uint64, len(kvs)), make([]error, len(kvs))
		for i, k := range kvs {
			wg.Go(func() { revs[i], errs[i] = k.Put(ctx, "shard.0", fmt.Appendf(nil, "%d by n%d", round, i+1), rev) })
		}
		wg.Wait()
		winner := -1
		for i, err := range errs {
			switch {
			case err == nil && winner >= 0:
				t.Fatalf("round %d: two won", round)
			case err == nil:
				winner = i
			case !errors.Is(err, journal.ErrConflict):
				t.Fatalf("round %d: n%d: %v", round, i+1, err)
			}
		}
		if winner < 0 {
			t.Fatalf("round %d: nobody won: %v", round, errs)
		}
		rev = revs[winner]
		for i, k := range kvs { // at once, on every node
			e, err := k.Get(ctx, "shard.0")
			if err != nil || e.Revision != rev || string(e.Value) != fmt.Sprintf("%d by n%d", round, winner+1) {
				t.Fatalf("round %d: n%d reads %s at %d, %v, n%d wrote revision %d", round, i+1, e.Value, e.Revision, err, winner+1, rev)
			}
		}
	}
}
