package journaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// GatewayRecord returns a valid record of site "hq" with this body, for tests
// that only look at order.
func GatewayRecord(body string) journal.Record {
	return journal.Record{Kind: journal.KindFrame, Origin: "hq/gw", Site: "hq", Body: []byte(body)}
}

func ownerRecord() journal.Record {
	return journal.Record{Kind: journal.KindTick, Origin: "n1", Site: "hq", Body: journal.AppendTick(nil)}
}

func barrierOf(epoch uint64, owner string) journal.Barrier {
	return journal.Barrier{Incarnation: 1, Epoch: epoch, Owner: owner}
}

// begin makes the first barrier.
func begin(t *testing.T, h Harness) (token uint64) {
	t.Helper()
	token, err := h.Log.PublishBarrier(t.Context(), 0, barrierOf(1, "n1"))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func publish(t *testing.T, l Journal, bodies ...string) (last uint64) {
	t.Helper()
	for _, b := range bodies {
		seq, err := l.Publish(t.Context(), []journal.Record{GatewayRecord(b)})
		if err != nil {
			t.Fatal(err)
		}
		last = seq
	}
	return last
}

func wantBounds(t *testing.T, l Journal, first, last uint64) {
	t.Helper()
	f, la, err := l.Bounds(t.Context())
	if err != nil || f != first || la != last {
		t.Fatalf("bounds = %d, %d, %v, want %d, %d", f, la, err, first, last)
	}
}

func wantIs(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s = %v, want %v", what, err, want)
	}
}

func firstIsBarrier(t *testing.T, h Harness) {
	ctx := t.Context()
	wantBounds(t, h.Log, 1, 0)
	_, err := h.Log.Publish(ctx, []journal.Record{GatewayRecord("a")})
	wantIs(t, "publish on an empty log", err, journal.ErrNoBarrier)
	_, err = h.Log.PublishFenced(ctx, 0, []journal.Record{ownerRecord()})
	wantIs(t, "fenced publish on an empty log", err, journal.ErrFenced)
	_, _, err = h.Log.LastBarrier(ctx)
	wantIs(t, "last barrier of an empty log", err, journal.ErrNoBarrier)
	wantBounds(t, h.Log, 1, 0)

	if token := begin(t, h); token != 1 {
		t.Fatalf("first barrier at %d", token)
	}
	publish(t, h.Log, "a")
	b, seq, err := h.Log.LastBarrier(ctx)
	if err != nil || seq != 1 || b != barrierOf(1, "n1") {
		t.Fatalf("last barrier = %+v at %d, %v", b, seq, err)
	}
}

func oneWins(t *testing.T, h Harness) {
	first := begin(t, h)
	var wg sync.WaitGroup
	tokens, errs := make([]uint64, 2), make([]error, 2)
	for i, owner := range []string{"n2", "n3"} {
		wg.Go(func() {
			tokens[i], errs[i] = h.Log.PublishBarrier(t.Context(), first, barrierOf(2, owner))
		})
	}
	wg.Wait()
	winner := slices.Index(errs, nil)
	if winner < 0 {
		t.Fatalf("nobody won: %v", errs)
	}
	wantIs(t, "the other claimant", errs[1-winner], journal.ErrFenced)
	b, seq, err := h.Log.LastBarrier(t.Context())
	if err != nil || seq != tokens[winner] || b.Previous != first {
		t.Fatalf("last barrier = %+v at %d, %v, want the winner's at %d", b, seq, err, tokens[winner])
	}
	if _, err := h.Log.PublishBarrier(t.Context(), 0, barrierOf(3, "n4")); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("a claimant that saw an empty log: %v", err)
	}
}

