package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/tests/disk"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/trial"
)

// crashes end the gateway's process or its power.
var crashes = []scenario{
	{
		name:     "kill",
		protects: "an agent that is killed at any point loses at most what it sampled in one commit interval",
		costs:    []string{"crash"},
		run:      on(both(), kill),
	},
	{
		name:     "power-cut",
		protects: "what the agent called committed is there after a power cut, whatever the file system had not written",
		needs:    []trial.Need{trial.Root, loops},
		costs:    []string{"crash"},
		run:      powerCut,
	},
}

// both are a gateway in each mode.
func both() []line.Gateway {
	return []line.Gateway{{Site: "always", Mode: "always"}, {Site: "spill", Mode: "spill"}}
}

// each does the same to all sites at once, each with dice of its own.
func (t *rig) each(do func(s *line.Site, rng *rand.Rand) error) error {
	errs := make(chan error)
	for _, s := range t.line.Sites {
		rng := trial.Dice(t.Rand.Uint64(), s.Name)
		go func() { errs <- do(s, rng) }()
	}
	var err error
	for range t.line.Sites {
		err = errors.Join(err, <-errs)
	}
	return err
}

// untilKill is how long an agent may run between two kills: a commit interval
// and more, so that each phase of it is met.
const untilKill = 1500 * time.Millisecond

func kill(ctx context.Context, t *rig) error {
	rounds := t.Rounds(200, 20) / len(t.line.Sites)
	return t.each(func(s *line.Site, rng *rand.Rand) error {
		for i := range rounds {
			if err := t.toggle(s, rng); err != nil {
				return err
			}
			if err := line.Pause(ctx, time.Duration(rng.Int64N(int64(untilKill)))); err != nil {
				return err
			}
			if err := s.Gateway.Kill(); err != nil {
				return err
			}
			if rng.IntN(4) == 0 { // and once more, before it is ready
				if err := killStarting(ctx, s.Gateway, time.Duration(rng.Int64N(int64(200*time.Millisecond)))); err != nil {
					return err
				}
			}
			if err := s.Gateway.Start(ctx); err != nil {
				return fmt.Errorf("after kill %d: %w", i+1, err)
			}
		}
		return nil
	})
}

// toggle cuts a site's link or heals it.
func (t *rig) toggle(s *line.Site, rng *rand.Rand) error {
	if rng.IntN(2) == 0 {
		return s.Cut()
	}
	return s.Heal()
}

// killStarting starts a program and kills it soon, ready or not.
func killStarting(ctx context.Context, p *process.Process, after time.Duration) error {
	started := make(chan error, 1)
	go func() { started <- p.Start(ctx) }()
	err := line.Pause(ctx, after)
	if err := errors.Join(err, p.Kill()); err != nil {
		return err
	}
	<-started // an end before it was ready is what was wanted
	return p.Kill()
}

// cardSize is large enough for the reserve, the ballast and Badger's files.
const cardSize = 96 << 20

func powerCut(ctx context.Context, t *rig) error {
	gateways := both()
	rounds := t.Rounds(60, 6) / len(gateways)
	disks := map[string]*disk.Disk{}
	for i := range gateways {
		g := &gateways[i]
		d, err := t.disk(g.Site, cardSize)
		if err != nil {
			return err
		}
		disks[g.Site] = d
		g.State = filepath.Join(d.Folder, "state")
	}
	if err := t.raise(ctx, gateways...); err != nil {
		return err
	}
	err := t.each(func(s *line.Site, rng *rand.Rand) error {
		for i := range rounds {
			if err := t.toggle(s, rng); err != nil {
				return err
			}
			if err := line.Pause(ctx, time.Duration(rng.Int64N(int64(2*untilKill)))); err != nil {
				return err
			}
			if err := syscall.Kill(s.Gateway.PID(), syscall.SIGSTOP); err != nil {
				return err
			}
			copied := filepath.Join(t.Dir, s.Name, fmt.Sprintf("disk-%d.img", i+1))
			if err := disks[s.Name].Cut(copied, s.Gateway.Kill); err != nil {
				return err
			}
			if err := s.Gateway.Start(ctx); err != nil {
				return fmt.Errorf("after power cut %d: %w", i+1, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.finish(ctx)
}

// disk makes a disk for the trial.
func (t *rig) disk(name string, size int64) (*disk.Disk, error) {
	d, err := disk.New(filepath.Join(t.Dir, name, "disk-0.img"), filepath.Join(t.Dir, name, "disk"), size)
	if err != nil {
		return nil, err
	}
	t.AtEnd(d.Unmount)
	return d, nil
}
