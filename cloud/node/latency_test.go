package node

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestOnlyTheLatestAcksAndWaitsCount(t *testing.T) {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: []float64{0.001, 0.01, 0.1, 1}})
	var l latencies
	look := func(seconds int, observe, delay time.Duration) (ack, longest time.Duration) {
		for range seconds {
			for range 100 {
				h.Observe(observe.Seconds())
			}
			ack, longest = l.take(histogramOf(h), delay)
		}
		return ack, longest
	}
	if ack, longest := l.take(histogramOf(h), 0); ack != 0 || longest != 0 {
		t.Errorf("before any: %v, %v", ack, longest)
	}
	for _, c := range []struct {
		seconds             int
		observe, delay      time.Duration
		least, most, waited time.Duration
	}{
		{20, 5 * time.Millisecond, time.Millisecond, 9 * time.Millisecond, 10 * time.Millisecond, time.Millisecond},
		{1, 5 * time.Second, time.Second, time.Second, time.Second, time.Second}, // beyond the last bucket
		{9, 5 * time.Millisecond, 0, time.Second, time.Second, time.Second},      // a tenth of them was late
		{1, 5 * time.Millisecond, 0, 9 * time.Millisecond, 10 * time.Millisecond, 0},
	} {
		ack, longest := look(c.seconds, c.observe, c.delay)
		if ack < c.least || ack > c.most || longest != c.waited {
			t.Errorf("after %d s of %v: ack %v, want %v to %v; wait %v, want %v", c.seconds, c.observe, ack, c.least, c.most, longest, c.waited)
		}
	}
	for range 20 { // nothing is acked
		l.take(histogramOf(h), 0)
	}
	if ack, _ := l.take(histogramOf(h), 0); ack != 0 {
		t.Errorf("a silent gate is late by %v", ack)
	}
	if len(l.acks) > 11 || len(l.delays) > 10 { // I5
		t.Errorf("it remembers %d and %d", len(l.acks), len(l.delays))
	}
}
