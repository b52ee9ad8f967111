package device

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/hal/bus"
)

// queueFull is the kind of a read that the bus had no room for.
const queueFull = "queue_full"

// Why a row did not reach its series.
const (
	dropRefused = "refused" // the series returned an error
	dropStopped = "stopped" // its read ended after Stop or Remove ran out of time
)

// How a command ended.
const (
	commandDone    = "done"
	commandFailed  = "failed"
	commandRefused = "refused" // nothing was touched
)

type metrics struct {
	devices    prometheus.Gauge
	samples    prometheus.Counter
	rows       prometheus.Counter
	suppressed prometheus.Counter
	thinned    prometheus.Counter
	events     prometheus.Counter
	overruns   prometheus.Counter
	errors     *prometheus.CounterVec
	dropped    map[string]prometheus.Counter
	commands   map[string]prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		devices:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "atrium_device_devices", Help: "Devices that are sampled."}),
		samples:    counter("atrium_device_samples_total", "Reads that gave a sample."),
		rows:       counter("atrium_device_rows_total", "Rows that the series took, failed reads included."),
		suppressed: counter("atrium_device_suppressed_rows_total", "Samples and failures that made no row."),
		thinned:    counter("atrium_device_thinned_rows_total", "Of the suppressed rows, those that pressure took: they were due."),
		events:     counter("atrium_device_events_total", "Changes of a device's health that were told."),
		overruns:   counter("atrium_device_overruns_total", "Ticks that passed without a read."),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "atrium_device_errors_total", Help: "Reads that failed or were not tried, by kind of error.",
		}, []string{"kind"}),
		dropped:  make(map[string]prometheus.Counter),
		commands: make(map[string]prometheus.Counter),
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_device_dropped_rows_total", Help: "Rows that did not reach their series.",
	}, []string{"reason"})
	for _, reason := range []string{dropRefused, dropStopped} {
		m.dropped[reason] = dropped.WithLabelValues(reason)
	}
	commands := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_device_commands_total", Help: "Commands to devices that ended, by result.",
	}, []string{"result"})
	for _, result := range []string{commandDone, commandFailed, commandRefused} {
		m.commands[result] = commands.WithLabelValues(result)
	}
	for _, kind := range []bus.ErrorKind{bus.KindNack, bus.KindCRC, bus.KindTimeout, bus.KindOther} {
		m.errors.WithLabelValues(string(kind))
	}
	reg.MustRegister(m.devices, m.errors, dropped, commands)
	return m
}
