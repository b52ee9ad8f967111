package command

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/wire"
)

// Why a command that came was not taken. Its sender sends it again.
const (
	dropFull      = "full"      // MaxEntries are remembered
	dropBusy      = "busy"      // they come faster than the ledger writes
	dropReloading = "reloading" // the devices are changing
	dropStopping  = "stopping"  // the gateway stops
)

type metrics struct {
	results     map[wire.ResultState]prometheus.Counter
	dropped     map[string]prometheus.Counter
	writeErrors prometheus.Counter
	all         []prometheus.Collector
}

// newMetrics returns the metrics of an executor.
func newMetrics(x *Executor) *metrics {
	m := &metrics{
		results: make(map[wire.ResultState]prometheus.Counter), dropped: make(map[string]prometheus.Counter),
		writeErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_command_write_errors_total", Help: "Writes of the ledger of commands that failed.",
		}),
	}
	results := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_command_results_total", Help: "Commands that ended, by result.",
	}, []string{"result"})
	for s := wire.ResultDone; s <= wire.ResultExpired; s++ {
		m.results[s] = results.WithLabelValues(s.String())
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_command_dropped_total", Help: "Commands that came and were not taken.",
	}, []string{"reason"})
	for _, reason := range []string{dropFull, dropBusy, dropReloading, dropStopping} {
		m.dropped[reason] = dropped.WithLabelValues(reason)
	}
	gauge := func(name, help string, read func(Stats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(read(x.Stats())) })
	}
	m.all = []prometheus.Collector{
		results, dropped, m.writeErrors,
		gauge("atrium_command_unsettled", "Results that the cloud has not settled.", func(s Stats) int { return s.Unsettled }),
		gauge("atrium_command_pending", "Commands that wait for their device or execute.", func(s Stats) int { return s.Pending }),
	}
	return m
}

// register shows the metrics; their executor must be complete.
func (m *metrics) register(reg prometheus.Registerer) {
	if reg != nil {
		reg.MustRegister(m.all...)
	}
}

// drop counts a command that is not taken.
func (x *Executor) drop(reason string, c *wire.Command) {
	x.m.dropped[reason].Inc()
	x.log.Debug("command not taken", "command", c.ID.String(), "device", c.Device.String(), "reason", reason)
}
