package node

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/cluster/transport"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/id"
)

// openActors makes the node's actor system. Its actors reach those of other
// nodes over the bus, and are reached from there once serve runs.
func (n *node) openActors() (err error) {
	log := n.log.With("part", "actors")
	n.transport = transport.New(addressOf(n.cfg.Name), n.locate, n.bus, log, n.reg)
	n.actors = actor.NewActorSystem(actor.Config{Address: n.cfg.Name, ClusterName: n.ca.Cluster()}, log,
		actor.WithMetrics(n.reg), actor.WithTransport(n.transport))
	n.summaries, err = n.registerSummaries()
	return err
}

// addressOf is the address of a node's actors: its name, since the bus needs no
// port.
func addressOf(node string) string { return net.JoinHostPort(node, "0") }

// locate is the transport's actor.Transport.Locate: the actor of a site is where
// the site's shard is served, any other is this node's own.
func (n *node) locate(ctx context.Context, of string, fresh bool) (address string, err error) {
	kind, name, _ := strings.Cut(of, "/")
	if kind != summaryType {
		return addressOf(n.cfg.Name), nil
	}
	site, err := id.ParseSite(name)
	if err != nil {
		return "", err
	}
	shard, err := n.shardOf(ctx, site)
	if err != nil {
		return "", err
	}
	if _, here := n.seats.Of(shard); here {
		return addressOf(n.cfg.Name), nil
	}
	owner, err := n.ownerOf(ctx, shard, fresh)
	switch {
	case err != nil:
		return "", err
	case owner.Node == n.cfg.Name: // as others were told: it has just come, or just gone
		return "", fmt.Errorf("%w: shard %d is not served here now", api.ErrUnavailable, shard)
	}
	return addressOf(owner.Node), nil
}
