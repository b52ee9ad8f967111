package actor

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/actor/envelope"
)

// remoteCounts are the accounts of a system with a transport that belong to no
// type of actors. Messages to other nodes count under the dispatcher "remote"
// and their codec's name, as those of local actors do.
type remoteCounts struct {
	hops     [envelope.MaxHops + 1]atomic.Uint64 // delivered messages, by nodes they were sent to
	outcomes [envelope.Outcomes]atomic.Uint64    // of messages from other nodes

	hopsDesc, receivedDesc *prometheus.Desc
}

func newRemoteCounts(reg prometheus.Registerer) *remoteCounts {
	m := &remoteCounts{
		hopsDesc: prometheus.NewDesc("atrium_actor_hops",
			"Nodes that a message was sent to until one had its actor.", nil, nil),
		receivedDesc: prometheus.NewDesc("atrium_actor_received_total",
			"Messages from other nodes.", []string{"outcome"}, nil),
	}
	if reg != nil {
		reg.MustRegister(m)
	}
	return m
}

func (m *remoteCounts) arrived(hops uint8) { m.hops[hops].Add(1) }

func (m *remoteCounts) received(o envelope.Outcome, n int) { m.outcomes[o].Add(uint64(n)) }

// Describe implements prometheus.Collector.
func (m *remoteCounts) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.hopsDesc
	ch <- m.receivedDesc
}

// Collect implements prometheus.Collector.
func (m *remoteCounts) Collect(ch chan<- prometheus.Metric) {
	buckets := make(map[float64]uint64)
	count, sum := uint64(0), uint64(0)
	for hops := range m.hops {
		n := m.hops[hops].Load()
		count += n
		sum += n * uint64(hops)
		if hops > 0 {
			buckets[float64(hops)] = count
		}
	}
	ch <- prometheus.MustNewConstHistogram(m.hopsDesc, count, float64(sum), buckets)
	for o := range m.outcomes {
		ch <- prometheus.MustNewConstMetric(m.receivedDesc, prometheus.CounterValue,
			float64(m.outcomes[o].Load()), envelope.Outcome(o).String())
	}
}
