package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/cloud/journal"
)

// raise begins an incarnation of the cluster, as the store was put back from a
// backup. It is above the stored one, and above each that the store may have had
// after the backup was made, of which it knows nothing: those were begun earlier
// than now. Raised twice, it is as good as once.
func (c *Catalog) raise(ctx context.Context, revision uint64) error {
	next := c.cluster
	next.Incarnation = max(c.cluster.Incarnation+1, uint64(time.Now().Unix()))
	if _, err := c.kv.Put(ctx, clusterKey, encodeCluster(next), revision); err != nil {
		return fmt.Errorf("raise the incarnation: %w", err)
	}
	c.log.Warn("catalog: the store was put back from a backup, a new incarnation begins", "incarnation", next.Incarnation, "before", c.cluster.Incarnation)
	c.cluster = next
	return nil
}

// learnCluster sees whether the store is still of the incarnation of Open.
func (c *Catalog) learnCluster(e journal.Entry) error {
	now, err := parseCluster(e.Value)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Incarnation <= c.cluster.Incarnation {
		return nil
	}
	select {
	case <-c.superseded:
	default:
		close(c.superseded)
	}
	return nil
}

// Superseded is closed once the store is of a later incarnation than at Open: it
// was put back from a backup, and what this node knows and holds is of the time
// before. It has to start again.
func (c *Catalog) Superseded() <-chan struct{} { return c.superseded }
