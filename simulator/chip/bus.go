package chip

import (
	"errors"
	"fmt"
	"maps"
	"sync"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

const (
	// maxAddress is the last 7-bit address; the BSC adapter has no 10-bit ones.
	maxAddress = 0x7f
	// maxMessage is the kernel's limit on one message of I2C_RDWR
	// (drivers/i2c/i2c-dev.c, i2cdev_ioctl_rdwr).
	maxMessage = 8192
)

var _ i2c.BusCloser = (*Bus)(nil)

// Bus is an I2C bus of simulated chips. Its errors have the texts of periph's
// sysfs bus over a Linux adapter (periph.io/x/host/v3/sysfs/i2c.go). It is safe
// for concurrent use; transactions of one bus exclude each other, as the
// adapter's lock in the kernel makes them.
type Bus struct {
	name  string
	chips map[uint16]Chip

	mu sync.Mutex // held for a transaction; a chip blocks only while it stretches the clock
}

// NewBus returns a bus named name with chips at their 7-bit addresses.
func NewBus(name string, chips map[uint16]Chip) (*Bus, error) {
	for addr := range chips {
		if addr > maxAddress {
			return nil, fmt.Errorf("chip: bus %s: address %#x: want 0 to %#x", name, addr, maxAddress)
		}
	}
	return &Bus{name: name, chips: maps.Clone(chips)}, nil
}

// String returns the bus's name.
func (b *Bus) String() string { return b.name }

// Tx does one transaction with the chip at addr.
func (b *Bus) Tx(addr uint16, w, r []byte) error {
	switch {
	case addr > maxAddress:
		return errors.New("sysfs-i2c: invalid address")
	case len(w) == 0 && len(r) == 0:
		return nil // periph's sysfs bus makes no transaction of it either
	case len(w) > maxMessage || len(r) > maxMessage:
		return wrap(Fault("invalid argument")) // EINVAL
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.chips[addr]
	if !ok {
		return wrap(NACK)
	}
	if err := c.Tx(w, r); err != nil {
		return wrap(err)
	}
	return nil
}

// wrap is what periph's sysfs bus does to an error of the ioctl.
func wrap(err error) error { return fmt.Errorf("sysfs-i2c: %v", err) }

// SetSpeed refuses, as a Linux adapter does: its speed is the device tree's.
func (b *Bus) SetSpeed(physic.Frequency) error {
	return errors.New("sysfs-i2c: not supported")
}

// Close does nothing: the chips stay powered when a host closes its bus.
func (b *Bus) Close() error { return nil }
