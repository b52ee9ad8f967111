package journaltest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// Speaker is what a node's bus promises: journal.Bus and NodeBus have it.
type Speaker interface {
	Publish(subject string, data []byte) error
	Subscribe(subject string, f func(journal.BusMessage)) (stop func(), err error)
	Request(ctx context.Context, subject string, data []byte) ([]byte, error)
}

var (
	_ Speaker = (*journal.Bus)(nil)
	_ Speaker = (*NodeBus)(nil)
)

// BusHarness is the bus of two nodes, which may be one.
type BusHarness struct{ Here, There Speaker }

// BusCase is one promise of the bus. As a Case it may run within a bubble.
type BusCase struct {
	Name string
	Run  func(t *testing.T, h BusHarness)
}

// BusCases returns the contract of the bus.
func BusCases() []BusCase {
	return []BusCase{
		{"EverySubscriberGetsEveryMessageInOrder", busOrder},
		{"WhatNobodyListensToIsGone", busNobody},
		{"ARequestIsAnsweredByWhoListens", busAnswers},
		{"ARequestWithoutAnAnswerEndsWithItsContext", busSilence},
		{"AStoppedSubscriptionGetsNothingMore", busStop},
		{"ASlowSubscriberHoldsUpNobodyElse", busSlow},
		{"WhatIsRefusedIsNotSent", busRefuses},
	}
}

// reach waits until There listens to subject, which Here gets to know soon, and
// has room in its queue.
func reach(t *testing.T, h BusHarness, subject string) {
	t.Helper()
	for err := probe(t, h, subject); err != nil; err = probe(t, h, subject) {
		if !errors.Is(err, journal.ErrNobody) && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}

// probe is a request that nobody need have got, or answered.
func probe(t *testing.T, h BusHarness, subject string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := h.Here.Request(ctx, subject, []byte("there?"))
	return err
}

// listen subscribes f, which is not told of the requests of reach.
func listen(t *testing.T, h BusHarness, subject string, f func(journal.BusMessage)) (stop func()) {
	t.Helper()
	stop, err := h.There.Subscribe(subject, func(m journal.BusMessage) {
		if string(m.Data) != "there?" {
			f(m)
		} else if err := m.Reply(nil); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	reach(t, h, subject)
	return stop
}

func busOrder(t *testing.T, h BusHarness) {
	const n = 500
	first, second := make(chan string, n), make(chan string, n)
	defer listen(t, h, "order.a", func(m journal.BusMessage) { first <- string(m.Data) })()
	defer listen(t, h, "order.a", func(m journal.BusMessage) { second <- string(m.Data) })()
	defer listen(t, h, "order.b", func(m journal.BusMessage) { t.Errorf("got %q of another subject", m.Data) })()
	data := make([]byte, 3)
	for i := range n {
		copy(data, fmt.Sprintf("%03d", i)) // the same bytes again: they are the caller's
		if err := h.Here.Publish("order.a", data); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if a, b, want := <-first, <-second, fmt.Sprintf("%03d", i); a != want || b != want {
			t.Fatalf("message %d is %q and %q", i, a, b)
		}
	}
}

func busNobody(t *testing.T, h BusHarness) {
	if err := h.Here.Publish("nobody", []byte("a")); err != nil {
		t.Fatal(err)
	}
	_, err := h.Here.Request(t.Context(), "nobody", []byte("a"))
	wantIs(t, "a request to nobody", err, journal.ErrNobody)
}

func busAnswers(t *testing.T, h BusHarness) {
	defer listen(t, h, "ask", func(m journal.BusMessage) {
		if m.Reply == nil {
			t.Errorf("%q comes without a Reply", m.Data)
			return
		}
		if m.Subject != "ask" {
			t.Errorf("of subject %q", m.Subject)
		}
		if err := m.Reply(append([]byte("yes, "), m.Data...)); err != nil {
			t.Error(err)
		}
		if err := m.Reply(make([]byte, journal.MaxBusMessage+1)); err == nil {
			t.Error("an answer over the limit was sent")
		}
	})()
	big := make([]byte, journal.MaxBusMessage-5)
	for _, data := range [][]byte{[]byte("a"), {}, big} {
		got, err := h.Here.Request(t.Context(), "ask", data)
		if err != nil || len(got) != 5+len(data) || string(got[:5]) != "yes, " {
			t.Fatalf("answer of %d bytes, %v", len(got), err)
		}
	}
}

func busSilence(t *testing.T, h BusHarness) {
	replies := make(chan func([]byte) error, 1)
	defer listen(t, h, "silent", func(m journal.BusMessage) { replies <- m.Reply })()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := h.Here.Request(ctx, "silent", []byte("a"))
	wantIs(t, "a request without an answer", err, context.DeadlineExceeded)
	if err := (<-replies)([]byte("late")); err != nil {
		t.Fatalf("an answer that nobody waits for: %v", err)
	}
}

func busStop(t *testing.T, h BusHarness) {
	stopped := false
	stop := listen(t, h, "stop", func(journal.BusMessage) {
		if stopped { // the race detector sees a call that overlaps with stop
			t.Error("called after stop")
		}
	})
	for range 100 {
		if err := h.Here.Publish("stop", []byte("a")); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	stopped = true
	stop()
	for !errors.Is(probe(t, h, "stop"), journal.ErrNobody) { // until Here knows, too
		time.Sleep(time.Millisecond)
	}
}

// busSlow protects I5: a full queue drops, and nobody else waits for it.
func busSlow(t *testing.T, h BusHarness) {
	gate, got := make(chan struct{}), make(chan struct{}, 4096)
	slow := make(chan struct{}, 4096)
	defer listen(t, h, "slow", func(journal.BusMessage) { <-gate; slow <- struct{}{} })()
	defer listen(t, h, "quick", func(journal.BusMessage) { got <- struct{}{} })()
	const n = 2000
	for range n {
		if err := h.Here.Publish("slow", []byte("a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Here.Publish("quick", []byte("a")); err != nil {
		t.Fatal(err)
	}
	<-got
	close(gate)
	reach(t, h, "slow")
	if len(slow) == 0 || len(slow) >= n {
		t.Fatalf("%d of %d messages reached the slow subscriber: want some, not all", len(slow), n)
	}
}

func busRefuses(t *testing.T, h BusHarness) {
	defer listen(t, h, "ok", func(journal.BusMessage) { t.Error("something was sent") })()
	big := make([]byte, journal.MaxBusMessage+1)
	if err := h.Here.Publish("ok", big); err == nil {
		t.Error("a message over the limit was published")
	}
	if _, err := h.Here.Request(t.Context(), "ok", big); err == nil || errors.Is(err, journal.ErrNobody) {
		t.Errorf("a request over the limit: %v", err)
	}
	for _, subject := range []string{"", "a b", "a.*", ">", "a..b", ".a", "a\n"} {
		if err := h.Here.Publish(subject, nil); err == nil {
			t.Errorf("published to %q", subject)
		}
		if _, err := h.There.Subscribe(subject, func(journal.BusMessage) {}); err == nil {
			t.Errorf("subscribed to %q", subject)
		}
	}
	reach(t, h, "ok") // behind whatever else was sent
}
