package regmap

import (
	"fmt"

	"periph.io/x/conn/v3/i2c"

	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/shared/profile"
)

// Bound is a device and the owner of the bus that it hangs on.
type Bound struct {
	device *Device
	owner  *bus.Owner[i2c.Bus]
	at     bus.Address
}

// On binds the device to the owner of its bus.
func (d *Device) On(owner *bus.Owner[i2c.Bus]) *Bound {
	return &Bound{device: d, owner: owner, at: bus.Address(i2c.Addr(d.addr).String())}
}

// Read reads the device once into a sample, as Device.Read says. If it returns
// nil, done is called exactly once, in the owner's goroutine: it must not
// block. The errors are those of bus.Owner.Submit. The next call comes after
// done.
func (b *Bound) Read(into *profile.Sample, done func(error)) error {
	return b.owner.Submit(b.at, b.device.Read(into), done)
}

// Do refuses: the profile language knows no commands of I2C devices.
func (b *Bound) Do(*profile.Command, []float64, func(error)) error {
	return fmt.Errorf("regmap: profile %s has no commands", b.device.profile.ID)
}
