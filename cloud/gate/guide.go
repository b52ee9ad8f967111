package gate

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// guideEvery is the pause between two gateways that are sent elsewhere: each of
// them costs the other gate a handshake.
const guideEvery = 5 * time.Millisecond

// guide is what a gateway is told of the cluster's other gates: right after its
// welcome, and again when its site's owner moves.
type guide struct {
	nodes    []string
	redirect string // empty: this gate serves its site
}

// guideFor is the guide of a gateway as of now.
func (g *Gate) guideFor(gw id.Gateway) guide {
	var out guide
	if g.cfg.Nodes != nil {
		for _, address := range g.cfg.Nodes() {
			if g.dialled(address) && len(out.nodes) < wire.MaxNodes {
				out.nodes = append(out.nodes, address)
			}
		}
	}
	if g.cfg.Owner == nil {
		return out
	}
	if address, here := g.cfg.Owner(gw.Site); !here && g.dialled(address) {
		out.redirect = address
		g.metrics.redirects.Inc()
	}
	return out
}

// Guide tells the gateways whose site is now better served by another gate, one
// after the other, and returns when all have been told or ctx ends.
func (g *Gate) Guide(ctx context.Context) {
	g.mu.Lock()
	conns := slices.Collect(maps.Values(g.current))
	g.mu.Unlock()
	for _, c := range conns {
		if address, here := g.cfg.Owner(c.gateway.Site); here || !c.untold(address) {
			continue
		}
		c.tell(g.guideFor(c.gateway))
		select {
		case <-time.After(guideEvery):
		case <-ctx.Done():
			return
		}
	}
}

// untold says whether the gateway has not been told of a gate yet.
func (c *conn) untold(address string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session.redirected != address
}

// tell has the gateway told of other gates.
func (c *conn) tell(told guide) {
	c.mu.Lock()
	said := c.session.tell(told)
	c.mu.Unlock()
	if said {
		c.writer.call()
	}
}

// tell takes a guide into the outbox. Before welcome, welcome says it.
func (s *session) tell(told guide) bool {
	if s.phase == over {
		return false
	}
	s.guide, s.redirected = told, told.redirect
	s.out.guided = s.phase == open
	return s.out.guided
}

// dialled says whether gateways could dial an address: one that they could not
// parse would end their connections.
func (g *Gate) dialled(address string) bool {
	err := wire.CheckAddress(address)
	if err != nil && g.turned.allow(time.Now()) {
		g.log.Warn("gateways are not told of a gate", "address", address, "reason", err)
	}
	return err == nil
}

// append writes the guide as items of the control stream.
func (g guide) append(dst []byte) []byte {
	if len(g.nodes) > 0 {
		dst = wire.AppendItem(dst, (&wire.Nodes{Addresses: g.nodes}).Append(nil))
	}
	if g.redirect != "" {
		dst = wire.AppendItem(dst, (&wire.Redirect{Address: g.redirect, Reason: wire.RedirectOwner}).Append(nil))
	}
	return dst
}
