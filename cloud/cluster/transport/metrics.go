package transport

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/ops"
)

type metrics struct {
	answered            prometheus.Histogram
	nobody, unanswered  prometheus.Counter
	full, unasked, lost prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, t *Transport) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	failed := ops.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_transport_exchange_failures_total", Help: "Requests to other nodes without an answer, by reason.",
	}, []string{"reason"}))
	dropped := ops.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_transport_dropped_total", Help: "Requests of other nodes that no actor got, and answers that were not sent, by reason.",
	}, []string{"reason"}))
	ops.Register(reg, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "atrium_transport_served", Help: "Requests of other nodes that are in hand.",
	}, t.inHand))
	return &metrics{
		answered: ops.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "atrium_transport_exchange_seconds", Help: "From a request to another node to its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		})),
		nobody: failed.WithLabelValues("nobody"), unanswered: failed.WithLabelValues("unanswered"),
		full: dropped.WithLabelValues("full"), unasked: dropped.WithLabelValues("unasked"), lost: dropped.WithLabelValues("lost"),
	}
}
