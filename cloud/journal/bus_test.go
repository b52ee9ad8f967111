package journal_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

func TestTheBusKeepsItsContract(t *testing.T) {
	for _, c := range journaltest.BusCases() {
		t.Run(c.Name, func(t *testing.T) {
			b := startAt(t, t.TempDir()).Bus(nil)
			c.Run(t, journaltest.BusHarness{Here: b, There: b})
		})
	}
}

// What holds within a process holds over the routes between three, and to a
// worker, which has no store.
func TestTheBusKeepsItsContractBetweenNodes(t *testing.T) {
	t.Parallel()
	nodes := journaltest.StartNodes(t)
	worker := nodes.StartWorker("w1")
	for i, c := range journaltest.BusCases() {
		t.Run(c.Name, func(t *testing.T) {
			c.Run(t, journaltest.BusHarness{Here: nodes.Servers[i%3].Bus(nil), There: nodes.Servers[(i+1)%3].Bus(nil)})
		})
		t.Run("AWorker/"+c.Name, func(t *testing.T) {
			c.Run(t, journaltest.BusHarness{Here: worker.Bus(nil), There: nodes.Servers[i%3].Bus(nil)})
		})
	}
	t.Run("ANodeThatStopsIsNobody", func(t *testing.T) { stoppedIsNobody(t, nodes) })
}

// stoppedIsNobody: a request to a node that is gone says so, at the latest when
// its route is closed, and until then leaves open what became of it.
func stoppedIsNobody(t *testing.T, nodes *journaltest.Nodes) {
	if _, err := nodes.Servers[2].Bus(nil).Subscribe("gone", func(m journal.BusMessage) {
		if err := m.Reply(nil); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	here := nodes.Servers[0].Bus(nil)
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := here.Request(ctx, "gone", nil)
		return err
	}
	for ask() != nil { // until the other node has heard of the subscription
		time.Sleep(time.Millisecond)
	}
	nodes.Stop(2)
	for err := ask(); !errors.Is(err, journal.ErrNobody); err = ask() {
		if err == nil || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a request to a node that stops: %v", err)
		}
	}
}

func TestABusOutlivesNothingOfItsServer(t *testing.T) {
	s := startAt(t, t.TempDir())
	b := s.Bus(nil)
	stop, err := b.Subscribe("a", func(journal.BusMessage) {})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	wantClosed := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, journal.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", what, err)
		}
	}
	wantClosed("publish", b.Publish("a", nil))
	_, err = b.Request(t.Context(), "a", nil)
	wantClosed("request", err)
	_, err = b.Subscribe("b", func(journal.BusMessage) {})
	wantClosed("subscribe", err)
	stop()
}

// I5: what finds a full queue is counted, also after its subscription ended,
// and however often the metrics are asked for.
func TestWhatTheBusDropsIsCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := startAt(t, t.TempDir())
	b := s.Bus(reg)
	if s.Bus(reg) != b {
		t.Fatal("a server has two buses")
	}
	gate := make(chan struct{})
	got := make(chan struct{}, 4096)
	stop, err := b.Subscribe("slow", func(journal.BusMessage) { <-gate; got <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	const n = 3000
	for range n {
		if err := b.Publish("slow", []byte("a")); err != nil {
			t.Fatal(err)
		}
	}
	_, err = b.Request(t.Context(), "nobody", nil) // its answer comes behind them all
	if !errors.Is(err, journal.ErrNobody) {
		t.Fatal(err)
	}
	dropped := valueOf(t, reg, "atrium_journal_bus_dropped_total")
	if dropped == 0 || dropped >= n {
		t.Fatalf("%v of %d counted as dropped", dropped, n)
	}
	close(gate)
	for range n - int(dropped) {
		<-got
	}
	stop()
	if after := valueOf(t, reg, "atrium_journal_bus_dropped_total"); after != dropped {
		t.Fatalf("%v dropped, %v after the subscription ended", dropped, after)
	}
	if sent := valueOf(t, reg, "atrium_journal_bus_messages_total"); sent != n+n-dropped {
		t.Fatalf("%v sent and received, want %v", sent, n+n-dropped)
	}
}

// valueOf adds up a counter over its labels.
func valueOf(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
