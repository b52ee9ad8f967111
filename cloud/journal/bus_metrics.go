package journal

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/ops"
)

// busMetrics counts what one node says and hears on the bus.
type busMetrics struct {
	messages, requests             *prometheus.CounterVec
	sent, received                 prometheus.Counter
	answered, nobody, withoutReply prometheus.Counter
}

func newBusMetrics() *busMetrics {
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_journal_bus_messages_total", Help: "Messages published and messages received, by way.",
	}, []string{"way"})
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_journal_bus_requests_total", Help: "Requests to other nodes, by result.",
	}, []string{"result"})
	return &busMetrics{
		messages: messages, requests: requests,
		sent: messages.WithLabelValues("sent"), received: messages.WithLabelValues("received"),
		answered: requests.WithLabelValues("answered"), nobody: requests.WithLabelValues("nobody"),
		withoutReply: requests.WithLabelValues("unanswered"),
	}
}

func (m *busMetrics) requested(err error) {
	switch {
	case err == nil:
		m.answered.Inc()
	case errors.Is(err, nats.ErrNoResponders):
		m.nobody.Inc()
	default:
		m.withoutReply.Inc()
	}
}

// register shows the bus's metrics in reg, nil for nowhere.
func (b *Bus) register(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	ops.Register(reg, b.metrics.messages)
	ops.Register(reg, b.metrics.requests)
	ops.Register(reg, prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "atrium_journal_bus_dropped_total", Help: "Messages that found the queue of their subscriber full.",
	}, b.lost))
}
