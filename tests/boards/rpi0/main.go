// Command rpi0 measures the agent on an emulated Raspberry Pi Zero: QEMU boots
// Debian's own armel kernel on the one ARM1176 core and 512 MB of that board, and
// the GOARM=6 agent there reads twenty simulated sensors of five points every
// second and sends them to a real gate.
//
// The board's time is that of its instructions, so that what is seen does not
// depend on what else the host does. For that the board is alone: its sensors and
// the gate (tests/boards/counterpart) run on it too, and all that the host is
// told comes over the serial console. Memory is what a real board would show; the
// processor's share is not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/atrium-iot/atrium/tests/boards/debian"
	"github.com/atrium-iot/atrium/tests/boards/look"
	"github.com/atrium-iot/atrium/tests/boards/qemu"
	"github.com/atrium-iot/atrium/tests/boards/stand"
)

// patience is how long the host may take for what a board does in a few minutes
// of its own: it has been seen to need 45 s of a processor from power-on to the
// first acks, and half of the board's time after that.
const patience = 20 * time.Minute

func main() {
	length := flag.Duration("for", time.Minute, "how long to measure, by the board's clock")
	stand.Main(stand.Board{
		Name: "rpi0", Programs: "bin/boards/armv6", Alone: true,
		Packages: debian.Board{Arch: "armel", Kernel: "linux-image-rpi", Emulator: "qemu-system-arm"},
	}, func(ctx context.Context, s *stand.Stand) error { return show(ctx, s, *length) })
}

func show(ctx context.Context, s *stand.Stand, length time.Duration) (err error) {
	if err := prepare(s); err != nil {
		return err
	}
	s.Say("booting a Raspberry Pi Zero with Debian's kernel, the agent, a simulated board and a gate")
	m, err := switchOn(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Stop()) }()
	if err := measure(ctx, s, m, length); err != nil {
		return fmt.Errorf("%w%s", err, m.Tail())
	}
	return nil
}

// measure waits until the gate has acked readings of all devices, and then
// watches the agent for a while.
func measure(ctx context.Context, s *stand.Stand, m *qemu.Machine, length time.Duration) error {
	var looks []look.Look
	err := stand.Await(ctx, m.Ended(), patience, "readings of all devices were acked", func(context.Context) (bool, error) {
		console, err := m.Console()
		looks = live(look.In(console))
		return len(looks) > 0, err
	}, nil)
	if err != nil {
		return err
	}
	s.Say("%d devices are read and acked, %s after power-on; measuring for %s", devices, looks[0].Up.Round(time.Second), length)
	err = stand.Await(ctx, m.Ended(), length+patience, "it was watched", func(context.Context) (bool, error) {
		console, err := m.Console()
		looks = live(look.In(console))
		return span(looks) >= length, err
	}, func() string { return span(looks).String() })
	if err != nil {
		return err
	}
	v, err := judge(looks)
	if err != nil {
		return err
	}
	s.Say("%s", v)
	return nil
}
