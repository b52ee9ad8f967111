package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/cluster/membership"
	"github.com/atrium-iot/atrium/cloud/cluster/scaling"
	"github.com/atrium-iot/atrium/shared/ops"
)

// advisor keeps what a node has heard of the cluster's load, and says whether it
// should grow or shrink. Each node has its own: they hear the same.
type advisor struct {
	every          time.Duration
	gauge, latency prometheus.Gauge

	mu     sync.Mutex
	record *scaling.Record
}

func newAdvisor(rules scaling.Rules, reg prometheus.Registerer) *advisor {
	return &advisor{
		every: rules.SampleEvery(), record: scaling.NewRecord(rules),
		gauge: ops.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_scaling_advice", Help: "1: add a node; -1: take one out; 0: neither.",
		})),
		latency: ops.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "atrium_scaling_latency_seconds", Help: "From a reading's arrival at a gate of the cluster to its twin, as the advice takes it.",
		})),
	}
}

// advise samples the cluster until ctx ends. While this node is cut off it hears
// too little to judge, and what it missed is a gap in its record.
func (n *node) advise(ctx context.Context) {
	tick := time.NewTicker(n.advisor.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if n.majority() == nil {
				n.advisor.sample(now, peers{n})
			}
			if a, err := n.adviceNow(); err == nil {
				n.advisor.gauge.Set(map[string]float64{"out": 1, "in": -1}[a.Action])
			}
		}
	}
}

func (a *advisor) sample(now time.Time, p peers) {
	s, ok := scaling.SampleOf(now, p.Nodes())
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.record.Add(s)
	a.latency.Set(a.record.Latency().Seconds())
}

// adviceNow is the advice as of the last sample; of a node that is cut off, to
// wait.
func (n *node) adviceNow() (client.Advice, error) {
	n.advisor.mu.Lock()
	a, err := n.advisor.record.Advise()
	since := n.advisor.record.Since()
	n.advisor.mu.Unlock()
	if err != nil {
		return client.Advice{}, err
	}
	out := client.Advice{Action: a.Action.String(), Why: a.Why, Since: since.UTC()}
	if err := n.majority(); err != nil {
		out.Action, out.Why = scaling.Stay.String(), err.Error()
	}
	if out.Action == scaling.In.String() {
		out.Node = spare(n.members.Members())
	}
	return out, nil
}

// spare is the node that a cluster misses least: the worker with the fewest
// shards, and of equals the last by name, which a series of names had last. ""
// if there are only core nodes.
func spare(all []membership.Member) string {
	all = slices.DeleteFunc(slices.Clone(all), func(m membership.Member) bool { return m.Core || m.Dead || m.Draining })
	if len(all) == 0 {
		return ""
	}
	return slices.MinFunc(all, func(a, b membership.Member) int {
		return cmp.Or(cmp.Compare(len(a.Shards), len(b.Shards)), cmp.Compare(b.Name, a.Name))
	}).Name
}
