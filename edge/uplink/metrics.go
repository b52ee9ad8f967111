package uplink

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/wire"
)

type metrics struct {
	connected   prometheus.Gauge
	rtt         prometheus.Gauge
	rate        prometheus.Gauge
	minRTT      prometheus.Gauge
	limit       prometheus.Gauge
	drain       prometheus.Gauge
	starved     prometheus.Gauge
	overTCP     prometheus.Gauge
	dials       *prometheus.CounterVec // by network
	connects    prometheus.Counter
	disconnects *prometheus.CounterVec // by reason
	rejects     *prometheus.CounterVec // by reason
	acks        prometheus.Counter
	strayAcks   prometheus.Counter
	commands    prometheus.Counter
	results     prometheus.Counter
	// straySettled counts ids of settled that were not sent, or settled before.
	straySettled prometheus.Counter
	unknown      prometheus.Counter
	// strayTimes counts answers to no question, or to one before the latest.
	strayTimes prometheus.Counter
	// redirectsIgnored counts redirects that would have gone in circles.
	redirectsIgnored prometheus.Counter
	lanes            map[wire.Lane]laneMetrics
}

type laneMetrics struct {
	bytes, frames prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_uplink_connected", Help: "1 from welcome to the end of the connection, but for when it is silent.",
		}),
		rtt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_uplink_rtt_seconds", Help: "Smoothed round trip of the connection.",
		}),
		rate: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_uplink_delivery_rate_bytes", Help: "Bytes of frames a second that the path was seen to deliver; 0 before a backlog's first ack.",
		}),
		minRTT: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_uplink_min_rtt_seconds", Help: "Shortest round trip of a packet in the last seconds of a backlog.",
		}),
		limit: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_uplink_backlog_limit_bytes", Help: "Bytes of the backlog without an ack at which no further frame of it begins.",
		}),
		drain: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_uplink_drain_bytes", Help: "Bytes of the backlog acked in a second, over the last seconds; 0 without one.",
		}),
		starved: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_uplink_starved", Help: "1 while live frames keep waiting for the gate's credit.",
		}),
		overTCP: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_uplink_over_tcp", Help: "1 while the connection goes over TCP, because UDP got no answer.",
		}),
		dials: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "atrium_uplink_dials_total", Help: "Dials, the failed ones included, by network.",
		}, []string{"network"}),
		redirectsIgnored: counter("atrium_uplink_redirects_ignored_total", "Redirects that were not followed: too many in a short time, or to the same gate."),
		connects:         counter("atrium_uplink_connects_total", "Connections that reached welcome."),
		disconnects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "atrium_uplink_disconnects_total", Help: "Dials and connections that ended, by reason.",
		}, []string{"reason"}),
		rejects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "atrium_uplink_rejects_total", Help: "Frames and gaps that the gate refused, by reason.",
		}, []string{"reason"}),
		acks:         counter("atrium_uplink_acks_total", "Runs acked: a message may ack several."),
		strayAcks:    counter("atrium_uplink_stray_total", "Acks and rejects of runs or sequences that were not sent on their connection."),
		commands:     counter("atrium_uplink_commands_total", "Commands that came, repeats included."),
		results:      counter("atrium_uplink_results_total", "Results of commands written, repeats included."),
		straySettled: counter("atrium_uplink_stray_settled_total", "Results settled that were not sent on their connection, or settled already."),
		unknown:      counter("atrium_uplink_unknown_messages_total", "Messages of optional kinds of a later protocol version, which were skipped."),
		strayTimes:   counter("atrium_uplink_stray_times_total", "Times that a gate told and that answer no question, or one before the latest."),
		lanes:        make(map[wire.Lane]laneMetrics),
	}
	bytes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_uplink_sent_bytes_total", Help: "Bytes of messages written to a lane, by lane.",
	}, []string{"lane"})
	frames := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_uplink_sent_frames_total", Help: "Frames and gaps written to a lane, repeats included, by lane.",
	}, []string{"lane"})
	for _, l := range []wire.Lane{wire.LaneLive, wire.LaneBacklog} {
		m.lanes[l] = laneMetrics{bytes.WithLabelValues(l.String()), frames.WithLabelValues(l.String())}
	}
	reg.MustRegister(m.connected, m.rtt, m.rate, m.minRTT, m.limit, m.drain, m.starved,
		m.overTCP, m.dials, m.redirectsIgnored, m.connects, m.disconnects, m.rejects, m.acks, m.strayAcks,
		m.commands, m.results, m.straySettled, m.unknown, m.strayTimes, bytes, frames)
	return m
}

func (m *metrics) see(e estimate) {
	m.rate.Set(e.rate)
	m.minRTT.Set(e.minRTT.Seconds())
	m.limit.Set(float64(e.limit))
}
