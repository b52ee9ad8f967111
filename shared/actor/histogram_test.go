package actor

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

func TestAValueIsCountedInTheFirstBucketThatHoldsIt(t *testing.T) {
	desc := prometheus.NewDesc("h", "h", nil, nil)
	var empty histogram
	if _, some := empty.metric(desc, 1); some {
		t.Fatal("a histogram without values is exposed")
	}
	for v, bound := range map[uint64]float64{0: 1, 1: 1, 2: 4, 4: 4, 5: 16, 16: 16, 17: 64, 1 << 24: 1 << 24} {
		var h histogram
		h.observe(v)
		m, _ := h.metric(desc, 1)
		var out dto.Metric
		if err := m.Write(&out); err != nil {
			t.Fatal(err)
		}
		for _, b := range out.GetHistogram().GetBucket() {
			if want := b.GetUpperBound() >= bound; (b.GetCumulativeCount() == 1) != want {
				t.Errorf("%d: the bucket to %g holds %d", v, b.GetUpperBound(), b.GetCumulativeCount())
			}
		}
		if out.GetHistogram().GetSampleSum() != float64(v) || out.GetHistogram().GetSampleCount() != 1 {
			t.Errorf("%d: sum %g, count %d", v, out.GetHistogram().GetSampleSum(), out.GetHistogram().GetSampleCount())
		}
	}
	var h histogram
	h.observe(1<<24 + 1)
	m, _ := h.metric(desc, 1)
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	last := out.GetHistogram().GetBucket()[bounds-1]
	if last.GetCumulativeCount() != 0 || out.GetHistogram().GetSampleCount() != 1 {
		t.Errorf("a value beyond all bounds: %v", out.GetHistogram())
	}
}
