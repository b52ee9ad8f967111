// Command rpi3 shows the whole line on an emulated Raspberry Pi 3: QEMU boots
// Debian's own arm64 kernel, the gateway's agent runs in it and reads a TMP105
// through /dev/i2c-1, the cloud node runs on this machine. The temperature is
// set from outside, in QEMU's model of the chip, and must arrive in the twin
// that the node's API shows. Its exit status is 0 if it does, 3 if the packages
// cannot be had here, 1 otherwise.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/atrium-iot/atrium/tests/boards/debian"
	"github.com/atrium-iot/atrium/tests/boards/qemu"
	"github.com/atrium-iot/atrium/tests/e2e/line"
)

const (
	// bootTimeout is how long the first reading may take from power-on. It has
	// been seen to take 15 s on two idle cores.
	bootTimeout = 2 * time.Minute
	// changeTimeout is how long a change may take to the twin; the agent reads
	// every second.
	changeTimeout = 30 * time.Second
	// noPackages is the exit status that says that nothing was shown, and that
	// nothing was seen to be wrong either.
	noPackages = 3
)

// options are the command line.
type options struct {
	bin, guest, cache string
	keep              bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/host", "folder with the cloud's programs for this machine")
	flag.StringVar(&o.guest, "guest", "bin/boards", "folder with atrium-edge and guest for linux/arm64")
	flag.StringVar(&o.cache, "cache", "", "folder for Debian's packages (default: atrium-boards in the user's cache folder)")
	flag.BoolVar(&o.keep, "keep", false, "keep the working folder, its logs and data")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "board-rpi3:", err)
		status := 1
		if errors.Is(err, debian.ErrUnavailable) && ctx.Err() == nil {
			status = noPackages
		}
		stop()
		os.Exit(status)
	}
}

func run(ctx context.Context, o options) error {
	begin := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("%5.1fs  %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
	if o.cache == "" {
		folder, err := os.UserCacheDir()
		if err != nil {
			return err
		}
		o.cache = filepath.Join(folder, "atrium-boards")
	}
	packages, err := debian.Fetch(ctx, o.cache, say)
	if err != nil {
		return err
	}
	return show(ctx, o, packages, say)
}

// show raises the node and the board and works through what must be seen.
func show(ctx context.Context, o options, packages debian.Set, say func(string, ...any)) (err error) {
	dir, err := os.MkdirTemp("", "atrium-rpi3-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil || o.keep {
			say("logs and data are kept in %s", dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	say("starting a cloud node on this machine")
	cloud, err := line.Start(ctx, line.Config{Bin: o.bin, Dir: filepath.Join(dir, "cloud")})
	if cloud != nil && cloud.Cloud != nil {
		defer func() { err = errors.Join(err, cloud.Stop()) }()
	}
	if err != nil {
		return err
	}
	b := board{packages: packages, programs: o.guest, dir: dir}
	if err := cloud.Issue(ctx, gateway, b.identity()); err != nil {
		return err
	}
	if err := b.prepare(cloud.Gate); err != nil {
		return err
	}
	say("booting a Raspberry Pi 3 with Debian's kernel and the agent")
	m, err := b.powerOn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Stop()) }()
	if err := follow(ctx, m, cloud.Cloud.URL(), say); err != nil {
		return fmt.Errorf("%w%s", err, m.Tail())
	}
	return nil
}

// follow sets what the sensor measures and waits until the twin shows it.
func follow(ctx context.Context, m *qemu.Machine, api string, say func(string, ...any)) error {
	t, err := newTwin(api)
	if err != nil {
		return err
	}
	if err := t.await(ctx, m.Ended(), bootTimeout, powerOn); err != nil {
		return err
	}
	say("the twin of %s is there, at the %g degC of a TMP105 model at power-on", device, powerOn)
	for _, celsius := range temperatures {
		say("setting the chip to %g degC from outside", celsius)
		set := time.Now()
		if err := m.Set(sensorPath, "temperature", milliDegrees(celsius)); err != nil {
			return err
		}
		if err := t.await(ctx, m.Ended(), changeTimeout, celsius); err != nil {
			return err
		}
		p := t.last
		if age := p.SampledAt.Sub(set); age.Abs() > changeTimeout {
			return fmt.Errorf("the twin shows %g degC sampled at %s, %s from when it was set: the board's clock is wrong", celsius, p.SampledAt, age)
		}
		say("the twin shows %g %s, sampled %.1f s after; time from %q", *p.Value, p.Unit, p.SampledAt.Sub(set).Seconds(), p.Clock)
	}
	return nil
}
