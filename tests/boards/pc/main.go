// Command pc cuts the power of an emulated PC with two gateways, one in each
// buffer mode, and sets its clock wrong. QEMU boots Debian's own x86-64 kernel;
// the agents keep their state on an ext4 behind dm-flakey and read simulated
// counter chips, whose boards write what they delivered into a folder of this
// machine, which survives; the cloud node runs on this machine.
//
// Each round plugs the cable in and out, and at a random moment the disk drops
// all that it is given and the machine restarts. In the end every reading that a
// board delivered is in the history once, or accounted for, at the right time or
// marked as of no known time. What it does not show is a disk that tears a write
// of its own or lies about a flush.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/atrium-iot/atrium/tests/boards/debian"
	"github.com/atrium-iot/atrium/tests/boards/plan"
	"github.com/atrium-iot/atrium/tests/boards/stand"
)

const (
	// patience is how long anything may take on an emulated processor that
	// shares its cores: a boot has been seen to take 20 s.
	patience = 4 * time.Minute
	// noticed is how long the agent may take to notice a step of its clock: a
	// moment, and not the minute after which it looks anyway.
	noticed = 30 * time.Second
	// untilCut is how long the agents run at most before the power is cut, and
	// between two changes of the link: a few commit intervals.
	untilCut = 4 * time.Second
	// step is how far the clock is set while the agents run.
	step = time.Hour
)

// clocks are what the PC's battery-backed clock may say when it is switched on,
// as QEMU takes it: of a gateway that was once set wrong, of an empty battery,
// and right.
var clocks = [...]string{"2040-01-01T00:00:00", "1970-01-01T00:00:00", "utc"}

func main() {
	rounds := flag.Int("rounds", len(clocks), "how often the power is cut; the first three boots have the clock in 2040, in 1970 and right")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the moments of the cuts; the emulated machine has its own")
	stand.Main(stand.Board{
		Name: "pc", Programs: "bin/boards/amd64",
		Packages: debian.Board{Arch: "amd64", Kernel: "linux-image-amd64", Emulator: "qemu-system-x86"},
	}, func(ctx context.Context, s *stand.Stand) error {
		s.Say("seed %d", *seed)
		return show(ctx, s, *rounds, rand.New(rand.NewPCG(*seed, 0)))
	})
}

func show(ctx context.Context, s *stand.Stand, rounds int, dice *rand.Rand) (err error) {
	begin := time.Now()
	p, err := newPC(ctx, s)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && p.machine != nil {
			err = fmt.Errorf("%w%s", err, p.machine.Tail())
		}
		err = errors.Join(err, p.switchOff())
	}()
	for i := range rounds {
		if err := p.round(ctx, clocks[i%len(clocks)], dice); err != nil {
			return fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	if err := p.stepped(ctx, dice); err != nil {
		return err
	}
	s.Say("stopping the gateways; they drain what they hold")
	if err := p.order(ctx, plan.Stop, 0); err != nil {
		return err
	}
	return judge(ctx, s, begin)
}

// round boots the PC with a clock, and cuts its power at some moment after all
// gateways were connected.
func (p *pc) round(ctx context.Context, clock string, dice *rand.Rand) error {
	p.stand.Say("booting with the clock at %s", clock)
	if err := p.switchOn(ctx, clock); err != nil {
		return err
	}
	if err := p.timely(ctx); err != nil {
		return err
	}
	link := "in"
	for range 2 {
		if err := pause(ctx, dice); err != nil {
			return err
		}
		plugged := dice.IntN(3) == 0
		if err := p.machine.SetLink(adapter, plugged); err != nil {
			return err
		}
		link = map[bool]string{true: "in", false: "out"}[plugged]
	}
	if err := pause(ctx, dice); err != nil {
		return err
	}
	p.stand.Say("all gateways were connected and their time right; cutting the power, with the cable plugged %s", link)
	return p.order(ctx, plan.Cut, 0)
}

// stepped boots without a cloud, so that nobody tells the time, with the clock
// at what 32 bits cannot say, and sets it on while the agents run.
func (p *pc) stepped(ctx context.Context, dice *rand.Rand) error {
	if err := p.stand.Line.Cloud.Kill(); err != nil {
		return err
	}
	p.stand.Say("booting with the clock at %s, without a cloud", clocks[0])
	if err := p.switchOn(ctx, clocks[0]); err != nil {
		return err
	}
	before, err := p.mappings(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(pause(ctx, dice), p.order(ctx, plan.Step, step)); err != nil {
		return err
	}
	err = stand.Await(ctx, p.machine.Ended(), noticed, "all agents noticed that the clock was set", func(ctx context.Context) (bool, error) {
		now, err := p.mappings(ctx)
		all := true
		for i := range now {
			all = all && now[i] > before[i]
		}
		return all, err
	}, nil)
	if err != nil {
		return err
	}
	p.stand.Say("both agents noticed that the clock was set on by %s; starting the cloud", step)
	if err := errors.Join(pause(ctx, dice), p.stand.Line.Cloud.Start(ctx)); err != nil {
		return err
	}
	return p.timely(ctx)
}

// pause lets the gateways run for some time.
func pause(ctx context.Context, dice *rand.Rand) error {
	timer := time.NewTimer(time.Duration(dice.Int64N(int64(untilCut))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
