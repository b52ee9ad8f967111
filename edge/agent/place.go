package agent

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/hal/line"
	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/profile"
)

// busType returns what kind of bus is written at a place. A GPIO chip under its
// kernel's name need not say so.
func busType(doc *config.Document, at, written, dev string) (string, error) {
	chip := strings.HasPrefix(filepath.Base(dev), "gpiochip")
	switch {
	case written == "" && chip, written == profile.BusGPIO:
		return profile.BusGPIO, nil
	case chip:
		return "", doc.Errorf(config.Join(at, "type"), "want gpio for %s, got %q", dev, written)
	case written == "", written == profile.BusI2C:
		return profile.BusI2C, nil
	}
	return "", doc.Errorf(config.Join(at, "type"), "want i2c or gpio, got %q", written)
}

// sameWires names a bus that is the same one under another name. hal/host takes
// /dev/i2c-1 as i2c-1 too.
func (c *Config) sameWires(b BusConfig) string {
	b.Name, b.Device = "", filepath.Base(b.Device)
	for _, o := range c.Buses {
		name := o.Name
		if o.Name, o.Device = "", filepath.Base(o.Device); o == b {
			return name
		}
	}
	return ""
}

// bus returns the type of the bus of that name, nothing if there is none.
func (c *Config) bus(name string) string {
	for _, b := range c.Buses {
		if b.Name == name {
			return b.Type
		}
	}
	return ""
}

// onAddress checks a device on I2C. places are those that are taken, with the
// device that has them.
func (d *DeviceConfig) onAddress(doc *config.Document, at string, places map[string]string) error {
	if doc.Has(config.Join(at, "lines")) {
		return doc.Errorf(config.Join(at, "lines"), "want address: profile %s is of a device on I2C", d.Profile.ID)
	}
	where, place := config.Join(at, "address"), fmt.Sprintf("%s address %#x", d.Bus, d.Address)
	switch {
	case d.Address == 0:
		return doc.Errorf(at, "want address: profile %s answers at %#x", d.Profile.ID, d.Profile.Bus.Addresses)
	case places[place] != "":
		return doc.Errorf(where, "%s is already device %q's", place, places[place])
	case !d.Profile.Bus.Has(d.Address):
		return doc.Errorf(where, "profile %s answers at %#x", d.Profile.ID, d.Profile.Bus.Addresses)
	}
	places[place] = d.Device.Name
	return nil
}

// onLines checks a device on GPIO lines, as onAddress does.
func (d *DeviceConfig) onLines(doc *config.Document, at string, written map[string]uint16, places map[string]string) error {
	if doc.Has(config.Join(at, "address")) {
		return doc.Errorf(config.Join(at, "address"), "want lines: profile %s is of a device on GPIO lines", d.Profile.ID)
	}
	where := config.Join(at, "lines")
	if !doc.Has(where) {
		names := make([]string, len(d.Profile.Lines))
		for i, l := range d.Profile.Lines {
			names[i] = l.Name
		}
		return doc.Errorf(at, "want lines: the offset on the chip of %s", strings.Join(names, ", "))
	}
	d.Lines = make(map[string]int, len(written))
	for _, name := range slices.Sorted(maps.Keys(written)) {
		d.Lines[name] = int(written[name])
	}
	if _, err := line.New(d.Profile, d.Lines); err != nil {
		return doc.Errorf(where, "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		place := fmt.Sprintf("%s line %d", d.Bus, written[name])
		if places[place] != "" {
			return doc.Errorf(config.Join(where, name), "%s is already device %q's", place, places[place])
		}
		places[place] = d.Device.Name
	}
	return nil
}
