package cluster

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/shared/ops"
)

type metrics struct {
	claims, claimsFailed prometheus.Counter
	refences, offers     prometheus.Counter
	fenced               prometheus.Counter
	lost                 prometheus.Counter
	epoch, owned         prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, shard int) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	r := prometheus.WrapRegistererWith(prometheus.Labels{"shard": strconv.Itoa(shard)}, reg)
	claims := ops.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atrium_cluster_claims_total", Help: "Claims of a shard, by result.",
	}, []string{"result"}))
	return &metrics{
		claims:       claims.WithLabelValues("won"),
		claimsFailed: claims.WithLabelValues("failed"),
		refences: ops.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_cluster_refences_total", Help: "Barriers published again by their owner.",
		})),
		offers: ops.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_cluster_offers_total", Help: "Times that an owner offered the shard to another node.",
		})),
		fenced: ops.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_cluster_fenced_total", Help: "Owner's records that the fence refused.",
		})),
		lost: ops.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "atrium_cluster_lost_total", Help: "Ownerships that ended because another owner came.",
		})),
		epoch: ops.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_cluster_epoch", Help: "Epoch of this node's last claim.",
		})),
		owned: ops.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_cluster_owned", Help: "1 while this node owns the shard.",
		})),
	}
}
