package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/atrium-iot/atrium/tests/disk"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
)

// restored puts the core nodes' folders back to copies of them, as docs/cluster.md
// says. Workers keep theirs, with history of the time that is lost.
func restored(ctx context.Context, t *rig) error {
	backup := filepath.Join(t.Dir, "backup")
	for i := range t.Rounds(5, 1) {
		if _, err := t.settled(ctx); err != nil {
			return err
		}
		all := t.cluster.Running()
		if err := errors.Join(t.acked(ctx), t.cluster.Stop(), os.RemoveAll(backup), os.MkdirAll(backup, 0o700)); err != nil {
			return err
		}
		cores := t.cluster.All[:nodes.Cores]
		for _, n := range cores {
			if err := disk.CopyFolder(n.Data, filepath.Join(backup, n.Name)); err != nil {
				return err
			}
		}
		if err := errors.Join(nodes.Start(ctx, all...), t.holds(ctx)); err != nil {
			return err
		}
		for _, s := range t.line.Sites { // runs that the backup knows
			if err := s.Delivered(ctx, 150+t.Rand.IntN(150)); err != nil {
				return err
			}
		}
		if err := t.acked(ctx); err != nil {
			return err
		}
		t.Say("round %d: all nodes are put back to their backup", i+1)
		for _, n := range all {
			if err := n.PowerOff(); err != nil {
				return err
			}
		}
		for _, n := range cores {
			if err := errors.Join(os.RemoveAll(n.Data), disk.CopyFolder(filepath.Join(backup, n.Name), n.Data)); err != nil {
				return err
			}
		}
		if err := t.line.Run(ctx, "atrium-cloud", "restore", "--data", cores[0].Data); err != nil {
			return err
		}
		if err := t.supervised(ctx, all...); err != nil {
			return err
		}
		if err := t.holds(ctx); err != nil {
			return err
		}
	}
	return nil
}

// supervised starts nodes, and those once more that end as the store they met was
// put back: a supervisor would.
func (t *rig) supervised(ctx context.Context, all ...*nodes.Node) error {
	err := nodes.Start(ctx, all...)
	var again []*nodes.Node
	for _, n := range all {
		select {
		case <-n.Done():
			again = append(again, n)
			t.Say("%s ended, and is started again", n.Name)
		default:
		}
	}
	if len(again) == 0 {
		return err
	}
	return nodes.Start(ctx, again...)
}
