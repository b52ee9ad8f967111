package catalog

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	sites    prometheus.Gauge
	assigned prometheus.Counter
	invalid  prometheus.Counter
	watches  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	m := &metrics{
		sites: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_catalog_sites", Help: "Sites that the cache knows.",
		}),
		assigned: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_catalog_assigned_total", Help: "Sites that this node assigned to a shard.",
		}),
		invalid: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_catalog_invalid_total", Help: "Documents ignored because they are not valid.",
		}),
		watches: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_catalog_watches_broken_total", Help: "Watches that broke and were made again.",
		}),
	}
	reg.MustRegister(m.sites, m.assigned, m.invalid, m.watches)
	return m
}