// zombieFenced protects I3.
func zombieFenced(t *testing.T, h Harness) {
	ctx := t.Context()
	old := begin(t, h)
	tick := []journal.Record{ownerRecord()}
	if _, err := h.Log.PublishFenced(ctx, old, tick); err != nil {
		t.Fatal(err)
	}
	taken, err := h.Log.PublishBarrier(ctx, old, barrierOf(2, "n2"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Log.PublishFenced(ctx, old, tick)
	wantIs(t, "the zombie's publish", err, journal.ErrFenced)
	_, err = h.Log.PublishBarrier(ctx, old, barrierOf(1, "n1"))
	wantIs(t, "the zombie's barrier", err, journal.ErrFenced)

	publish(t, h.Log, "a", "b")
	again, err := h.Log.PublishBarrier(ctx, taken, barrierOf(2, "n2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Log.Purge(ctx, again); err != nil {
		t.Fatal(err)
	}
	for _, token := range []uint64{old, taken} {
		_, err = h.Log.PublishFenced(ctx, token, tick)
		wantIs(t, "an old token after the purge", err, journal.ErrFenced)
	}
	if _, err := h.Log.PublishFenced(ctx, again, tick); err != nil {
		t.Fatalf("the owner after the purge: %v", err)
	}
}

func purgeKeepsBarrier(t *testing.T, h Harness) {
	token := begin(t, h)
	last := publish(t, h.Log, "a", "b", "c")
	if err := h.Log.Purge(t.Context(), last); err == nil {
		t.Fatal("a purge beyond the barrier was accepted")
	}
	wantBounds(t, h.Log, 1, last)
	again, err := h.Log.PublishBarrier(t.Context(), token, barrierOf(1, "n1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Log.Purge(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	wantBounds(t, h.Log, again, again)
}

// readAll reads from a sequence to the last message.
func readAll(ctx context.Context, l Journal, from uint64) ([]journal.Message, error) {
	_, last, err := l.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	r, err := l.Read(ctx, from)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var all []journal.Message
	for seq := from; seq <= last; seq++ {
		m, err := r.Next(ctx)
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
	return all, nil
}

func readsDense(t *testing.T, h Harness) {
	token := begin(t, h)
	const n = 300
	for i := range n {
		recs := []journal.Record{GatewayRecord(fmt.Sprint(i)), GatewayRecord("x")}
		if _, err := h.Log.Publish(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Log.PublishFenced(t.Context(), token, []journal.Record{ownerRecord()}); err != nil {
		t.Fatal(err)
	}
	all, err := readAll(t.Context(), h.Log, 1)
	if err != nil || len(all) != n+2 {
		t.Fatalf("read %d messages, %v", len(all), err)
	}
	for i, m := range all {
		if m.Seq != uint64(i)+1 || m.Time.IsZero() || i > 0 && m.Time.Before(all[i-1].Time) {
			t.Fatalf("message %d has sequence %d and time %v", i, m.Seq, m.Time)
		}
		if i > 0 && i <= n && (len(m.Records) != 2 || string(m.Records[0].Body) != fmt.Sprint(i-1)) {
			t.Fatalf("message %d holds %v", i, m.Records)
		}
	}
	if b, ok, err := all[0].Barrier(); !ok || err != nil || b != barrierOf(1, "n1") {
		t.Fatalf("first message: %+v, %v, %v", b, ok, err)
	}
	tail, err := readAll(t.Context(), h.Log, n)
	if err != nil || len(tail) != 3 || tail[0].Seq != n {
		t.Fatalf("from the middle: %d messages, %v", len(tail), err)
	}
}

func readerWaits(t *testing.T, h Harness) {
	begin(t, h)
	r, err := h.Log.Read(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := make(chan journal.Message, 1)
	go func() {
		if m, err := r.Next(t.Context()); err == nil {
			got <- m
		}
		close(got)
	}()
	publish(t, h.Log, "later")
	if m := <-got; m.Seq != 2 || string(m.Records[0].Body) != "later" {
		t.Fatalf("got %+v", m)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Next(ctx)
	wantIs(t, "next with a cancelled context", err, context.Canceled)
	publish(t, h.Log, "more")
	if m, err := r.Next(t.Context()); err != nil || m.Seq != 3 {
		t.Fatalf("after the cancelled one: %+v, %v", m, err)
	}
}

func holeIsError(t *testing.T, h Harness) {
	ctx := t.Context()
	token := begin(t, h)
	publish(t, h.Log, "a", "b", "c")
	early, err := h.Log.Read(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	again, err := h.Log.PublishBarrier(ctx, token, barrierOf(1, "n1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Log.Purge(ctx, again); err != nil {
		t.Fatal(err)
	}
	for _, from := range []uint64{1, again - 1, again + 2} {
		if _, err := h.Log.Read(ctx, from); !errors.Is(err, journal.ErrGap) {
			t.Fatalf("read from %d of a log that holds %d: %v, want ErrGap", from, again, err)
		}
	}
	// What the reader has fetched it may still give, but never skip.
	for want := uint64(1); want <= again; want++ {
		m, err := early.Next(ctx)
		if errors.Is(err, journal.ErrGap) {
			return
		}
		if err != nil || m.Seq != want {
			t.Fatalf("next = %d, %v, want %d or ErrGap", m.Seq, err, want)
		}
	}
}

func closeEndsNext(t *testing.T, h Harness) {
	begin(t, h)
	r, err := h.Log.Read(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := r.Next(t.Context())
		ended <- err
	}()
	r.Close()
	wantIs(t, "the waiting Next", <-ended, journal.ErrClosed)
	r.Close()
	_, err = r.Next(t.Context())
	wantIs(t, "a Next after Close", err, journal.ErrClosed)
}

// refusedChangesNothing protects I6.
func refusedChangesNothing(t *testing.T, h Harness) {
	begin(t, h)
	foreign := GatewayRecord("a")
	foreign.Site = "other"
	huge := GatewayRecord("")
	huge.Body = make([]byte, journal.MaxBody+1)
	for name, recs := range map[string][]journal.Record{
		"no records":   nil,
		"foreign site": {GatewayRecord("a"), foreign},
		"no kind":      {{Origin: "hq/gw", Site: "hq"}},
		"too long":     {huge},
		"no origin":    {{Kind: journal.KindTick, Site: "hq"}},
	} {
		if _, err := h.Log.Publish(t.Context(), recs); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := h.Log.PublishBarrier(t.Context(), 1, journal.Barrier{Incarnation: 1, Epoch: 2}); err == nil {
		t.Error("a barrier without an owner: accepted")
	}
	wantBounds(t, h.Log, 1, 1)
}

func concurrentDense(t *testing.T, h Harness) {
	begin(t, h)
	const writers, each = 8, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := h.Log.Publish(t.Context(), []journal.Record{GatewayRecord(fmt.Sprintf("%d.%02d", w, i))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	all, err := readAll(t.Context(), h.Log, 2)
	if err != nil || len(all) != writers*each {
		t.Fatalf("read %d messages, %v", len(all), err)
	}
	last := map[byte]string{}
	for _, m := range all {
		body := string(m.Records[0].Body)
		if body <= last[body[0]] {
			t.Fatalf("%s after %s", body, last[body[0]])
		}
		last[body[0]] = body
	}
}
