package main

import (
	"context"
	"slices"
	"time"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/tests/trial"
)

// scenario is one kind of trouble with nodes.
type scenario struct {
	name     string
	protects string // what must hold, in a sentence
	needs    []trial.Need
	workers  int           // beside the three core nodes, at the beginning
	costs    []string      // reasons that the ledger may have for it
	beside   int           // shards that placement may move meanwhile for other reasons
	flags    []string      // of every node
	long     bool          // not in the short form
	diskSize int64         // of each core node's own disk; 0 for none
	former   bool          // it begins with the version before
	apart    bool          // each node has a network namespace
	asked    bool          // people ask every node meanwhile
	lag      time.Duration // by which an answer that does not say that it is old may be old
	loses    bool          // it shows nothing unless the ledger has a remainder
	run      func(ctx context.Context, t *rig) error
}

// deposed is how long an owner that others have deposed may not know it, nor that
// it does not know (client.StaleHeader).
const deposed = 3 * time.Second

// scenarios are all of them, in the order in which they are run.
func scenarios() []scenario { return slices.Concat(comings, severed, snapshots, disks) }

// comings are nodes that go and come.
var comings = []scenario{
	{
		name:     "kill",
		protects: "a node that is killed at any moment costs no reading, and only its shards move",
		workers:  1,
		asked:    true,
		run:      kill,
	},
	{
		name:     "stall",
		protects: "a node that stands still until others have its shards, and goes on, does no harm",
		workers:  1,
		long:     true,
		asked:    true,
		lag:      deposed,
		run:      stall,
	},
	{
		name:     "drain",
		protects: "a node that is stopped gives its shards away before it ends",
		workers:  1,
		beside:   placement.MaxMoves, // until it is gone, no node has come or gone
		asked:    true,
		run:      drain,
	},
	{
		name:     "wipe",
		protects: "a worker that lost its disk costs nothing",
		workers:  2,
		long:     true,
		asked:    true,
		run:      wipe,
	},
	{
		name:     "grow",
		protects: "nodes that join take shards, and give them back when they leave",
		asked:    true,
		run:      grow,
	},
	{
		name:     "move",
		protects: "a site that moves to another shard loses nothing, whoever dies meanwhile",
		workers:  1,
		long:     true,
		asked:    true,
		run:      move,
	},
	{
		name:     "scale",
		protects: "a cluster that atrium autoscale looks after gets workers when there is work, and gives them back",
		workers:  1,
		flags:    scaleFlags(),
		long:     true,
		run:      scale,
	},
	{
		name:     "restored",
		protects: "what a cluster acked and lost to an older backup is in the ledger, range by range",
		workers:  1,
		long:     true,
		costs:    []string{"unknown-remainder"},
		loses:    true,
		run:      restored,
	},
	{
		name:     "upgrade",
		protects: "two versions work side by side while nodes change from one to the other, and back",
		needs:    []trial.Need{formerSource},
		workers:  1,
		beside:   placement.MaxMoves,
		long:     true,
		former:   true,
		run:      upgrade,
	},
}

// trial is the scenario for who runs it.
func (s scenario) trial() trial.Scenario {
	return trial.Scenario{
		Name: s.name, Protects: s.protects, Needs: s.needs, Long: s.long,
		Run: func(ctx context.Context, t *trial.Trial) error { return (&rig{Trial: t, scenario: s}).perform(ctx) },
	}
}
