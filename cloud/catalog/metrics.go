package catalog

import "github.com/prometheus/client_golang/prometheus"

// result says how a write of a document ended.
type result uint8

const (
	resultCreated result = iota
	resultReplaced
	resultUnchanged
	resultDeleted
	resultDryRun
	resultInvalid
	resultRefused // unknown site, in use, no room, not there
	resultConflict
	resultFailed // the bucket did not answer
	results
)

func (r result) String() string {
	return [results]string{"created", "replaced", "unchanged", "deleted", "dry-run", "invalid", "refused", "conflict", "failed"}[r]
}

type metrics struct {
	sites     prometheus.Gauge
	assigned  prometheus.Counter
	invalid   prometheus.Counter
	watches   prometheus.Counter
	documents prometheus.Gauge
	stored    prometheus.Gauge
	writes    writes
}

// writes counts writes of documents by their result.
type writes [results]prometheus.Counter

func (w *writes) count(r result) { w[r].Inc() }

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
		documents: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_catalog_documents", Help: "Documents that the cache knows.",
		}),
		stored: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_catalog_documents_bytes", Help: "What the documents take in the bucket.",
		}),
	}
	wrote := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_catalog_writes_total", Help: "Documents that were to be applied or deleted, by result.",
	}, []string{"result"})
	for r := range results {
		m.writes[r] = wrote.WithLabelValues(r.String())
	}
	reg.MustRegister(m.sites, m.assigned, m.invalid, m.watches, m.documents, m.stored, wrote)
	return m
}
