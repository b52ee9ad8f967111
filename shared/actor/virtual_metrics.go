package actor

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// failure is a step of a passivation or an activation that may fail.
type failure uint8

const (
	failedSnapshot failure = iota // the receiver gave no state
	failedSave
	failedLoad
	failedRestore // no receiver could be made of what was loaded
	failedDelete
	failures
)

// String is the step as metrics show it.
func (f failure) String() string {
	return [failures]string{"snapshot", "save", "load", "restore", "delete"}[f]
}

// stayStats are the counters of a registered type.
type stayStats struct {
	activations, passivations atomic.Uint64
	failures                  [failures]atomic.Uint64
}

// stayDescs describe stayStats.
type stayDescs struct{ activations, passivations, failures *prometheus.Desc }

func newStayDescs() stayDescs {
	by := []string{"dispatcher", "type"}
	return stayDescs{
		activations: prometheus.NewDesc("atrium_actor_activations_total",
			"Virtual actors brought into memory.", by, nil),
		passivations: prometheus.NewDesc("atrium_actor_passivations_total",
			"Virtual actors taken out of memory, their state kept.", by, nil),
		failures: prometheus.NewDesc("atrium_actor_state_failures_total",
			"Snapshots that were not taken, saved, loaded, restored or deleted.", append(by, "step"), nil),
	}
}

func (d stayDescs) describe(ch chan<- *prometheus.Desc) {
	ch <- d.activations
	ch <- d.passivations
	ch <- d.failures
}

func (d stayDescs) collect(ch chan<- prometheus.Metric, of *stats, s *stayStats) {
	send := func(d *prometheus.Desc, v uint64, labels ...string) {
		labels = append([]string{of.dispatcher, of.typ}, labels...)
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	send(d.activations, s.activations.Load())
	send(d.passivations, s.passivations.Load())
	for f := range s.failures {
		send(d.failures, s.failures[f].Load(), failure(f).String())
	}
}
