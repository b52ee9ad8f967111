package main

import (
	"context"
	"slices"

	"github.com/atrium-iot/atrium/tests/disk"
	"github.com/atrium-iot/atrium/tests/trial"
)

// scenario is one kind of fault.
type scenario struct {
	name     string
	protects string // what must hold, in a sentence
	needs    []trial.Need
	costs    []string // reasons that the ledger may have for it
	run      func(ctx context.Context, t *rig) error
}

// scenarios are all of them, in the order in which they are run: the long ones
// first, so that the end is not waiting for one.
func scenarios() []scenario {
	return slices.Concat(crashes, disks, reconnects, networks, clouds, identities)
}

// loops are what a disk of its own needs.
var loops = trial.Need{Name: "loop devices", Try: disk.Loops}

// trial is the scenario for who runs it.
func (s scenario) trial() trial.Scenario {
	return trial.Scenario{
		Name: s.name, Protects: s.protects, Needs: s.needs,
		Run: func(ctx context.Context, t *trial.Trial) error { return s.run(ctx, &rig{Trial: t, costs: s.costs}) },
	}
}
