package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/tests/boards/debian"
	"github.com/atrium-iot/atrium/tests/boards/initramfs"
	"github.com/atrium-iot/atrium/tests/boards/qemu"
)

const (
	gateway = "hq/pi3"
	device  = "hq/hall"

	tree       = "broadcom/bcm2837-rpi-3-b.dtb"
	host       = "10.0.2.2" // this machine's loopback, seen from the guest (QEMU's user networking)
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

// board is what a Raspberry Pi 3 boots from.
type board struct {
	packages debian.Set
	programs string // folder with atrium-edge and guest
	dir      string
}

func (b board) identity() string { return filepath.Join(b.dir, "identity") }
func (b board) initrd() string   { return filepath.Join(b.dir, "initrd") }

// modules are the drivers of the board's I2C controller, of its USB controller,
// of QEMU's USB network adapter, and of the watchdog, which restarts the board.
func modules() []string {
	return []string{"i2c-bcm2835", "i2c-dev", "phy-generic", "dwc2", "cdc_ether", "bcm2835_wdt"}
}

// edgeYAML is the agent's configuration in the guest.
func edgeYAML(port string) string {
	return fmt.Sprintf(`gateway: %s
state: /var/lib/atrium
identity: /etc/atrium/identity
cloud: ["%s"]
buses:
  - {name: i2c-1, device: /dev/i2c-1}
devices:
  - {name: %s, profile: ti.tmp105, bus: i2c-1, address: 0x48, every: 1s, deadband: {temperature: 0}}
`, gateway, net.JoinHostPort(host, port), filepath.Base(device))
}

// prepare writes the file system that the kernel starts with. gate is the
// cloud's address on this machine.
func (b board) prepare(gate string) (err error) {
	_, port, err := net.SplitHostPort(gate)
	if err != nil {
		return err
	}
	_, _, folder, err := b.packages.Kernel(tree)
	if err != nil {
		return err
	}
	drivers, err := initramfs.Modules(folder, modules()...)
	if err != nil {
		return err
	}
	out, err := os.Create(b.initrd())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	a := initramfs.NewArchive(out)
	a.Device("dev/console", 5, 1) // Documentation/admin-guide/devices.txt
	var order strings.Builder
	for _, m := range drivers {
		file := "lib/modules/" + m.Name + ".ko"
		a.File(file, m.Data)
		order.WriteString("/" + file + "\n")
	}
	a.File("lib/modules/order", []byte(order.String()))
	a.File("etc/atrium/edge.yaml", []byte(edgeYAML(port)))
	return errors.Join(b.copyFiles(a), a.Close())
}

// copyFiles adds the programs and the gateway's identity.
func (b board) copyFiles(a *initramfs.Archive) error {
	for from, to := range map[string]string{"guest": "init", "atrium-edge": "bin/atrium-edge"} {
		data, err := os.ReadFile(filepath.Join(b.programs, from))
		if err != nil {
			return err
		}
		a.Program(to, data)
	}
	for _, name := range []string{"gateway.crt", "gateway.key", "ca.crt"} {
		data, err := os.ReadFile(filepath.Join(b.identity(), name))
		if err != nil {
			return err
		}
		a.File("etc/atrium/identity/"+name, data)
	}
	return nil
}

// powerOn starts the board.
func (b board) powerOn(ctx context.Context) (*qemu.Machine, error) {
	command, env, err := b.packages.Emulator("qemu-system-aarch64")
	if err != nil {
		return nil, err
	}
	image, dtb, _, err := b.packages.Kernel(tree)
	if err != nil {
		return nil, err
	}
	return qemu.Start(ctx, qemu.Config{
		Command: slices.Concat(command, []string{
			"-M", "raspi3b", "-accel", "tcg,thread=multi",
			"-kernel", image, "-dtb", dtb, "-initrd", b.initrd(),
			// A panic restarts the board, which ends QEMU.
			"-append", "console=ttyS1,115200 loglevel=4 rdinit=/init panic=-1",
			"-device", "tmp105,id=" + sensorID + ",bus=i2c-bus.1,address=0x48",
			"-netdev", "user,id=n0", "-device", "usb-net,netdev=n0",
		}),
		Env: env, Dir: b.dir, Consoles: 1, // the first is the PL011, Bluetooth's on a Pi 3
	})
}
