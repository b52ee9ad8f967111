package seat

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/ops"
)

type metrics struct {
	claiming, recovering, active, leaving prometheus.Gauge
	failures, undecided                   prometheus.Counter
	handedOver, notHandedOver             prometheus.Counter
	taking                                prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	seats := ops.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "atrium_seat_shards", Help: "Shards that this node has, by state.",
	}, []string{"state"}))
	over := ops.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_seat_handovers_total", Help: "Shards that this node offered to another, by result.",
	}, []string{"result"}))
	return &metrics{
		claiming: seats.WithLabelValues("claiming"), recovering: seats.WithLabelValues("recovering"),
		active: seats.WithLabelValues("active"), leaving: seats.WithLabelValues("leaving"),
		failures: ops.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_seat_failures_total", Help: "Claims and works of shards that failed and are tried again.",
		})),
		undecided: ops.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_seat_undecided_total", Help: "Looks at the cluster that contradicted themselves, so that nothing was decided.",
		})),
		handedOver: over.WithLabelValues("taken"), notHandedOver: over.WithLabelValues("kept"),
		taking: ops.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "atrium_seat_taking_seconds", Help: "Time from the decision to claim a shard until it is served.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 14),
		})),
	}
}

// show counts the seats by state.
func (m *metrics) show(seats []seat) {
	var claiming, recovering, active, leaving float64
	for i := range seats {
		switch t := &seats[i]; {
		case t.to != "":
			leaving++
		case t.active():
			active++
		case t.work != nil:
			recovering++
		case t.taken:
			claiming++
		}
	}
	m.claiming.Set(claiming)
	m.recovering.Set(recovering)
	m.active.Set(active)
	m.leaving.Set(leaving)
}
