package sim

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/membership"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/cluster/seat"
	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

// What follows is as in cloud/node.
const (
	membersBucket = "members"
	settle        = 2 * time.Second
	guideAfter    = 2 * time.Second
	leaveWithin   = 30 * time.Second
	leavePoll     = 50 * time.Millisecond
	passed        = "commands" // of the bus
)

// clustered is what connects a node to others: who lives, who has what, and its
// own seats at the shards. It is composed as cloud/node does.
type clustered struct {
	start   time.Time
	bus     membership.Bus
	owners  *cluster.Owners
	members *membership.Membership
	seats   *seat.Seats
	leaving atomic.Bool
	stop    func() // listening to passed commands
}

func (n *node) join(ctx context.Context) (err error) {
	c := &clustered{start: time.Now(), bus: n.cloud.bus.Node(n.name)}
	n.clustered = c
	if c.owners, err = cluster.WatchOwners(ctx, n.kv(ownersBucket), n.cloud.cfg.Shards, n.log, nil); err != nil {
		return err
	}
	if c.members, err = membership.New(membership.Config{Node: n.name}, n.kv(membersBucket), c.bus, n.self, n.log, nil); err != nil {
		return err
	}
	c.seats = seat.New(seat.Config{Node: n.name, Shards: n.cloud.cfg.Shards, Settle: settle}, seat.Parts{
		Owners: c.owners, Peers: peers{c}, Zones: func(int) []placement.ZoneLoad { return nil }, Claim: n.claim, Open: n.work,
	}, n.log, nil)
	return nil
}

// close ends what join began.
func (c *clustered) close() {
	if c.stop != nil {
		c.stop()
	}
	if c.owners != nil {
		c.owners.Close()
	}
}

// accompany runs the parts that a node alone has not: until failing ends, or
// behind the gate.
func (n *node) accompany(g *errgroup.Group, failing, behind context.Context) {
	c := n.clustered
	g.Go(func() error { return c.seats.Run(behind) })
	g.Go(func() error { return c.members.Run(behind) })
	g.Go(func() error { n.guide(failing); return nil })
	g.Go(func() (err error) {
		c.stop, err = c.bus.Subscribe(passed, n.passOn)
		return err
	})
}

// self is what this node says of itself.
func (n *node) self() membership.Member {
	m := membership.Member{
		Name: n.name, Zone: "home", Version: "sim", Core: true, Capacity: 2, Draining: n.clustered.leaving.Load(),
		StartedAt: n.clustered.start.UTC(), Gate: n.addr.String(), Peer: n.addr.String(),
	}
	if s := n.clustered.seats; s != nil {
		for _, held := range s.Held() {
			m.Shards = append(m.Shards, held.Shard)
		}
	}
	return m
}

// peers is membership as the seats see it.
type peers struct{ c *clustered }

func (p peers) Changed() <-chan struct{} { return p.c.members.Changed() }
func (p peers) StableSince() time.Time   { return p.c.members.StableSince() }
func (p peers) Rate(int) float64         { return 0 }

func (p peers) Nodes() (all []placement.Node) {
	for _, m := range p.c.members.Members() {
		all = append(all, m.Node())
	}
	return all
}

// gates are where gateways reach the nodes that live.
func (n *node) gates() (all []string) {
	for _, m := range n.clustered.members.Members() {
		if !m.Dead && !m.Draining {
			all = append(all, m.Gate)
		}
	}
	return all
}

// gateOf says where the owner of a site takes gateways.
func (n *node) gateOf(name id.Site) (address string, here bool) {
	shard, known := n.catalog.Known(name)
	if !known {
		return "", true
	}
	owner := n.clustered.owners.Of(shard).Serving()
	for _, m := range n.clustered.members.Members() {
		if m.Name == owner && !m.Dead && !m.Draining && owner != n.name {
			n.cloud.redirected()
			if n.cloud.sabotage.Astray {
				return (&net.UDPAddr{IP: net.IP{10, 0, 1, 99}, Port: n.addr.Port}).String(), false
			}
			return m.Gate, false
		}
	}
	return "", true
}

// guide sends connected gateways after their sites' owners until ctx ends.
func (n *node) guide(ctx context.Context) {
	changed := n.clustered.owners.Changed()
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		for quiet := false; !quiet; {
			changed = n.clustered.owners.Changed()
			select {
			case <-changed:
			case <-time.After(guideAfter):
				quiet = true
			case <-ctx.Done():
				return
			}
		}
		n.gate.Guide(ctx)
	}
}

// leave gives the node's shards to others and then ends it.
func (n *node) leave(ctx context.Context) {
	n.clustered.leaving.Store(true)
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	for len(n.clustered.seats.Held()) > 0 && ctx.Err() == nil && !n.reach.killed() {
		select {
		case <-time.After(leavePoll):
		case <-ctx.Done():
		}
	}
	n.end()
}

// sender is a node's gate as an owner sees it: what it sends is noted. A replay
// sends nothing (I7).
type sender struct {
	node *node
	by   reign
	work *site.Shard
}

// Command implements site.Sender. The gateway may be connected to another node.
func (s *sender) Command(gw id.Gateway, c wire.Command) error {
	s.node.cloud.tap.sends(s.by, c.ID)
	select {
	case <-s.work.Active():
	default:
		s.node.cloud.trace.complain("I7", "%s sends command %s while it recovers", s.node.name, c.ID)
	}
	err := s.node.gate.Command(gw, c)
	if s.node.clustered == nil || !errors.Is(err, gate.ErrNotConnected) {
		return err
	}
	return s.node.clustered.bus.Publish(passed, c.Append(append([]byte(gw.String()), 0)))
}

// passOn gives a command of another node to a gateway that is here.
func (n *node) passOn(m journal.BusMessage) {
	name, body, _ := bytes.Cut(m.Data, []byte{0})
	gw, err := id.ParseGateway(string(name))
	if err != nil {
		n.cloud.trace.complain("I6", "%s was passed a command without a gateway: %v", n.name, err)
		return
	}
	c, err := wire.ParseCommand(body)
	if err == nil {
		err = n.gate.Command(gw, c)
	}
	if err != nil && !errors.Is(err, gate.ErrNotConnected) {
		n.log.Warn("a command of another node was not passed on", "err", err)
	}
}
