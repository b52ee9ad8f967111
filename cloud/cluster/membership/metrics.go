package membership

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/ops"
)

type metrics struct {
	changes   [changes]prometheus.Counter // nil for what is not counted here
	ignored   [changes]prometheus.Counter
	malformed prometheus.Counter
	missed    prometheus.Counter
	unwritten prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, m *Membership) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	changed := ops.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_membership_changes_total", Help: "Nodes that came, returned, died or left.",
	}, []string{"change"}))
	ignored := ops.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_membership_ignored_total", Help: "Beats and documents that changed nothing, by reason.",
	}, []string{"reason"}))
	c := &metrics{
		malformed: ignored.WithLabelValues("malformed"),
		missed: ops.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_membership_missed_beats_total", Help: "Beats of living nodes that did not come.",
		})),
		unwritten: ops.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_membership_write_errors_total", Help: "Writes of this node's document that were not committed.",
		})),
	}
	for _, what := range []change{came, returned, died, left} {
		c.changes[what] = changed.WithLabelValues(what.String())
	}
	for _, what := range []change{late, refused, twice} {
		c.ignored[what] = ignored.WithLabelValues(what.String())
	}
	for state, count := range map[string]func(Member) bool{
		"live":     func(o Member) bool { return !o.Dead && !o.Draining },
		"draining": func(o Member) bool { return !o.Dead && o.Draining },
		"dead":     func(o Member) bool { return o.Dead },
	} {
		ops.Register(reg, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "atrium_membership_members", Help: "Nodes of the cluster as this one sees them, itself included.",
			ConstLabels: prometheus.Labels{"state": state},
		}, func() float64 { return float64(m.countOf(count)) }))
	}
	ops.Register(reg, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "atrium_membership_cut_off", Help: "1 while no majority has committed a write of this node for three seconds.",
	}, func() float64 {
		if m.CutOff() {
			return 1
		}
		return 0
	}))
	return c
}

func (c *metrics) count(o outcome) {
	c.missed.Add(float64(o.missed))
	if counter := c.changes[o.change]; counter != nil {
		counter.Inc()
	}
	if counter := c.ignored[o.change]; counter != nil {
		counter.Inc()
	}
}

// countOf is how many members are as asked.
func (m *Membership) countOf(is func(Member) bool) (n int) {
	for _, o := range m.Members() {
		if is(o) {
			n++
		}
	}
	return n
}
