package journal

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/ops"
)

// forShard labels metrics with their shard, so that those of two shards differ.
func forShard(reg prometheus.Registerer, shard int) prometheus.Registerer {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	return prometheus.WrapRegistererWith(prometheus.Labels{"shard": strconv.Itoa(shard)}, reg)
}

// logMetrics counts what one shard's log does.
type logMetrics struct {
	ok, fenced, ambiguous, failed prometheus.Counter
	full                          prometheus.Counter
	seconds                       prometheus.Histogram
	purges                        prometheus.Counter
	gaps                          prometheus.Counter
	recreated                     prometheus.Counter
}

func newLogMetrics(reg prometheus.Registerer, shard int) *logMetrics {
	r := forShard(reg, shard)
	publishes := ops.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_journal_publishes_total", Help: "Messages published, by result.",
	}, []string{"result"}))
	return &logMetrics{
		ok:        publishes.WithLabelValues("ok"),
		fenced:    publishes.WithLabelValues("fenced"),
		ambiguous: publishes.WithLabelValues("ambiguous"),
		failed:    publishes.WithLabelValues("failed"),
		full:      publishes.WithLabelValues("full"),
		seconds: ops.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "atrium_journal_publish_seconds", Help: "From publish to the ack of an fsynced message.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		})),
		purges: ops.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_journal_purges_total", Help: "Purges of the log's front.",
		})),
		gaps: ops.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_journal_gaps_total", Help: "Reads that stopped because the log is not dense.",
		})),
		recreated: ops.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_journal_consumers_recreated_total", Help: "Consumers made again after an error.",
		})),
	}
}

// coalescerMetrics counts what one shard's flushers do.
type coalescerMetrics struct {
	seconds         prometheus.Histogram
	records, bytes  prometheus.Histogram
	queued          prometheus.Gauge
	queuedRecords   prometheus.Gauge
	full, overdrawn prometheus.Counter
	retries         prometheus.Counter
	stalled         prometheus.Gauge
}

func newCoalescerMetrics(reg prometheus.Registerer, shard int) *coalescerMetrics {
	r := forShard(reg, shard)
	busy := ops.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_journal_busy_total", Help: "Appends refused: the queue was full, or the site held its share of it.",
	}, []string{"reason"}))
	return &coalescerMetrics{
		seconds: ops.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "atrium_journal_append_seconds", Help: "From a record's append to its done, fsynced.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		})),
		records: ops.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "atrium_journal_batch_records", Help: "Records joined into one message.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 12),
		})),
		bytes: ops.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "atrium_journal_batch_bytes", Help: "Bytes of one message.",
			Buckets: prometheus.ExponentialBuckets(256, 4, 7),
		})),
		queued: ops.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_journal_queue_bytes", Help: "Bytes accepted and not yet durable.",
		})),
		queuedRecords: ops.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_journal_queue_records", Help: "Records accepted and not yet durable.",
		})),
		full: busy.WithLabelValues("full"), overdrawn: busy.WithLabelValues("share"),
		retries: ops.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_journal_append_retries_total", Help: "Batches published again because no ack came.",
		})),
		stalled: ops.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_journal_stalled_flushers", Help: "Flushers whose last publish failed: disk full or no quorum.",
		})),
	}
}
