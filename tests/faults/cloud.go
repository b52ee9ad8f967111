package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/trial"
)

// clouds take the cloud away, its disk, or its memory of the last minutes.
var clouds = []scenario{
	{
		name:     "silent-cloud",
		protects: "a cloud that takes packets and acks nothing costs nothing",
		run:      on(both(), silentCloud),
	},
	{
		name:     "killed-cloud",
		protects: "a cloud that is killed at any point has what it acked",
		run:      on(both(), killedCloud),
	},
	{
		name:     "full-cloud",
		protects: "a cloud whose disk is full acks nothing, and goes on once it is free",
		needs:    []trial.Need{trial.Root, loops},
		run:      fullCloud,
	},
	{
		name:     "restored-cloud",
		protects: "what a cloud acked and lost to an older backup is in the ledger, range by range",
		costs:    []string{"unknown-remainder"},
		run:      restoredCloud,
	},
}

func silentCloud(ctx context.Context, t *rig) error {
	for range t.Rounds(20, 2) {
		if err := line.Pause(ctx, t.Between(0, 2*time.Second)); err != nil {
			return err
		}
		if err := syscall.Kill(t.line.Cloud.PID(), syscall.SIGSTOP); err != nil {
			return err
		}
		err := line.Pause(ctx, t.Between(500*time.Millisecond, 6*time.Second))
		if err := errors.Join(err, syscall.Kill(t.line.Cloud.PID(), syscall.SIGCONT)); err != nil {
			return err
		}
		if err := t.ackedAll(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ackedAll waits until the cloud has taken what all gateways hold now.
func (t *rig) ackedAll(ctx context.Context) error {
	return t.each(func(s *line.Site, _ *rand.Rand) error { return s.Acked(ctx) })
}

func killedCloud(ctx context.Context, t *rig) error {
	for range t.Rounds(60, 5) {
		if t.Rand.IntN(2) == 0 { // it dies while a backlog comes
			if err := backlog(ctx, t.line.Sites[t.Rand.IntN(2)], 100); err != nil {
				return err
			}
		}
		if err := line.Pause(ctx, t.Between(0, untilKill)); err != nil {
			return err
		}
		if err := t.crashCloud(ctx); err != nil {
			return err
		}
	}
	return t.ackedAll(ctx)
}

// crashCloud kills the node and starts it again.
func (t *rig) crashCloud(ctx context.Context) error {
	if err := t.line.Cloud.Kill(); err != nil {
		return err
	}
	return t.line.Cloud.Start(ctx)
}

// nodeSize is what a node wants to be free at its start, and some room.
const nodeSize = 640 << 20

func fullCloud(ctx context.Context, t *rig) error {
	d, err := t.disk("node", nodeSize)
	if err != nil {
		return err
	}
	if err := t.raiseOn(ctx, filepath.Join(d.Folder, "data"), both()...); err != nil {
		return err
	}
	for range t.Rounds(10, 1) {
		if err := t.ackedAll(ctx); err != nil {
			return err
		}
		if err := d.Fill(0); err != nil {
			return err
		}
		for _, s := range t.line.Sites {
			if err := s.Delivered(ctx, 200+t.Rand.IntN(200)); err != nil {
				return err
			}
		}
		if err := d.Release(); err != nil {
			return err
		}
		// A store that met the full disk may have ended the node: an operator
		// frees the disk and starts it again.
		if err := t.crashCloud(ctx); err != nil {
			return err
		}
	}
	if err := t.ackedAll(ctx); err != nil {
		return err
	}
	return t.finish(ctx)
}
