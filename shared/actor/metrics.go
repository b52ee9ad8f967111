package actor

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// drop is why an accepted message was never handled.
type drop uint8

const (
	dropPanic         drop = iota // its actor panicked before
	dropTurn                      // its turn ended by a panic or at its limit
	dropSystemStopped             // the system's Stop ran out of time
	dropGroupStopped              // its group stopped
	dropLateReply                 // an answer that nobody waited for
	drops
)

func (d drop) String() string {
	return [drops]string{"panic", "turn", "system_stopped", "group_stopped", "late_reply"}[d]
}

// metrics are the counters of one system, by dispatcher and by the receiver's
// Go type. Groups count under the dispatcher "group".
type metrics struct {
	actors   *prometheus.GaugeVec
	messages *prometheus.CounterVec
	panics   *prometheus.CounterVec
	refusals *prometheus.CounterVec
	dead     *prometheus.CounterVec

	mu    sync.Mutex
	known map[[2]string]*stats
}

// stats are the resolved children of one dispatcher and type.
type stats struct {
	actors      prometheus.Gauge
	messages    prometheus.Counter
	panics      prometheus.Counter
	full        prometheus.Counter
	stopped     prometheus.Counter
	outside     prometheus.Counter
	limit       prometheus.Counter
	deadLetters [drops]prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, depths func(func(name string, actors int))) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	by := []string{"dispatcher", "type"}
	byReason := []string{"dispatcher", "type", "reason"}
	m := &metrics{
		actors: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "atrium_actor_actors", Help: "Actors that live.",
		}, by),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "atrium_actor_messages_total", Help: "Messages handled, the ones that panicked included.",
		}, by),
		panics: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "atrium_actor_panics_total", Help: "Panics in receivers and their hooks.",
		}, by),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "atrium_actor_refusals_total", Help: "Messages refused to their sender.",
		}, byReason),
		dead: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "atrium_actor_dead_letters_total", Help: "Messages accepted and never handled.",
		}, byReason),
		known: make(map[[2]string]*stats),
	}
	reg.MustRegister(m.actors, m.messages, m.panics, m.refusals, m.dead, &queueDepths{
		desc:   prometheus.NewDesc("atrium_actor_run_queue_actors", "Actors that wait for a worker.", []string{"dispatcher"}, nil),
		depths: depths,
	})
	return m
}

// of resolves the counters of one dispatcher and receiver type.
func (m *metrics) of(dispatcher, typ string) *stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := [2]string{dispatcher, typ}
	if s := m.known[key]; s != nil {
		return s
	}
	s := &stats{
		actors:   m.actors.WithLabelValues(dispatcher, typ),
		messages: m.messages.WithLabelValues(dispatcher, typ),
		panics:   m.panics.WithLabelValues(dispatcher, typ),
		full:     m.refusals.WithLabelValues(dispatcher, typ, "mailbox_full"),
		stopped:  m.refusals.WithLabelValues(dispatcher, typ, "stopped"),
		outside:  m.refusals.WithLabelValues(dispatcher, typ, "outside_group"),
		limit:    m.refusals.WithLabelValues(dispatcher, typ, "turn_limit"),
	}
	for d := range s.deadLetters {
		s.deadLetters[d] = m.dead.WithLabelValues(dispatcher, typ, drop(d).String())
	}
	m.known[key] = s
	return s
}

func (s *stats) handled(n int) {
	if n > 0 {
		s.messages.Add(float64(n))
	}
}

// dead counts n accepted messages that nobody will handle.
func (s *stats) dead(why drop, n int) {
	if n > 0 {
		s.deadLetters[why].Add(float64(n))
	}
}

// refused counts n messages that their sender got back with err.
func (s *stats) refused(err error, n int) {
	switch err {
	case ErrMailboxFull:
		s.full.Add(float64(n))
	case ErrStopped:
		s.stopped.Add(float64(n))
	case ErrTurnLimit:
		s.limit.Add(float64(n))
	default:
		s.outside.Add(float64(n))
	}
}

// queueDepths reads the run queues when it is scraped.
type queueDepths struct {
	desc   *prometheus.Desc
	depths func(func(name string, actors int))
}

// Describe implements prometheus.Collector.
func (q *queueDepths) Describe(ch chan<- *prometheus.Desc) { ch <- q.desc }

// Collect implements prometheus.Collector.
func (q *queueDepths) Collect(ch chan<- prometheus.Metric) {
	q.depths(func(name string, actors int) {
		ch <- prometheus.MustNewConstMetric(q.desc, prometheus.GaugeValue, float64(actors), name)
	})
}
