package actor

import (
	"math/bits"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// bounds is how many finite buckets a histogram has. Each reaches four times as
// far as the one before: from a microsecond to 16.8 s, or from one message to
// 16.8 million.
const bounds = 13

// histogram counts sampled values. The zero histogram is empty.
type histogram struct {
	buckets [bounds + 1]atomic.Uint64 // the last has what is beyond
	sum     atomic.Uint64
}

// observe counts one value, in the histogram's unit.
func (h *histogram) observe(v uint64) {
	i := 0
	if v > 1 {
		i = min((bits.Len64(v-1)+1)/2, bounds)
	}
	h.buckets[i].Add(1)
	h.sum.Add(v)
}

// metric exposes what was counted; false when that is nothing. unit is the
// value of 1, in the unit of the metric.
func (h *histogram) metric(desc *prometheus.Desc, unit float64, labels ...string) (prometheus.Metric, bool) {
	var count uint64
	cumulative := make(map[float64]uint64, bounds)
	for i := range h.buckets {
		count += h.buckets[i].Load()
		if i < bounds {
			cumulative[unit*float64(uint64(1)<<(2*i))] = count
		}
	}
	if count == 0 {
		return nil, false
	}
	return prometheus.MustNewConstHistogram(desc, count, unit*float64(h.sum.Load()), cumulative, labels...), true
}
