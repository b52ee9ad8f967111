package site

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/history"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/ops"
)

type metrics struct {
	records map[journal.RecordKind]prometheus.Counter
	gaps    map[history.Reason]prometheus.Counter

	readings, duplicates, late, suspect, refused, silenced, dead prometheus.Counter
	failures, ticks, lost, badSnapshots, snapshotErrors          prometheus.Counter
	documents, rows, tooLate, unread, windows, raised            prometheus.Counter
	sent, unsent, ended                                          prometheus.Counter
	applied, lag, purged, snapshotBytes, watchers                prometheus.Gauge
	parts, partErrors, partsGiven, badParts, partsJoined         prometheus.Counter
	hole, adopted, delay                                         prometheus.Gauge
	departures, arrivals, moveErrors, forwarded                  prometheus.Counter
	moveSeconds                                                  prometheus.Histogram
	historyWrite, snapshotSeconds                                prometheus.Histogram
}

// newMetrics registers with reg, or with nothing if it is nil. Each shard has
// its own series by the label shard.
func newMetrics(reg prometheus.Registerer, shard int) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	r := registrar{prometheus.WrapRegistererWith(prometheus.Labels{"shard": strconv.Itoa(shard)}, reg)}
	m := &metrics{
		records:    make(map[journal.RecordKind]prometheus.Counter),
		gaps:       make(map[history.Reason]prometheus.Counter),
		readings:   r.counter("atrium_site_readings_total", "Readings applied to twins and history."),
		duplicates: r.counter("atrium_site_duplicates_total", "Frames and gaps that were applied before, dropped."),
		late:       r.counter("atrium_site_late_total", "Frames and gaps of retired runs, dropped and in the ledger."),
		suspect:    r.counter("atrium_site_clock_suspect_total", "Reported values whose sample time lay too far in the future."),
		refused:    r.counter("atrium_site_points_refused_total", "Readings of points beyond a twin's limit."),
		silenced:   r.counter("atrium_site_devices_silenced_total", "Devices that fell silent."),
		dead:       r.counter("atrium_site_dead_letters_total", "Records that could not be applied."),
		failures:   r.counter("atrium_site_failures_total", "Turns that panicked or ran over their limit."),
		ticks:      r.counter("atrium_site_ticks_total", "Tick messages published."),
		lost:       r.counter("atrium_site_lost_messages_total", "Messages that neither the log nor a snapshot holds, or whose rows history lacks and no part holds."),

		documents: r.counter("atrium_site_documents_total", "Rooms and pipelines that were taken or removed."),
		rows:      r.counter("atrium_site_pipeline_rows_total", "Rows that pipelines read."),
		tooLate:   r.counter("atrium_site_pipeline_rows_too_late_total", "Rows older than pipelines take, dropped."),
		unread:    r.counter("atrium_site_pipeline_rows_refused_total", "Rows of devices beyond what the pipelines of a site may read, dropped."),
		windows:   r.counter("atrium_site_windows_total", "Windows of pipelines that were closed."),
		raised:    r.counter("atrium_site_alarms_raised_total", "Alarms that were raised."),
		sent:      r.counter("atrium_site_commands_sent_total", "Commands given to the gate, repetitions included."),
		unsent:    r.counter("atrium_site_commands_unsent_total", "Commands that the gate did not take; they are tried again until they expire."),
		ended:     r.counter("atrium_site_commands_ended_total", "Commands that were done, failed, refused, expired or unanswered."),
		watchers:  r.gauge("atrium_site_watchers", "Live streams that hear of this shard's changes."),

		parts:       r.counter("atrium_site_parts_total", "Parts of history put for the shard's next owner."),
		partErrors:  r.counter("atrium_site_part_errors_total", "Tries to put a part of history that failed."),
		partsGiven:  r.counter("atrium_site_parts_given_up_total", "Parts of history that gave way because their bucket was full."),
		partsJoined: r.counter("atrium_site_parts_joined_total", "Small parts of history that were joined to larger ones."),
		badParts:    r.counter("atrium_site_bad_parts_total", "Parts of history that are damaged."),
		hole:        r.gauge("atrium_site_history_hole_messages", "Messages whose rows this node's history still lacks after it took over."),
		adopted:     r.gauge("atrium_site_adopted_sites", "Sites of which this node's history still lacks rows from the shard that they came from."),

		departures:  r.labelled("atrium_site_moves_total", "Sites that left the shard or came into it, replays included.", "way", "out"),
		arrivals:    r.labelled("atrium_site_moves_total", "Sites that left the shard or came into it, replays included.", "way", "in"),
		moveErrors:  r.counter("atrium_site_move_errors_total", "Steps of a site's move that failed and are tried again."),
		forwarded:   r.counter("atrium_site_forwarded_total", "Records of a site that had left, forwarded to the shard that it went to."),
		moveSeconds: r.histogram("atrium_site_move_seconds", "Time from a site's departure until it was served in its new shard."),

		badSnapshots:    r.counter("atrium_site_bad_snapshots_total", "Manifests that could not be restored."),
		snapshotErrors:  r.counter("atrium_site_snapshot_errors_total", "Snapshots that could not be kept."),
		applied:         r.gauge("atrium_site_applied_sequence", "The last journal message applied."),
		lag:             r.gauge("atrium_site_lag_messages", "Messages between the last applied and the log's end."),
		delay:           r.gauge("atrium_site_delay_seconds", "How long the end of the log waited for its owner, or waits."),
		purged:          r.gauge("atrium_site_purged_below_sequence", "The log was purged below this message."),
		snapshotBytes:   r.gauge("atrium_site_snapshot_bytes", "Size of the objects of the last snapshot."),
		historyWrite:    r.histogram("atrium_site_history_write_seconds", "Time of one write to history."),
		snapshotSeconds: r.histogram("atrium_site_snapshot_seconds", "Time from a snapshot's begin to the purge after it."),
	}
	for _, k := range []journal.RecordKind{
		journal.KindHello, journal.KindBind, journal.KindSchema, journal.KindClock, journal.KindFrame, journal.KindGap,
		journal.KindResult, journal.KindBarrier, journal.KindSnapshot, journal.KindTick, journal.KindSkip,
		journal.KindDocument, journal.KindIntent, journal.KindOutbox,
		journal.KindMark, journal.KindDeparture, journal.KindArrival,
	} {
		m.records[k] = r.labelled("atrium_site_records_total", "Records applied, by kind.", "kind", k.String())
	}
	for _, g := range []history.Reason{
		history.Quota, history.Rejected, history.Corrupt, history.Crash, history.Missing, history.UnknownRemainder,
		history.Late, history.Undecodable, history.Skipped, history.IdentityTwice, history.UnknownRun,
	} {
		m.gaps[g] = r.labelled("atrium_site_ledger_entries_total", "Ledger entries, by reason.", "reason", g.String())
	}
	return m
}

