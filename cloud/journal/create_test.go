package journal_test

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/cloud/journal/journaltest"
)

// The nodes of a new cluster make its streams at the same moment, each with its
// own share: the first decides, and none fails.
func TestNodesThatOpenTheSameLogAtOnceAgreeOnItsSize(t *testing.T) {
	nodes := journaltest.StartNodes(t)
	for shard := range 3 {
		var g errgroup.Group
		for i, s := range nodes.Servers {
			g.Go(func() error {
				l, err := journal.OpenLog(t.Context(), s, shard, journal.LogConfig{MaxBytes: int64(16+4*i) << 20}, quiet(), nil)
				if err != nil {
					return fmt.Errorf("node %d: %w", i, err)
				}
				_, _, err = l.Bounds(t.Context())
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}
