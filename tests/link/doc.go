// Package link joins the real uplink to real gates over a simulated network, in
// fake time: what a balancer, a NAT and a node that starts again do to the
// connections of gateways, and what a thousand of them do to a gate. Doubles
// are the network (quic-go's simnet), the gateway's disk and the journal. How
// the whole line fares under random faults is tests/sim's business.
package link
