package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/api"
	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/membership"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/cluster/scaling"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/peer"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

const (
	// membersBucket holds the documents node.<name> and drain.<name>.
	membersBucket = "members"
	// settle is how long a node of a cluster listens before it takes what nobody
	// seems to have: several beats of every other.
	settle = 2 * time.Second
	// formNotice is how often a node that waits for the others says so.
	formNotice = 10 * time.Second
	// leaveWithin bounds how long a node that stops waits for others to take its
	// shards. What is left then, they take as from a dead one.
	leaveWithin = 30 * time.Second
	// leavePoll is how often it looks.
	leavePoll = 50 * time.Millisecond
)

// ClusterConfig makes a node one of several. All of them have the same CA, which
// is copied to each before its first start.
type ClusterConfig struct {
	// Core are the core nodes' addresses for each other, HOST:PORT, the same list
	// on every node. The first named founds the cluster's store, and brings in
	// what it stored while it was alone.
	Core []string
	// Route is this node's own; of a core node it is one of Core.
	Route string
	// Peer is where this node answers the others' HTTP, HOST:PORT.
	Peer string
	// Gate is where gateways reach this node, HOST:PORT; "" if they are not to
	// be told.
	Gate string
	// Worker has no store and takes shards only.
	Worker bool
}

func (c *ClusterConfig) founder() bool { return !c.Worker && len(c.Core) > 0 && c.Core[0] == c.Route }

// openCA opens the cluster's CA. Only a node alone makes a new one: two nodes
// that each made their own would never meet.
func (n *node) openCA() (*identity.CA, error) {
	dir := filepath.Join(n.cfg.Data, CAFolder)
	if n.cfg.Cluster != nil {
		file := filepath.Join(dir, identity.StoreFile)
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s is not there: copy it from the cluster's first node; on that one, atrium-cloud issue authority makes it", file)
		}
	}
	return identity.OpenCA(dir)
}

func (n *node) serverConfig() (journal.ServerConfig, error) {
	cfg := journal.ServerConfig{Dir: filepath.Join(n.cfg.Data, journalFolder), Name: n.cfg.Name}
	c := n.cfg.Cluster
	if c == nil {
		return cfg, nil
	}
	if host, _, err := net.SplitHostPort(c.Peer); err != nil || host == "" || net.ParseIP(host).IsUnspecified() {
		return cfg, fmt.Errorf("cluster: address for the other nodes' HTTP %q: want HOST:PORT with a host that they can dial", c.Peer)
	}
	route, err := n.ca.RouteTLS(n.cfg.Name)
	if err != nil {
		return cfg, err
	}
	cfg.Cluster = &journal.ClusterConfig{ID: n.ca.Cluster(), Listen: c.Route, Core: c.Core, TLS: route, Worker: c.Worker, Founder: c.founder()}
	return cfg, nil
}

// form waits for the cluster's store, and says so while it does.
func (n *node) form(ctx context.Context) error {
	formed := make(chan error, 1)
	go func() { formed <- n.server.Form(ctx) }()
	notice := time.NewTicker(formNotice)
	defer notice.Stop()
	for {
		select {
		case err := <-formed:
			return err
		case <-notice.C:
			n.log.Info("waiting for the core nodes", "core", n.cfg.Cluster.Core, "since", time.Since(n.start).Round(time.Second))
		}
	}
}

// joinCluster makes what connects this node to others: membership, the seats
// and, in a cluster, their HTTP and the commands that they pass on.
func (n *node) joinCluster(ctx context.Context) error {
	kv, err := journal.OpenKV(ctx, n.server, membersBucket)
	if err != nil {
		return err
	}
	alone := n.cfg.Cluster == nil
	if n.members, err = membership.New(membership.Config{Node: n.cfg.Name, Alone: alone}, kv, n.bus, n.self, n.log, n.reg); err != nil {
		return err
	}
	n.seats, n.strain, n.advisor = n.newSeats(), newStrain(n.reg), newAdvisor(cmp.Or(n.cfg.Scaling, scaling.Default()), n.reg)
	route, err := n.ca.RouteTLS(n.cfg.Name)
	if err != nil {
		return err
	}
	n.peer = peer.New(peer.Config{
		Node: n.cfg.Name, TLS: route, Shards: len(n.logs), Shard: n.shardOf, Owner: n.ownerOf, Watch: n.watchShard,
		Moved: n.catalog.Moved,
	}, n.log.With("part", "peer"), n.reg)
	if alone {
		return nil
	}
	if n.others, err = ops.Listen(ctx, n.cfg.Cluster.Peer); err != nil {
		return fmt.Errorf("address for the other nodes' HTTP: %w", err)
	}
	return errors.Join(n.passCommands(), n.answerPassed())
}

// self is what this node says of itself.
func (n *node) self() membership.Member {
	m := membership.Member{
		Name: n.cfg.Name, Zone: n.cfg.Zone, Version: ops.Version(), Core: n.cfg.Cluster == nil || !n.cfg.Cluster.Worker,
		Capacity: float64(runtime.GOMAXPROCS(0)), Load: n.load.node(), Draining: n.leaving.Load(),
		StartedAt: n.start.UTC(), Gateways: n.gate.Connections(), Moves: true,
	}
	if c := n.cfg.Cluster; c != nil {
		m.Gate, m.Peer = c.Gate, c.Peer
	}
	if n.strain != nil {
		m.Overload = n.strain.triggers()
	}
	if n.seats != nil {
		for _, s := range n.seats.Held() {
			m.Shards = append(m.Shards, s.Shard)
		}
		m.Rates = n.load.rates(m.Shards)
	}
	return m
}

