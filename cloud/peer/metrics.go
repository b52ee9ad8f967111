package peer

import "github.com/prometheus/client_golang/prometheus"

type counter = prometheus.Counter

// metrics are a node's traffic with the others; their children are resolved
// once.
type metrics struct {
	forwarded   outcomes
	again       reasons
	misdirected counter
	handshakes  counter
	seconds     prometheus.Histogram
	watches     prometheus.Gauge
	reopened    counter
}

// outcomes are how the requests that were to be forwarded ended.
type outcomes struct{ answered, here, unavailable, perhaps, abandoned counter }

// reasons are why a request was sent again.
type reasons struct{ moved, unreachable counter }

// newMetrics registers with reg, or with nothing if it is nil. shown is how many
// streams other nodes have here.
func newMetrics(reg prometheus.Registerer, shown func() float64) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	forwarded := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_peer_forwarded_total",
		Help: "Requests about sites of other owners: answered there; here, as the site had come here or could not be compared there; unavailable: nobody could answer; perhaps: sent, and not answered; abandoned by whoever asked.",
	}, []string{"outcome"})
	again := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_peer_again_total",
		Help: "Requests that were sent a second time: the site had moved, or its owner could not be reached.",
	}, []string{"reason"})
	m := &metrics{
		forwarded: outcomes{
			answered:    forwarded.WithLabelValues("answered"),
			here:        forwarded.WithLabelValues("here"),
			unavailable: forwarded.WithLabelValues("unavailable"),
			perhaps:     forwarded.WithLabelValues("perhaps"),
			abandoned:   forwarded.WithLabelValues("abandoned"),
		},
		again: reasons{moved: again.WithLabelValues("moved"), unreachable: again.WithLabelValues("unreachable")},
		misdirected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_peer_misdirected_total",
			Help: "Requests of other nodes about sites that this node does not own, refused.",
		}),
		handshakes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_peer_handshake_failures_total",
			Help: "Connections whose TLS handshake failed: no node of this cluster.",
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "atrium_peer_forward_seconds", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
			Help: "From a request to the end of its answer by another node.",
		}),
		watches: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_peer_watches", Help: "Live streams of this node's clients, over all shards that they watch.",
		}),
		reopened: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_peer_watches_broken_total",
			Help: "Shards' streams that ended or could not be opened, and are looked for again.",
		}),
	}
	reg.MustRegister(forwarded, again, m.misdirected, m.handshakes, m.seconds, m.watches, m.reopened)
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "atrium_peer_shown_shards", Help: "Shards' streams that other nodes follow here.",
	}, shown))
	return m
}
