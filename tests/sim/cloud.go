package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
	"github.com/atrium-iot/atrium/cloud/site"
	"github.com/atrium-iot/atrium/shared/id"
)

// slots is how many nodes there may be at a time: the owner, and the one that
// it was taken over from and that does not know yet.
const slots = 2

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

	mu      sync.Mutex
	primary int // the slot whose node is kept up
	nodes   [slots]*node
	lives   int
	refused int // nodes that ended because another owns a shard

	redirects int           // welcomes after which a gateway was told of another gate
	changed   chan struct{} // closed when primary changes
}

func nodeAddr(slot int) *net.UDPAddr {
	return &net.UDPAddr{IP: net.IP{10, 0, 1, byte(1 + slot)}, Port: 7443}
}

// run keeps the primary up until ctx ends. A node that is not primary runs
// until something ends it.
func (c *cloud) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for slot := range slots {
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

// await returns when the slot is primary.
func (c *cloud) await(ctx context.Context, slot int) error {
	for {
		c.mu.Lock()
		mine, changed := c.primary == slot, c.changed
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
	n := &node{cloud: c, name: name, addr: nodeAddr(slot), log: c.trace.logger(name), history: c.history.open()}
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
	if c.nodes[(c.primary+1)%slots] != nil {
		return
	}
	if old := c.nodes[c.primary]; old != nil {
		old.stallReading(stall)
	}
	c.primary = (c.primary + 1) % slots
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
	for slot := range slots {
		c.net.isolate(nodeAddr(slot))
	}
	c.history.powerCut()
}

// owner returns the node in charge, or nil.
func (c *cloud) owner() *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[c.primary]
}

// settled reports whether every shard has applied and stored all of its log.
func (c *cloud) settled(ctx context.Context) error {
	n := c.owner()
	if n == nil {
		return errors.New("no node is in charge")
	}
	for i, s := range n.owned() {
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
	if len(n.owned()) != c.cfg.Shards {
		return errors.New("the node has not claimed all shards")
	}
	return nil
}

func (c *cloud) starts() (nodes, refused, redirects int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lives, c.refused, c.redirects
}

// devices returns the twins of a site.
func (c *cloud) devices(ctx context.Context, name id.Site) ([]site.Device, error) {
	n := c.owner()
	if n == nil {
		return nil, errors.New("no node is in charge")
	}
	for _, s := range n.owned() {
		all, err := s.Devices(ctx, name)
		if err == nil || !errors.Is(err, site.ErrUnknown) {
			return all, err
		}
	}
	return nil, fmt.Errorf("site %s: %w", name, site.ErrUnknown)
}
