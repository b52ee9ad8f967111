package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/atrium-iot/atrium/cloud/cluster/placement"
	"github.com/atrium-iot/atrium/tests/disk"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/e2e/nodes"
	"github.com/atrium-iot/atrium/tests/trial"
)

// loops are what a disk of its own needs.
var loops = trial.Need{Name: "loop devices", Try: disk.Loops}

// disks befall the core nodes' disks.
var disks = []scenario{
	{
		name:     "flipped-byte",
		protects: "a byte that changed in one replica of a log is found there or never read, and nothing wrong is applied",
		workers:  1,
		long:     true,
		run:      flippedByte,
	},
	{
		name:     "full-disk",
		protects: "a core node whose disk is full keeps nobody from working, and comes back when it is free",
		needs:    []trial.Need{trial.Root, loops},
		workers:  1,
		long:     true,
		diskSize: coreDisk,
		run:      fullDisk,
	},
	{
		name:     "power-cut",
		protects: "a core node that loses its power has what it promised the others",
		needs:    []trial.Need{trial.Root, loops},
		workers:  1,
		beside:   placement.MaxMoves, // it stands still while its disk is copied
		long:     true,
		diskSize: coreDisk,
		run:      powerCut,
	},
	{
		name:     "power-cut-all",
		protects: "what was acked is there when all nodes lose their power at once",
		needs:    []trial.Need{trial.Root, loops},
		workers:  1,
		long:     true,
		diskSize: coreDisk,
		run:      powerCutAll,
	},
}

// coreDisk is what a core node's store wants at least, and some room.
const coreDisk = 1 << 30

// mount gives every core node a disk of its own.
func (t *rig) mount() error {
	t.disks = map[string]*disk.Disk{}
	for i := range nodes.Cores {
		name := fmt.Sprintf("n%d", i+1)
		d, err := disk.New(filepath.Join(t.Dir, name+"-0.img"), filepath.Join(t.Dir, name), t.scenario.diskSize)
		if err != nil {
			return err
		}
		t.AtEnd(d.Unmount)
		t.disks[name] = d
	}
	return nil
}

// flippedByte changes a byte of one replica of a log, and then lets each of the
// others be away for a while, so that the damaged one is needed.
func flippedByte(ctx context.Context, t *rig) error {
	for i := range t.Rounds(10, 1) {
		shard, err := t.purged(ctx)
		if err != nil {
			return err
		}
		damaged := t.cluster.All[t.Rand.IntN(nodes.Cores)]
		if err := damaged.PowerOff(); err != nil {
			return err
		}
		found, err := filepath.Glob(filepath.Join(damaged.Data, "journal*", "jetstream", "*", "streams", fmt.Sprintf("INGEST_%d", shard), "msgs"))
		if err != nil || len(found) != 1 {
			return errors.Join(fmt.Errorf("%d folders of the log", len(found)), err)
		}
		what, err := disk.Flip(found[0], t.Rand, func(file string) bool { return strings.HasSuffix(file, ".blk") })
		if err != nil {
			return err
		}
		t.Say("round %d: %s, shard %d: %s", i+1, damaged.Name, shard, what)
		if err := t.restore(ctx, damaged); err != nil {
			return fmt.Errorf("round %d: %s: %w", i+1, what, err)
		}
		for _, n := range t.cluster.All[:nodes.Cores] {
			if n == damaged {
				continue
			}
			if err := n.PowerOff(); err != nil {
				return err
			}
			if _, err := t.healthy(ctx); err != nil {
				return fmt.Errorf("round %d: %s, without %s: %w", i+1, what, n.Name, err)
			}
			if err := errors.Join(t.acked(ctx), t.restore(ctx, n)); err != nil {
				return fmt.Errorf("round %d: %s, without %s: %w", i+1, what, n.Name, err)
			}
		}
	}
	return nil
}

// fullDisk fills the disk of an owner of a site, of another core node, in turn.
func fullDisk(ctx context.Context, t *rig) error {
	for i := range t.Rounds(10, 1) {
		of, err := t.settled(ctx)
		if err != nil {
			return err
		}
		n, err := t.core(ctx, roles[i%2], of)
		if err != nil {
			return err
		}
		d := t.disks[n.Name]
		if err := d.Fill(0); err != nil {
			return err
		}
		t.Say("round %d: the disk of %s is full", i+1, n.Name)
		for _, s := range t.line.Sites {
			if err := s.Delivered(ctx, 400+t.Rand.IntN(200)); err != nil {
				return err
			}
		}
		if err := t.acked(ctx); err != nil {
			return fmt.Errorf("round %d: with the disk of %s full: %w", i+1, n.Name, err)
		}
		if err := d.Release(); err != nil {
			return err
		}
		// A store that met the full disk stands still, or the node has ended: an
		// operator frees the disk and starts it again.
		if err := errors.Join(n.PowerOff(), t.restore(ctx, n)); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return nil
}

// core is one for core nodes.
func (t *rig) core(ctx context.Context, role string, of map[int]nodes.Owner) (*nodes.Node, error) {
	n, err := t.one(ctx, role, of)
	if err == nil && n.Worker { // it owns the site
		return t.one(ctx, otherCore, of)
	}
	return n, err
}

func powerCut(ctx context.Context, t *rig) error {
	return t.each(ctx, t.Rounds(20, 2), []string{otherCore}, t.cutPower, t.restore)
}

// cutPower has a node's disk lose what it did not sync, and the node end.
func (t *rig) cutPower(n *nodes.Node) error {
	if err := syscall.Kill(n.PID(), syscall.SIGSTOP); err != nil {
		return err
	}
	return t.lose(n)
}

// lose is the disk's part, for a node that stands still.
func (t *rig) lose(n *nodes.Node) error {
	d := t.disks[n.Name]
	if d == nil {
		return n.PowerOff()
	}
	t.cuts++
	return d.Cut(filepath.Join(t.Dir, fmt.Sprintf("%s-%d.img", n.Name, t.cuts)), n.PowerOff)
}

func powerCutAll(ctx context.Context, t *rig) error {
	for i := range t.Rounds(10, 1) {
		if _, err := t.settled(ctx); err != nil {
			return err
		}
		if err := line.Pause(ctx, t.Between(0, hold)); err != nil {
			return err
		}
		all := t.cluster.Running()
		for _, n := range all { // at once, as far as signals are
			if err := syscall.Kill(n.PID(), syscall.SIGSTOP); err != nil {
				return err
			}
		}
		for _, n := range all {
			if err := t.lose(n); err != nil {
				return err
			}
		}
		t.Say("round %d: all nodes have lost their power", i+1)
		if err := nodes.Start(ctx, all...); err != nil {
			return err
		}
		if err := t.holds(ctx); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return nil
}
