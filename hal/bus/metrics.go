package bus

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	reg          prometheus.Registerer
	all          []prometheus.Collector
	transactions prometheus.Counter
	busy         prometheus.Counter
	stalls       prometheus.Counter
	errors       map[ErrorKind]prometheus.Counter
	refused      map[error]prometheus.Counter
}

// newMetrics registers a bus's metrics; a nil reg keeps them private. They take
// the place of those of an older owner of the same name, which may be stuck in
// the kernel for ever.
func newMetrics(name string, reg prometheus.Registerer, depth, quarantined func() float64) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	m := &metrics{
		reg:     prometheus.WrapRegistererWith(prometheus.Labels{"bus": name}, reg),
		errors:  make(map[ErrorKind]prometheus.Counter, len(kinds)),
		refused: make(map[error]prometheus.Counter),
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.all = append(m.all, c)
		return c
	}
	m.transactions = counter("atrium_bus_transactions_total", "Transactions on the bus, failed ones included.")
	m.busy = counter("atrium_bus_busy_seconds_total", "Time spent in transactions.")
	m.stalls = counter("atrium_bus_stalls_total", "Transactions beyond their deadline.")
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "atrium_bus_errors_total", Help: "Tasks that failed, by kind of error."}, []string{"kind"})
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "atrium_bus_refused_total", Help: "Tasks that were not accepted, by reason."}, []string{"reason"})
	m.all = append(
		m.all, failed, refused,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "atrium_bus_tasks", Help: "Tasks accepted and not done."}, depth),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "atrium_bus_quarantined_devices", Help: "Devices in quarantine."}, quarantined),
	)
	m.unregister()
	m.reg.MustRegister(m.all...)
	for _, k := range kinds {
		m.errors[k] = failed.WithLabelValues(string(k))
	}
	m.refused[ErrQuarantined] = refused.WithLabelValues("quarantine")
	m.refused[ErrQueueFull] = refused.WithLabelValues("queue-full")
	m.refused[ErrClosed] = refused.WithLabelValues("closed")
	return m
}

func (m *metrics) unregister() {
	for _, c := range m.all {
		m.reg.Unregister(c)
	}
}
