package node

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// latencies are how late a node was within the time that it remembers. The
// cluster is sampled as often or more, so that nothing falls between two samples.
type latencies struct {
	acks   []*dto.Histogram // what had been acked by then, oldest first
	delays []time.Duration
}

// take adds what a measurement has found: the gate's acks since its start, and
// the longest wait in a log. It returns the 99th percentile of the acks, and the
// longest wait of all that it remembers.
func (l *latencies) take(acks *dto.Histogram, delay time.Duration) (ack, longest time.Duration) {
	const kept = int(remembers / measureEvery)
	l.acks, l.delays = append(l.acks, acks), append(l.delays, delay)
	l.acks = l.acks[max(0, len(l.acks)-kept-1):] // one more: the time is between two
	l.delays = l.delays[max(0, len(l.delays)-kept):]
	return percentile(0.99, l.acks[0], acks), slices.Max(l.delays)
}

// histogramOf reads a histogram; nil is empty.
func histogramOf(m prometheus.Metric) *dto.Histogram {
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		return nil
	}
	return out.GetHistogram()
}

// percentile estimates what a share of the values stay below that a histogram of
// seconds counted between two times, as Prometheus' histogram_quantile does:
// evenly within a bucket; of what is beyond the last bound it knows only that.
func percentile(share float64, before, now *dto.Histogram) time.Duration {
	counted := func(i int) float64 {
		n := now.GetBucket()[i].GetCumulativeCount()
		if old := before.GetBucket(); i < len(old) {
			n -= old[i].GetCumulativeCount()
		}
		return float64(n)
	}
	wanted := share * float64(now.GetSampleCount()-before.GetSampleCount())
	if wanted == 0 {
		return 0
	}
	var below, from float64
	for i, b := range now.GetBucket() {
		to, count := b.GetUpperBound(), counted(i)
		if math.IsInf(to, 1) {
			break
		}
		if count >= wanted {
			return time.Duration((from + (to-from)*(wanted-below)/(count-below)) * float64(time.Second))
		}
		below, from = count, to
	}
	return time.Duration(from * float64(time.Second))
}
