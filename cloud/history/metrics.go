package history

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	write   prometheus.Histogram
	rows    prometheus.Counter
	windows prometheus.Counter
	skipped prometheus.Counter
	given   prometheus.Counter
	corrupt prometheus.Counter
}

// newMetrics registers with reg, or with nothing if it is nil.
func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	m := &metrics{
		write: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "atrium_history_write_seconds", Help: "Time of one Write, its fsync included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		rows:    prometheus.NewCounter(prometheus.CounterOpts{Name: "atrium_history_blocks_total", Help: "Blocks of columns written."}),
		windows: prometheus.NewCounter(prometheus.CounterOpts{Name: "atrium_history_windows_total", Help: "Parts of windows written: one when a window closes, and one for each frame that was late for it."}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{Name: "atrium_history_skipped_total", Help: "Writes at or below the position, which replay repeats."}),
		given:   prometheus.NewCounter(prometheus.CounterOpts{Name: "atrium_history_dead_letters_dropped_total", Help: "Dead letters removed because their shard has too many."}),
		corrupt: prometheus.NewCounter(prometheus.CounterOpts{Name: "atrium_history_corrupt_total", Help: "Values whose CRC was wrong when they were read."}),
	}
	var err error
	for _, c := range []prometheus.Collector{m.write, m.rows, m.windows, m.skipped, m.given, m.corrupt} {
		err = errors.Join(err, reg.Register(c))
	}
	return m, err
}