// peers is membership as the seats see it.
type peers struct{ n *node }

func (p peers) Changed() <-chan struct{} { return p.n.members.Changed() }
func (p peers) StableSince() time.Time   { return p.n.members.StableSince() }

// Rate is what the shard's owner says of it, or the one before.
func (p peers) Rate(shard int) float64 {
	m, lives := p.n.member(p.n.owners.Of(shard).Serving())
	if i := slices.Index(m.Shards, shard); lives && i >= 0 && i < len(m.Rates) {
		return m.Rates[i]
	}
	return p.n.load.last(shard)
}

func (p peers) Nodes() (all []placement.Node) {
	for _, m := range p.n.members.Members() {
		all = append(all, m.Node())
	}
	return all
}

// member returns another node that lives, or this one.
func (n *node) member(name string) (membership.Member, bool) {
	for _, m := range n.members.Members() {
		if m.Name == name && !m.Dead {
			return m, true
		}
	}
	return membership.Member{}, false
}

// majority returns an error while this node is cut off from the others: what it
// says may be old.
func (n *node) majority() error {
	if n.members.CutOff() {
		return errors.New("no write of this node reaches a majority of the core nodes: what it shows may be old")
	}
	return nil
}

// gates are where gateways reach the nodes that live.
func (n *node) gates() (all []string) {
	for _, m := range n.members.Members() {
		if !m.Dead && !m.Draining && m.Gate != "" {
			all = append(all, m.Gate)
		}
	}
	return all
}

// gateOf says where the owner of a site takes gateways. Without one that lives,
// here is as good as anywhere.
func (n *node) gateOf(name id.Site) (address string, here bool) {
	shard, known := n.catalog.Known(name)
	if !known {
		return "", true
	}
	owner := n.owners.Of(shard).Serving()
	if m, lives := n.member(owner); lives && owner != n.cfg.Name && m.Gate != "" && !m.Draining {
		return m.Gate, false
	}
	return "", true
}

// guideAfter is how long the owners must have stood still before gateways are
// sent after them: shards come in groups, and each step costs a handshake.
const guideAfter = 2 * time.Second

// guide sends connected gateways after their sites' owners until ctx ends.
func (n *node) guide(ctx context.Context) {
	changed := n.owners.Changed()
	for {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		for quiet := false; !quiet; {
			changed = n.owners.Changed()
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

// shardOf is where a site's state is.
func (n *node) shardOf(ctx context.Context, name id.Site) (int, error) {
	shard, _, ok, err := n.catalog.Shard(ctx, name)
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return 0, fmt.Errorf("site %s: %w", name, api.ErrNotFound)
	}
	return shard, nil
}

// ownerOf is who has a shard, by the map, or with fresh by what is stored.
func (n *node) ownerOf(ctx context.Context, shard int, fresh bool) (peer.Owner, error) {
	name := n.owners.Of(shard).Serving()
	if fresh {
		e, err := n.documents.Get(ctx, cluster.Key(shard))
		if err != nil {
			return peer.Owner{}, err
		}
		d, err := cluster.ParseDocument(e.Value)
		if err != nil {
			return peer.Owner{}, err
		}
		if d.State != cluster.Offered {
			name = d.Owner
		}
	}
	m, lives := n.member(name)
	switch {
	case name == "":
		return peer.Owner{}, fmt.Errorf("%w: shard %d has no owner yet", api.ErrUnavailable, shard)
	case !lives:
		return peer.Owner{}, fmt.Errorf("%w: shard %d is on its way from %s, which is gone, to another node", api.ErrUnavailable, shard, name)
	}
	return peer.Owner{Node: m.Name, Address: m.Peer}, nil
}

// departure returns a context that ends when this node may stop: in a cluster
// once others have its shards, alone with ctx.
func (n *node) departure(ctx context.Context) (context.Context, context.CancelFunc) {
	if n.cfg.Cluster == nil {
		return ctx, func() {}
	}
	out, end := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer end()
		select {
		case <-ctx.Done():
		case <-out.Done():
			return
		}
		n.leave(out)
	}()
	return out, end
}

// leave gives the shards to others, as far as there are any that take them.
func (n *node) leave(ctx context.Context) {
	n.leaving.Store(true)
	begin := time.Now()
	n.log.Info("leaving: the shards go to other nodes", "shards", len(n.seats.Held()))
	ctx, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	look := time.NewTicker(leavePoll)
	defer look.Stop()
	for len(n.seats.Held()) > 0 && n.hasHeir() {
		select {
		case <-look.C:
		case <-ctx.Done():
			n.log.Warn("leaving with shards that no other node has taken", "shards", len(n.seats.Held()))
			return
		}
	}
	n.log.Info("left", "took", time.Since(begin).Round(time.Millisecond))
}

// hasHeir says whether another node could take a shard.
func (n *node) hasHeir() bool {
	for _, p := range (peers{n}).Nodes() {
		if p.Name != n.cfg.Name && p.State == placement.Live {
			return true
		}
	}
	return false
}
