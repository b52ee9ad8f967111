// Command rpi3 shows the whole line on an emulated Raspberry Pi 3: QEMU boots
// Debian's own arm64 kernel, the gateway's agent runs in it and reads a TMP105
// through /dev/i2c-1, the cloud node runs on this machine. The temperature is
// set from outside, in QEMU's model of the chip, and must arrive in the twin
// that the node's API shows.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/tests/boards/debian"
	"github.com/atrium-iot/atrium/tests/boards/qemu"
	"github.com/atrium-iot/atrium/tests/boards/stand"
)

const (
	// bootTimeout is how long the first reading may take from power-on. It has
	// been seen to take 15 s on two idle cores.
	bootTimeout = 2 * time.Minute
	// changeTimeout is how long a change may take to the twin; the agent reads
	// every second.
	changeTimeout = 30 * time.Second
)

func main() {
	stand.Main(stand.Board{
		Name: "rpi3", Programs: "bin/boards/arm64",
		Packages: debian.Board{Arch: "arm64", Kernel: "linux-image-arm64", Emulator: "qemu-system-arm"},
	}, show)
}

// show raises the board and works through what must be seen.
func show(ctx context.Context, s *stand.Stand) (err error) {
	if err := prepare(ctx, s); err != nil {
		return err
	}
	s.Say("booting a Raspberry Pi 3 with Debian's kernel and the agent")
	m, err := switchOn(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Stop()) }()
	if err := follow(ctx, m, s.Line.Cloud.URL(), s.Say); err != nil {
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
