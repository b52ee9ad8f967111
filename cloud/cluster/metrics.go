package cluster

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	claims, claimsFailed prometheus.Counter
	refences             prometheus.Counter
	fenced               prometheus.Counter
	lost                 prometheus.Counter
	epoch, owned         prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, shard int) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	r := prometheus.WrapRegistererWith(prometheus.Labels{"shard": strconv.Itoa(shard)}, reg)
	claims := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_cluster_claims_total", Help: "Claims of a shard, by result.",
	}, []string{"result"}))
	return &metrics{
		claims:       claims.WithLabelValues("won"),
		claimsFailed: claims.WithLabelValues("failed"),
		refences: register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_cluster_refences_total", Help: "Barriers published again by their owner.",
		})),
		fenced: register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_cluster_fenced_total", Help: "Owner's records that the fence refused.",
		})),
		lost: register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_cluster_lost_total", Help: "Ownerships that ended because another owner came.",
		})),
		epoch: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_cluster_epoch", Help: "Epoch of this node's last claim.",
		})),
		owned: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_cluster_owned", Help: "1 while this node owns the shard.",
		})),
	}
}

// register adds c, or returns what an earlier claim of the shard in this
// process has registered.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	err := reg.Register(c)
	var again prometheus.AlreadyRegisteredError
	if errors.As(err, &again) {
		if old, ok := again.ExistingCollector.(C); ok {
			return old
		}
	}
	if err != nil {
		panic("BUG: cluster: metrics: " + err.Error())
	}
	return c
}
