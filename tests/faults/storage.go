package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/tests/disk"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/trial"
)

// disks take the gateway's disk away or change what is on it.
var disks = []scenario{
	{
		name:     "full-disk",
		protects: "a disk that somebody else fills costs what the ledger says, and nothing once it is free again",
		needs:    []trial.Need{trial.Root, loops},
		costs:    []string{"quota"},
		run:      fullDisk,
	},
	{
		name:     "corrupt-byte",
		protects: "a byte that changed anywhere in the store but its log costs at most the ranges that the ledger calls corrupt",
		costs:    []string{"crash", "corrupt", "unknown-remainder"},
		run:      corruptByte,
	},
	{
		name:     "corrupt-log",
		protects: "a byte that changed in the store's log of the latest commits costs at most the ranges that the ledger calls corrupt",
		costs:    []string{"crash", "corrupt", "unknown-remainder"},
		run:      corruptLog,
	},
	{
		name:     "manifest-gone",
		protects: "a store without its MANIFEST gives what it can, and the rest is in the ledger",
		costs:    []string{"crash", "corrupt", "unknown-remainder"},
		run:      manifestGone,
	},
}

func fullDisk(ctx context.Context, t *rig) error {
	g := line.Gateway{Site: "hq", Mode: "always", Counters: 8, Buffer: ", limit: 1GiB, reserve: 16MiB"}
	d, err := t.disk(g.Site, cardSize)
	if err != nil {
		return err
	}
	g.State = filepath.Join(d.Folder, "state")
	if err := t.raise(ctx, g); err != nil {
		return err
	}
	s := t.line.Sites[0]
	if err := s.Cut(); err != nil {
		return err
	}
	for range t.Rounds(10, 2) {
		if err := s.Delivered(ctx, 400); err != nil {
			return err
		}
		if err := d.Fill(0); err != nil {
			return err
		}
		free, err := d.Free()
		if err != nil {
			return err
		}
		t.Say("%d bytes are free", free)
		if err := s.Delivered(ctx, 400+t.Rand.IntN(800)); err != nil {
			return err
		}
		if err := d.Release(); err != nil {
			return err
		}
		if err := committed(ctx, s); err != nil {
			return err
		}
	}
	if err := errors.Join(s.Heal(), s.Linked(ctx, true), s.Acked(ctx)); err != nil {
		return err
	}
	if err := t.relaxed(ctx, s); err != nil {
		return err
	}
	return t.finish(ctx)
}

// relaxed waits until a gateway's buffer is under no pressure, and takes down
// how many readings its samplers withheld while it was: a counter's row is one.
func (t *rig) relaxed(ctx context.Context, s *line.Site) error {
	err := line.Until(ctx, s.Gateway.Name()+": no pressure", func() (bool, error) {
		pressure, err := metric(ctx, s.Gateway, "atrium_buffer_pressure")
		return pressure == 0, err
	})
	if err != nil {
		return err
	}
	rows, err := metric(ctx, s.Gateway, "atrium_device_thinned_rows_total")
	t.withheld += int(rows)
	return err
}

// committed waits until a gateway has committed all that it has sampled by now.
func committed(ctx context.Context, s *line.Site) error {
	return s.CaughtUp(ctx, "commits", func(st agent.Status) uint64 { return st.Committed })
}

// damaged gives gateways a backlog, ends them, lets somebody damage their stores
// and starts them again, as often as asked.
func (t *rig) damaged(ctx context.Context, rounds int, damage func(store string, rng *rand.Rand) (string, error)) error {
	var gateways []line.Gateway
	for _, site := range []string{"north", "east", "south"} {
		gateways = append(gateways, line.Gateway{Site: site, Mode: "always"})
	}
	if err := t.raise(ctx, gateways...); err != nil {
		return err
	}
	err := t.each(func(s *line.Site, rng *rand.Rand) error {
		for range rounds / len(gateways) {
			if err := t.damagedOnce(ctx, s, rng, damage); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.finish(ctx)
}

func (t *rig) damagedOnce(ctx context.Context, s *line.Site, rng *rand.Rand, damage func(store string, rng *rand.Rand) (string, error)) error {
	if err := s.Cut(); err != nil {
		return err
	}
	if err := s.Delivered(ctx, 150+rng.IntN(150)); err != nil {
		return err
	}
	if err := s.Gateway.Kill(); err != nil {
		return err
	}
	what, err := damage(store(s), rng)
	if err != nil {
		return err
	}
	if err := s.Heal(); err != nil {
		return err
	}
	t.Say("%s: %s", s.Name, what)
	for _, step := range []func() error{
		func() error { return s.Gateway.Start(ctx) },
		func() error { return s.Linked(ctx, true) },
		func() error { return s.Acked(ctx) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func corruptByte(ctx context.Context, t *rig) error {
	return t.damaged(ctx, t.Rounds(150, 9), func(store string, rng *rand.Rand) (string, error) {
		return disk.Flip(store, rng, func(file string) bool { return filepath.Ext(file) != logs })
	})
}

// logs is the end of the names of Badger's logs of what is not in a table yet.
const logs = ".mem"

func corruptLog(ctx context.Context, t *rig) error {
	return t.damaged(ctx, t.Rounds(60, 6), func(store string, rng *rand.Rand) (string, error) {
		return disk.Flip(store, rng, func(file string) bool { return filepath.Ext(file) == logs })
	})
}

func manifestGone(ctx context.Context, t *rig) error {
	return t.damaged(ctx, t.Rounds(15, 3), func(folder string, _ *rand.Rand) (string, error) {
		return "MANIFEST removed", os.Remove(filepath.Join(folder, "MANIFEST"))
	})
}
