package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
)

// pair is how many nodes there may be at a time that claim every shard: the owner,
// and the one that it was taken over from and that does not know yet. Nodes of a
// cluster share the shards, and there may be maxNodes.
const (
	pair     = 2
	maxNodes = 3
)

// nodePause is how long a node that ended stays down.
const nodePause = 300 * time.Millisecond

// cloud is what outlives nodes: the journal's store and history, which all
// nodes share here as a replicated store will be, and the CA.
type cloud struct {
	cfg      CloudPlan
	trace    *trace
	tap      *tap
	net      *network
	ca       *identity.CA
	mem      *journaltest.Mem
	faults   *faults
	history  *records
	sabotage Sabotage
	bus      *journaltest.Bus
	deaths   *deaths
	restored atomic.Bool // the store was put back: the next node begins an incarnation

	mu      sync.Mutex
	primary int            // the slot whose node is kept up
	empty   [maxNodes]bool // kept down for a while
	nodes   [maxNodes]*node
	lives   int
	refused int // nodes that ended because another owns a shard

	redirects int           // welcomes after which a gateway was told of another gate
	changed   chan struct{} // closed when another slot is to be up
}

func nodeAddr(slot int) *net.UDPAddr {
	return &net.UDPAddr{IP: net.IP{10, 0, 1, byte(1 + slot)}, Port: 7443}
}

// slots is how many nodes there may be at a time.
func (c *cloud) slots() int {
	if c.cfg.Nodes > 0 {
		return c.cfg.Nodes
	}
	return pair
}

// nodeName is the name of a cluster's node.
func nodeName(slot int) string { return fmt.Sprintf("n%d", 1+slot) }

// run keeps the primary, or all nodes of a cluster, up until ctx ends. A node that is not primary runs
// until something ends it.
func (c *cloud) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for slot := range c.slots() {
		all.Go(func() {
			for ctx.Err() == nil {
				if c.await(ctx, slot) != nil {
					return
				}
				err := c.serve(ctx, slot)
				if ctx.Err() == nil {
					c.trace.event("node of slot %d ended: %v", slot, err)
				}
				select {
				case <-time.After(nodePause):
				case <-ctx.Done():
				}
			}
		})
	}
}

// await returns when the slot is to be up.
func (c *cloud) await(ctx context.Context, slot int) error {
	for {
		c.mu.Lock()
		mine, changed := c.primary == slot, c.changed
		if c.cfg.Nodes > 0 {
			mine = !c.empty[slot]
		}
		c.mu.Unlock()
		if mine {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *cloud) serve(ctx context.Context, slot int) error {
	c.mu.Lock()
	c.lives++
	name := fmt.Sprintf("n%d-%d", slot, c.lives)
	if c.cfg.Nodes > 0 {
		name = nodeName(slot) // it is the same node again
	}
	n := &node{cloud: c, name: name, slot: slot, addr: nodeAddr(slot), log: c.trace.logger(name), history: c.history.open(), reach: newReach(c.cfg.AckTimeout)}
	ctx, n.end = context.WithCancel(ctx)
	defer n.end()
	c.nodes[slot] = n
	c.mu.Unlock()
	err := n.run(ctx)
	c.mu.Lock()
	c.nodes[slot] = nil
	if errors.Is(err, cluster.ErrLost) {
		c.refused++
	}
	c.mu.Unlock()
	return err
}

// takeover makes the other slot primary, unless a deposed node is still there.
// The node before goes on until it learns of it, and its reading of the logs
// stands still for a while.
func (c *cloud) takeover(stall time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes[(c.primary+1)%pair] != nil {
		return
	}
	if old := c.nodes[c.primary]; old != nil {
		old.stallReading(stall)
	}
	c.primary = (c.primary + 1) % pair
	close(c.changed)
	c.changed = make(chan struct{})
}

// delay makes the node of a slot slow to publish what its gate took.
func (c *cloud) delay(slot int, by, during time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.nodes[slot]; n != nil {
		n.delayPublishing(by, during)
	}
}

// charge returns the slot whose node is kept up.
func (c *cloud) charge() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.primary
}

// powerCut crashes the store and all nodes with it.
func (c *cloud) powerCut() {
	c.down()
	c.mem.Crash()
}

// down is the part of a power cut that is not the journal's store: from this
// moment nothing leaves the nodes, and nothing reaches history.
func (c *cloud) down() {
	for slot := range c.slots() {
		c.net.isolate(nodeAddr(slot))
	}
	c.history.powerCut()
}

// all returns the nodes that serve.
func (c *cloud) all() (all []*node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n != nil && n.serves() && (c.cfg.Nodes > 0 || n == c.nodes[c.primary]) {
			all = append(all, n)
		}
	}
	return all
}

