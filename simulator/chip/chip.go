// Package chip holds simulated I2C chips: register state machines written from
// their datasheets, on a bus that answers as a Linux I2C adapter does; and what
// is wired to the lines of a GPIO chip, a relay and a motion detector. They are
// written without knowledge of the firmware profiles that read them, so that a
// fault in one side shows as a disagreement.
//
// A transaction enters through Bus.Tx, which finds the chip by address; the
// chip first lets the time that has passed act (conversions end, registers
// change), then takes the written bytes and produces the read ones. Values come
// from a Probe, which says what the chip's surroundings are like. A line enters
// through GPIO.Line; its Part is told what the host drives, and asked for the
// level that it holds. What a relay switches is a call of its contacts.
//
// A transfer itself takes no time, only a stretched clock does. Faults are not
// here: package fault wraps chips in them. Time is time.Now, so that
// testing/synctest can fake it.
package chip

import (
	"time"

	"github.com/atrium-iot/atrium/simulator/world"
)

// Chip is a target on an I2C bus.
type Chip interface {
	// Tx takes the bytes of one transaction: w written, then r filled, with a
	// repeated start between them; either may be empty, not both. It keeps
	// neither slice. The error is a Fault, or one that the bus passes on as a
	// kernel would. It is safe for concurrent use.
	Tx(w, r []byte) error
}

// Probe returns what surrounds a chip at a moment. It must be a pure function:
// chips ask about moments that have passed.
type Probe func(at time.Time) world.Climate

// Timing says where between its typical and its slowest a part works.
type Timing uint8

const (
	Typical Timing = iota // the datasheet's typical conversion time
	Slowest               // its maximum
)

// Fault is a bus error by the kernel's text for it, the only form in which
// periph hands it on (sysfs wraps with %v), so that errors.Is cannot work on a
// real bus and must not be needed on this one.
type Fault string

// Error returns the kernel's text.
func (f Fault) Error() string { return string(f) }

// NACK is EREMOTEIO: the address or a byte was not acknowledged, as the BCM2835
// BSC driver reports it (drivers/i2c/busses/i2c-bcm2835.c).
const NACK Fault = "remote I/O error"
