package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/atrium-iot/atrium/tests/boards/plan"
	"github.com/atrium-iot/atrium/tests/boards/qemu"
	"github.com/atrium-iot/atrium/tests/boards/stand"
)

const (
	gateway = "hq/pi3"
	device  = "hq/hall"

	tree       = "broadcom/bcm2837-rpi-3-b.dtb"
	sensorPath = "/machine/peripheral/" + sensorID
	sensorID   = "t1"

	powerOn = 0.0 // degC, what the model measures until it is told
)

// temperatures are odd multiples of the chip's finest step, one of them below
// zero: with fewer bits than 12, or without the sign, another value arrives.
var temperatures = [...]float64{21.0625, -7.4375}

// milliDegrees is a temperature as QEMU takes it: at a multiple of 1/16 degC
// the model's own 1/256 degC, rounded towards zero, gives the same 12 bits.
func milliDegrees(celsius float64) int { return int(math.Round(celsius * 1000)) }

// modules are the drivers of the board's I2C controller, of its USB controller,
// of QEMU's USB network adapter, and of the watchdog, which restarts the board.
func modules() []string {
	return []string{"i2c-bcm2835", "i2c-dev", "phy-generic", "dwc2", "cdc_ether", "bcm2835_wdt"}
}

// edgeYAML is the agent's configuration in the guest.
func edgeYAML(gate string) string {
	return fmt.Sprintf(`gateway: %s
state: %s
identity: /etc/atrium/identity
cloud: ["%s"]
buses:
  - {name: i2c-1, device: /dev/i2c-1}
devices:
  - {name: %s, profile: ti.tmp105, bus: i2c-1, address: 0x48, every: 1s, deadband: {temperature: 0}}
`, gateway, plan.State, gate, filepath.Base(device))
}

// prepare writes the file system that the kernel starts with.
func prepare(ctx context.Context, s *stand.Stand) error {
	gate, err := s.Gate()
	if err != nil {
		return err
	}
	const config = "/etc/atrium/edge.yaml"
	files := map[string]string{config: edgeYAML(gate)}
	if err := s.Issue(ctx, gateway, files, "/etc/atrium/identity"); err != nil {
		return err
	}
	return s.WriteInitrd(stand.Contents{
		Modules: modules(), Programs: []string{"atrium-edge"}, Files: files,
		Plan: plan.Plan{
			Wait:     []string{"/dev/i2c-1"}, // the agent takes a bus that is not there for a wrong configuration
			Programs: []plan.Program{{Args: []string{"/bin/atrium-edge", "run", "--config", config}}},
		},
	})
}

// switchOn starts the board.
func switchOn(ctx context.Context, s *stand.Stand) (*qemu.Machine, error) {
	command, env, err := s.Boot("qemu-system-aarch64", tree)
	if err != nil {
		return nil, err
	}
	return qemu.Start(ctx, qemu.Config{
		Command: slices.Concat(command, []string{
			"-M", "raspi3b", "-accel", "tcg,thread=multi",
			// A panic restarts the board, which ends QEMU.
			"-append", "console=ttyS1,115200 loglevel=4 rdinit=/init panic=-1",
			"-device", "tmp105,id=" + sensorID + ",bus=i2c-bus.1,address=0x48",
			"-netdev", "user,id=n0", "-device", "usb-net,netdev=n0",
		}),
		Env: env, Dir: s.Dir, Consoles: 1, // the first is the PL011, Bluetooth's on a Pi 3
	})
}
