package link

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// counters are the relay's own, because the control's state shows them too.
type counters struct {
	packets [directions]atomic.Uint64 // forwarded
	bytes   [directions]atomic.Uint64
	dropped [directions][reasons]atomic.Uint64
	copies  [directions]atomic.Uint64 // packets put on their way twice
	tcp     [directions]atomic.Uint64 // bytes of TCP connections, forwarded
}

// drop is the one place where a packet is given up.
func (c *counters) drop(d Direction, r Reason) { c.dropped[d][r].Add(1) }

// register shows the counters and the queue's depth to reg.
func (c *counters) register(reg prometheus.Registerer, queued, clients, streams func() float64) {
	counter := func(name, help string, labels prometheus.Labels, v *atomic.Uint64) {
		reg.MustRegister(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(v.Load()) }))
	}
	for d := range directions {
		dir := prometheus.Labels{"direction": d.String()}
		counter("atrium_link_packets_total", "Packets forwarded.", dir, &c.packets[d])
		counter("atrium_link_bytes_total", "Bytes of packets forwarded.", dir, &c.bytes[d])
		counter("atrium_link_duplicates_total", "Packets that were doubled on their way.", dir, &c.copies[d])
		counter("atrium_link_tcp_bytes_total", "Bytes of TCP connections forwarded.", dir, &c.tcp[d])
		for r := Passed + 1; r < reasons; r++ {
			counter("atrium_link_drops_total", "Packets dropped, by reason.",
				prometheus.Labels{"direction": d.String(), "reason": r.String()}, &c.dropped[d][r])
		}
	}
	reg.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "atrium_link_queued_packets", Help: "Packets on their way."}, queued),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "atrium_link_clients", Help: "Clients in the table."}, clients),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "atrium_link_tcp_connections", Help: "TCP connections through the link."}, streams))
}
