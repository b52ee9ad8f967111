package buffer

import (
	"github.com/prometheus/client_golang/prometheus"
)

// collector turns Stats into metrics when it is asked, so that appending costs
// nothing.
type collector struct {
	b     *Buffer
	plain []metric
	drops [2]*prometheus.Desc
}

type metric struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*Stats) float64
}

// register offers the buffer's metrics to reg, which may be nil.
func register(reg prometheus.Registerer, b *Buffer) error {
	if reg == nil {
		return nil
	}
	c := &collector{b: b}
	gauge := func(name, help string, f func(*Stats) float64) {
		c.plain = append(c.plain, metric{prometheus.NewDesc("atrium_buffer_"+name, help, nil, nil), prometheus.GaugeValue, f})
	}
	counter := func(name, help string, f func(*Stats) float64) {
		c.plain = append(c.plain, metric{prometheus.NewDesc("atrium_buffer_"+name+"_total", help, nil, nil), prometheus.CounterValue, f})
	}
	gauge("runs", "Runs held.", func(s *Stats) float64 { return float64(s.Runs) })
	gauge("depth_frames", "Frames that are not acked.", func(s *Stats) float64 { return float64(s.Frames) })
	gauge("depth_readings", "Readings in frames that are not acked.", func(s *Stats) float64 { return float64(s.Readings) })
	gauge("memory_bytes", "Frames that are not committed.", func(s *Stats) float64 { return float64(s.MemoryBytes) })
	gauge("stored_bytes", "Segments in the store.", func(s *Stats) float64 { return float64(s.StoredBytes) })
	gauge("event_bytes", "Segments of events in the store.", func(s *Stats) float64 { return float64(s.EventBytes) })
	gauge("pressure", "What the sampler is told: 0 none, 1, 2 and 3 keep each 2nd, 4th and 8th row that is due.", func(s *Stats) float64 { return float64(s.Pressure) })
	gauge("write_amplification", "Bytes that the process has written to storage, per byte of segments.", func(s *Stats) float64 { return s.WriteAmplification() })
	gauge("written_today_bytes", "Bytes of the day's write budget that are spent.", func(s *Stats) float64 { return float64(s.SpentBytes) })
	gauge("disk_bytes", "What the store takes on its disk, deleted values included.", func(s *Stats) float64 { return float64(s.DiskBytes) })
	gauge("segments", "Segments in the store.", func(s *Stats) float64 { return float64(s.Segments) })
	gauge("oldest_age_seconds", "Age of the oldest frame that is not acked.", func(s *Stats) float64 { return s.OldestAge.Seconds() })
	gauge("quarantined_frames", "Frames that the gate refused and that are kept.", func(s *Stats) float64 { return float64(s.Quarantined) })
	counter("sampled_readings", "Readings appended.", func(s *Stats) float64 { return float64(s.Sampled) })
	counter("suppressed_rows", "Rows that samplers withheld.", func(s *Stats) float64 { return float64(s.Suppressed) })
	counter("committed_readings", "Readings fsynced.", func(s *Stats) float64 { return float64(s.Committed) })
	counter("acked_readings", "Readings that the cloud has acked.", func(s *Stats) float64 { return float64(s.Acked) })
	counter("commits", "Segments written.", func(s *Stats) float64 { return float64(s.Commits) })
	counter("commit_bytes", "Bytes of segments written.", func(s *Stats) float64 { return float64(s.CommitBytes) })
	counter("merges", "Times that small segments were written again as one.", func(s *Stats) float64 { return float64(s.Merges) })
	counter("writes", "Batches given to the store.", func(s *Stats) float64 { return float64(s.Writes) })
	counter("write_errors", "Batches that the store did not confirm.", func(s *Stats) float64 { return float64(s.WriteErrors) })
	counter("bad_acks", "Acks of what was never sent.", func(s *Stats) float64 { return float64(s.BadAcks) })
	counter("dropped_event_readings", "Readings of events that left without an ack.", func(s *Stats) float64 { return float64(s.DroppedEvents) })
	for i, what := range [2]string{"items", "readings"} {
		c.drops[i] = prometheus.NewDesc("atrium_buffer_dropped_"+what+"_total", "Frames or segments, and their readings, that left without an ack.", []string{"reason"}, nil)
	}
	return reg.Register(c)
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for i := range c.plain {
		ch <- c.plain[i].desc
	}
	for _, d := range c.drops {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.b.Stats()
	for i := range c.plain {
		m := &c.plain[i]
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(&s))
	}
	for r := range dropReasons {
		d := s.Dropped[r]
		ch <- prometheus.MustNewConstMetric(c.drops[0], prometheus.CounterValue, float64(d.Items), r.String())
		ch <- prometheus.MustNewConstMetric(c.drops[1], prometheus.CounterValue, float64(d.Readings), r.String())
	}
}
