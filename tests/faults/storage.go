package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

// disks take the gateway's disk away or change what is on it.
var disks = []scenario{
	{
		name:     "full-disk",
		protects: "a disk that somebody else fills costs what the ledger says, and nothing once it is free again",
		needs:    []need{root, loops},
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

func fullDisk(ctx context.Context, t *trial) error {
	g := line.Gateway{Site: "hq", Mode: "always", Counters: 8, Buffer: ", limit: 1GiB, reserve: 16MiB"}
	d, err := t.disk(g.Site, cardSize)
	if err != nil {
		return err
	}
	g.State = filepath.Join(d.folder, "state")
	if err := t.raise(ctx, g); err != nil {
		return err
	}
	s := t.line.Sites[0]
	if err := s.Cut(); err != nil {
		return err
	}
	for range t.rounds(10, 2) {
		if err := s.Delivered(ctx, 400); err != nil {
			return err
		}
		if err := d.fill(0); err != nil {
			return err
		}
		free, err := d.free()
		if err != nil {
			return err
		}
		t.say("%d bytes are free", free)
		if err := s.Delivered(ctx, 400+t.rng.IntN(800)); err != nil {
			return err
		}
		if err := d.release(); err != nil {
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
func (t *trial) relaxed(ctx context.Context, s *line.Site) error {
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
func (t *trial) damaged(ctx context.Context, rounds int, damage func(store string, rng *rand.Rand) (string, error)) error {
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

func (t *trial) damagedOnce(ctx context.Context, s *line.Site, rng *rand.Rand, damage func(store string, rng *rand.Rand) (string, error)) error {
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
	t.say("%s: %s", s.Name, what)
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

func corruptByte(ctx context.Context, t *trial) error {
	return t.damaged(ctx, t.rounds(150, 9), func(store string, rng *rand.Rand) (string, error) {
		return flip(store, rng, func(file string) bool { return filepath.Ext(file) != logs })
	})
}

// logs is the end of the names of Badger's logs of what is not in a table yet.
const logs = ".mem"

func corruptLog(ctx context.Context, t *trial) error {
	return t.damaged(ctx, t.rounds(60, 6), func(store string, rng *rand.Rand) (string, error) {
		return flip(store, rng, func(file string) bool { return filepath.Ext(file) == logs })
	})
}

// flip changes one byte of one of the files that has any. Every file is as likely, and
// of Badger's, which are mostly a preallocated nothing, a place that is written.
func flip(folder string, rng *rand.Rand, of func(file string) bool) (string, error) {
	var files []string
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() && info.Size() > 0 && of(path) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%s holds no such file", folder)
	}
	file := files[rng.IntN(len(files))]
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var written []int
	for at, v := range b {
		if v != 0 {
			written = append(written, at)
		}
	}
	at := rng.IntN(len(b))
	if len(written) > 0 {
		at = written[rng.IntN(len(written))]
	}
	to := b[at] ^ byte(1+rng.IntN(255))
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{to}, int64(at)); err != nil {
		return "", err
	}
	return fmt.Sprintf("byte %d of %s from %#02x to %#02x", at, filepath.Base(file), b[at], to), f.Sync()
}

func manifestGone(ctx context.Context, t *trial) error {
	return t.damaged(ctx, t.rounds(15, 3), func(folder string, _ *rand.Rand) (string, error) {
		return "MANIFEST removed", os.Remove(filepath.Join(folder, "MANIFEST"))
	})
}