func (m *metrics) record(k journal.RecordKind) {
	if c := m.records[k]; c != nil {
		c.Inc()
	}
}

// turn moves a site's totals into the metrics.
func (m *metrics) turn(t *totals) {
	m.readings.Add(float64(t.readings))
	for _, c := range [...]struct {
		n int
		c prometheus.Counter
	}{
		{t.duplicates, m.duplicates},
		{t.late, m.late},
		{t.suspect, m.suspect},
		{t.refused, m.refused},
		{t.silenced, m.silenced},
		{t.dead, m.dead},
		{t.documents, m.documents},
		{t.ended, m.ended},
		{t.unread, m.unread},
		{int(t.rows.Rows), m.rows},
		{int(t.rows.TooLate), m.tooLate},
		{int(t.rows.Windows), m.windows},
		{int(t.rows.Raised), m.raised},
	} {
		if c.n > 0 {
			c.c.Add(float64(c.n))
		}
	}
	for reason, n := range t.gaps {
		if c := m.gaps[reason]; c != nil {
			c.Add(float64(n))
		}
	}
	clear(t.gaps)
	*t = totals{gaps: t.gaps}
}

// registrar makes collectors. A shard that comes back to a node goes on with
// the series of its time there before.
type registrar struct{ reg prometheus.Registerer }

func (r registrar) counter(name, help string) prometheus.Counter {
	return ops.Register(r.reg, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
}

func (r registrar) labelled(name, help, label, value string) prometheus.Counter {
	return ops.Register(r.reg, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: prometheus.Labels{label: value}}))
}

func (r registrar) gauge(name, help string) prometheus.Gauge {
	return ops.Register(r.reg, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
}

func (r registrar) histogram(name, help string) prometheus.Histogram {
	return ops.Register(r.reg, prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15)}))
}
