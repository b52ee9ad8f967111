package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

// stall stops owners (SIGSTOP) until others have their shards, and lets them go
// on: they believe that they still own, and the log says otherwise.
func stall(ctx context.Context, t *rig) error {
	stop := func(n *nodes.Node) error {
		n.Down = true
		return syscall.Kill(n.PID(), syscall.SIGSTOP)
	}
	goOn := func(ctx context.Context, n *nodes.Node) error {
		n.Down = false
		if err := syscall.Kill(n.PID(), syscall.SIGCONT); err != nil {
			return err
		}
		return t.holds(ctx)
	}
	return t.each(ctx, t.Rounds(20, 1), []string{siteOwner}, stop, goOn)
}

// drain stops nodes as an operator does (SIGTERM): they give their shards away
// before they end.
func drain(ctx context.Context, t *rig) error {
	return t.each(ctx, t.Rounds(20, 1), []string{siteOwner, aWorker}, (*nodes.Node).Leave, t.restore)
}

// wipe kills workers and removes all that they had on disk, but who they are.
func wipe(ctx context.Context, t *rig) error {
	return t.each(ctx, t.Rounds(10, 1), []string{aWorker}, func(n *nodes.Node) error {
		return errors.Join(n.PowerOff(), os.RemoveAll(n.Data), t.cluster.Certify(n))
	}, t.restore)
}

// grown is how many workers join at a time, and leave.
const grown = 3

// grow doubles a cluster of three under load, and halves it again.
func grow(ctx context.Context, t *rig) error {
	for i := range t.Rounds(10, 1) {
		if _, err := t.settled(ctx); err != nil {
			return err
		}
		joined := slices.Clone(t.cluster.All[nodes.Cores:]) // of the rounds before
		for len(joined) < grown {
			n, err := t.cluster.Add(true)
			if err != nil {
				return err
			}
			joined = append(joined, n)
		}
		if err := nodes.Start(ctx, joined...); err != nil {
			return err
		}
		of, err := t.settled(ctx)
		if err != nil {
			return err
		}
		with := 0
		for _, n := range joined {
			with += count(of, n.Name)
		}
		t.Say("round %d: %d workers joined and took %d shards", i+1, grown, with)
		if with == 0 {
			return fmt.Errorf("round %d: of %d shards none went to the %d nodes that joined", i+1, len(of), grown)
		}
		for _, n := range joined {
			if err := n.Leave(); err != nil {
				return err
			}
		}
		if err := t.holds(ctx); err != nil {
			return err
		}
	}
	return nil
}
