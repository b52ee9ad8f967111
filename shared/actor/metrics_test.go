package actor_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/atrium-iot/atrium/shared/actor"
)

// metricOf finds the metric of a lane, or of anything when lane is empty.
func metricOf(t *testing.T, reg *prometheus.Registry, name, lane string) *dto.Metric {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if lane == "" || l.GetName() == "lane" && l.GetValue() == lane {
					return m
				}
			}
		}
	}
	t.Fatalf("no %s of lane %q", name, lane)
	return nil
}

// An operator sees how long messages of each priority wait, and how deep
// mailboxes get.
func TestLatencyByLaneAndTheDepthOfMailboxesAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		blocking := actor.DispatcherConfig{Throughput: 100, MailboxSize: 100, MaxConcurrency: 1, Kind: actor.Blocking}
		if err := s.RegisterDispatcher("b", blocking); err != nil {
			t.Fatal(err)
		}
		busy := make(chan struct{})
		holder := spawn(t, s, on(func(*actor.ContextOf[int]) { <-busy }).WithDispatcher("b"), "holder")
		ref := spawn(t, s, on(func(*actor.ContextOf[int]) {}).WithDispatcher("b").WithType("x"), "a")
		if err := holder.Tell(1); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 20 {
			if err := ref.Tell(1); err != nil {
				t.Fatal(err)
			}
		}
		if err := ref.On(actor.High).Tell(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		close(busy)
		synctest.Wait()
		high := metricOf(t, reg, "atrium_actor_latency_seconds", "high").GetHistogram()
		if high.GetSampleCount() != 1 || high.GetSampleSum() != 1 {
			t.Errorf("latency of the message on High: %v", high)
		}
		if n := sum(t, reg, "atrium_actor_mailbox_high_messages", "type", "x"); n != 21 {
			t.Errorf("the deepest mailbox is said to have held %d, want 21", n)
		}
	})
}

// A worker that never rests shows what it has handled, and its account, of 32
// bits, stays small.
func TestMessagesAreCountedWhileAWorkerIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := newSystem(t)
		const messages, behind = 10_000, 2_000
		gate := make(chan struct{})
		ref := spawn(t, s, on(func(ctx *actor.ContextOf[int]) {
			if n := ctx.Message(); n > 0 {
				tell(t, ctx.Self(), n-1)
				return
			}
			<-gate
		}), "a")
		tell(t, ref, messages)
		synctest.Wait()
		if n := handled(t, reg); n < messages-behind || n > messages {
			t.Errorf("%d messages counted, and %d were handled", n, messages)
		}
		close(gate)
	})
}