// some returns a node in charge, or nil.
func (c *cloud) some() *node {
	if all := c.all(); len(all) > 0 {
		return all[0]
	}
	return nil
}

// serving returns a shard's work at its owner: of a cluster whoever has the last
// barrier in the log.
func (c *cloud) serving(shard int) (*site.Shard, error) {
	for _, n := range c.all() {
		if n.clustered == nil {
			return n.owned()[shard], nil
		}
		b := c.tap.last(shard)
		if held, ok := n.clustered.seats.Of(shard); ok && n.name == b.Owner && held.Claim.Epoch() == b.Epoch {
			return held.Work, nil
		}
	}
	return nil, fmt.Errorf("shard %d: %w", shard, errNoNode)
}

// near returns the work of a site's shard at a node, or at the one that this node
// takes for its owner.
func (c *cloud) near(ctx context.Context, n *node, name id.Site) (*site.Shard, error) {
	shard, err := n.shardOf(ctx, name)
	if err != nil {
		return nil, err
	}
	if n.clustered == nil {
		return n.owned()[shard], nil
	}
	owner := n.clustered.owners.Of(shard).Serving()
	for _, other := range c.all() {
		if held, ok := other.clustered.seats.Of(shard); ok && other.name == owner && (other == n || !other.reach.mute() && !n.reach.mute()) {
			return held.Work, nil
		}
	}
	return nil, fmt.Errorf("shard %d is with %q: %w", shard, owner, errNoNode)
}

// shardOf returns the shard that a site is assigned to.
func (n *node) shardOf(ctx context.Context, name id.Site) (int, error) {
	shard, _, ok, err := n.catalog.Shard(ctx, name)
	if err == nil && !ok {
		err = fmt.Errorf("site %s has no shard", name)
	}
	return shard, err
}

// stillFor is how long no shard of a cluster has moved when it has come to rest:
// longer than nodes wait until they share the shards anew.
const stillFor = placement.StableFor + 5*time.Second

// settled reports whether every shard has applied and stored all of its log, and
// stays where it is.
func (c *cloud) settled(ctx context.Context) error {
	if c.cfg.Nodes > 0 && c.tap.quietFor() < stillFor {
		return errors.New("shards are moving")
	}
	for i := range c.cfg.Shards {
		s, err := c.serving(i)
		if err != nil {
			return err
		}
		_, last, err := c.mem.Log(i).Bounds(ctx)
		if err != nil {
			return err
		}
		p, err := s.Progress(ctx)
		if err != nil {
			return err
		}
		if at := c.history.open().Position(i); p.Applied < last || at < last {
			return fmt.Errorf("shard %d applied %d and history holds %d of %d messages", i, p.Applied, at, last)
		}
	}
	return nil
}

// redirected counts a gateway that was told of another gate.
func (c *cloud) redirected() { c.mu.Lock(); c.redirects++; c.mu.Unlock() }

func (c *cloud) starts() (nodes, refused, redirects int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lives, c.refused, c.redirects
}

// devices returns the twins of a site.
func (c *cloud) devices(ctx context.Context, name id.Site) ([]site.Device, error) {
	for i := range c.cfg.Shards {
		s, err := c.serving(i)
		if err != nil {
			return nil, err
		}
		all, err := s.Devices(ctx, name)
		if err == nil || !errors.Is(err, site.ErrUnknown) {
			return all, err
		}
	}
	return nil, fmt.Errorf("site %s: %w", name, site.ErrUnknown)
}
