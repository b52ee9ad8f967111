// Package host opens the I2C buses and GPIO chips of the machine that the
// program runs on. It is the only importer of periph's host package, whose
// drivers it initialises by itself: host.Init would also start drivers that map
// /dev/mem at addresses which are wrong on some boards, and fail on others.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2creg"

	// Registers a driver that driverreg.Init starts, as gpioioctl does, which
	// one of sysfs's needs.
	_ "periph.io/x/host/v3/sysfs"
)

const devices = "/dev"

// OpenI2C opens an I2C bus of Linux by its name, "i2c-1" or "/dev/i2c-1". The
// error says what to do when the bus does not exist or may not be opened. The
// caller closes the bus.
func OpenI2C(name string) (i2c.BusCloser, error) {
	path, err := devicePath(name)
	if err != nil {
		return nil, err
	}
	if err := check(path); err != nil {
		return nil, explain(i2cDevices, path, err)
	}
	if _, err := driverreg.Init(); err != nil {
		return nil, fmt.Errorf("host: drivers: %w", err)
	}
	b, err := i2creg.Open(path)
	if err != nil {
		return nil, fmt.Errorf("host: open %s: %w", path, err)
	}
	return b, nil
}

// devicePath accepts i2c-N, with or without /dev/ before it.
func devicePath(name string) (string, error) {
	number, ok := strings.CutPrefix(strings.TrimPrefix(name, devices+"/"), "i2c-")
	if n, err := strconv.ParseUint(number, 10, 16); !ok || err != nil || strconv.FormatUint(n, 10) != number {
		return "", fmt.Errorf("host: I2C bus %q: want a name such as i2c-1 or /dev/i2c-1", name)
	}
	return devices + "/i2c-" + number, nil
}

// check opens the device once by itself, because periph's errors are text that
// names the wrong group, or are only logged.
func check(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// family is one kind of device files, and what to do when one is missing.
type family struct{ what, prefix, group, enable string }

var (
	i2cDevices = family{
		"I2C bus", "/dev/i2c-", "i2c",
		"on a Raspberry Pi enable it with dtparam=i2c_arm=on in config.txt, elsewhere with the board's device-tree overlay, and load i2c-dev",
	}
	gpioDevices = family{
		"GPIO chip", "/dev/gpiochip", "gpio",
		"the kernel makes one for each GPIO controller of the board (CONFIG_GPIO_CDEV)",
	}
)

// explain says what to do about an error of opening a device.
func explain(f family, path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("host: %s does not exist (%s); %s: %w", path, present(f), f.enable, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("host: %s may not be opened; the user must be in the group %s: %w", path, f.group, err)
	}
	return fmt.Errorf("host: %w", err)
}

// present lists the devices that there are.
func present(f family) string {
	found, err := filepath.Glob(f.prefix + "*")
	if err != nil || len(found) == 0 {
		return "this machine has no " + f.what
	}
	slices.Sort(found)
	return "there is " + strings.Join(found, ", ")
}
