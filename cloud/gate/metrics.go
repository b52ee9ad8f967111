package gate

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/wire"
)

// metrics are a gate's own; their children are resolved once.
type metrics struct {
	connections prometheus.Gauge
	accepted    prometheus.Counter
	handshakes  prometheus.Counter
	turnedAway  turnedMetrics
	putOff      prometheus.Counter
	redirects   prometheus.Counter
	failed      prometheus.Counter
	frames      prometheus.Counter
	gaps        prometheus.Counter
	results     prometheus.Counter
	commands    commandMetrics
	bytes       prometheus.Counter
	discarded   prometheus.Counter
	unknown     prometheus.Counter
	busy        prometheus.Counter
	durable     prometheus.Histogram
	passing     prometheus.Histogram
	rejects     map[wire.RejectReason]prometheus.Counter
	closes      map[wire.CloseCode]prometheus.Counter
	lost        prometheus.Counter
}

// commandMetrics are the ends of commands at this gate.
type commandMetrics struct {
	sent, busy, notConnected, expired, lost prometheus.Counter
}

// turnedMetrics are the handshakes that were refused, by the limit they met.
type turnedMetrics struct {
	atATime, aSecond prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "atrium_gate_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "atrium_gate_" + name, Help: help}, []string{label})
		reg.MustRegister(v)
		return v
	}
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "atrium_gate_connections", Help: "Connections with a gateway's certificate."}),
		accepted:    counter("accepted_total", "Connections that were admitted."),
		handshakes:  counter("handshake_failures_total", "Handshakes that were refused: certificate or ALPN."),
		putOff:      counter("put_off_total", "Gateways that were told to come later: the node serves as many as it may, or is overloaded."),
		redirects:   counter("redirects_total", "Gateways that were told of a gate that serves their site better."),
		failed:      counter("append_failures_total", "Records that the journal did not take."),
		frames:      counter("frames_total", "Frames that were given to the journal."),
		gaps:        counter("gaps_total", "Gap frames that were given to the journal."),
		results:     counter("results_total", "Results of commands that were given to the journal."),
		bytes:       counter("bytes_total", "Bytes of messages on lanes."),
		discarded:   counter("discarded_total", "Frames and gaps that were discarded because they followed a rejected one."),
		unknown:     counter("unknown_messages_total", "Messages of optional kinds of a later protocol version, which were skipped."),
		busy:        counter("busy_waits_total", "Times that a lane rested because the journal's queue was full."),
		lost:        counter("lost_connections_total", "Connections that ended without a close: time-outs and resets."),
		durable: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "atrium_gate_ack_seconds", Help: "Time from a message's arrival until it is durable and its ack is due.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		rejects: make(map[wire.RejectReason]prometheus.Counter),
		closes:  make(map[wire.CloseCode]prometheus.Counter),
	}
	m.passing = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "atrium_gate_pass_seconds", Help: "Time that a connection rested until what its site had left in other shards was forwarded.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 15),
	})
	reg.MustRegister(m.connections, m.durable, m.passing)
	rejects := vec("rejects_total", "Rejected frames and gaps, by reason.", "reason")
	for r := wire.RejectCRC; r <= wire.RejectUnsupportedKind; r++ {
		m.rejects[r] = rejects.WithLabelValues(r.String())
	}
	turned := vec("handshakes_turned_away_total", "Handshakes that were refused, by the limit that they met.", "limit")
	m.turnedAway = turnedMetrics{atATime: turned.WithLabelValues("at-a-time"), aSecond: turned.WithLabelValues("a-second")}
	commands := vec("commands_total", "Commands for gateways, by what became of them here.", "outcome")
	m.commands = commandMetrics{
		sent:         commands.WithLabelValues("sent"),
		busy:         commands.WithLabelValues("busy"),
		notConnected: commands.WithLabelValues("not-connected"),
		expired:      commands.WithLabelValues("expired"),
		lost:         commands.WithLabelValues("lost"),
	}
	closes := vec("closes_total", "Connections that this gate or its gateway closed, by code.", "code")
	for c := wire.CloseBye; c <= wire.CloseInternal; c++ {
		m.closes[c] = closes.WithLabelValues(c.String())
	}
	return m
}

// Acks is atrium_gate_ack_seconds: how long messages took from their arrival
// until they were durable.
func (g *Gate) Acks() prometheus.Metric { return g.metrics.durable }
