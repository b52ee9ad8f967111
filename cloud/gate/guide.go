package gate

import (
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// guide is what a gateway is told of the cluster's other gates, right after its
// welcome.
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
