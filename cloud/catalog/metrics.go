package catalog

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/config"
)

// deleted is the outcome of Remove.
const deleted Outcome = "deleted"

// results are how a write may end. refused: unknown site, in use, no room, or
// not there.
func results() []string {
	return []string{string(Created), string(Replaced), string(Unchanged), string(deleted), "dry-run", "invalid", "conflict", "refused", "failed"}
}

// resultOf names how a write ended.
func resultOf(o Outcome, dryRun bool, err error) string {
	switch {
	case err == nil && dryRun:
		return "dry-run"
	case err == nil:
		return string(o)
	case errors.Is(err, ErrConflict):
		return "conflict"
	case errors.Is(err, ErrUnknownSite), errors.Is(err, ErrFull), errors.Is(err, ErrInUse), errors.Is(err, ErrNoDocument):
		return "refused"
	}
	if _, placed := errors.AsType[*config.Error](err); placed {
		return "invalid"
	}
	return "failed"
}

type metrics struct {
	sites     prometheus.Gauge
	assigned  prometheus.Counter
	invalid   prometheus.Counter
	watches   prometheus.Counter
	documents prometheus.Gauge
	stored    prometheus.Gauge
	writes    map[string]prometheus.Counter // by result; never changes
	moves     struct{ begun, ended prometheus.Counter }
}

// count counts a write of a document.
func (m *metrics) count(result string) { m.writes[result].Inc() }

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
		writes: make(map[string]prometheus.Counter),
	}
	wrote := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_catalog_writes_total", Help: "Documents that were to be applied or deleted, by result.",
	}, []string{"result"})
	for _, r := range results() {
		m.writes[r] = wrote.WithLabelValues(r)
	}
	moves := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_catalog_moves_total", Help: "Moves of a site to another shard, by the step that this node wrote.",
	}, []string{"step"})
	m.moves.begun, m.moves.ended = moves.WithLabelValues("begun"), moves.WithLabelValues("ended")
	reg.MustRegister(m.sites, m.assigned, m.invalid, m.watches, m.documents, m.stored, wrote, moves)
	return m
}
