package agent

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
)

// world names buses and devices for the table: "i2c-1" or "i2c-1=/dev/i2c-9",
// and "hall@i2c-1" with what differs from the default after a colon.
func world(buses, devices string) *Config {
	tmp := &profile.Profile{ID: "ti.tmp102", Version: 1, Digest: [32]byte{1}}
	c := &Config{}
	for _, name := range strings.Fields(buses) {
		name, dev, ok := strings.Cut(name, "=")
		if !ok {
			dev = "/dev/" + name
		}
		c.Buses = append(c.Buses, BusConfig{Name: name, Device: dev})
	}
	for _, d := range strings.Fields(devices) {
		d, changed, _ := strings.Cut(d, ":")
		name, bus, _ := strings.Cut(d, "@")
		dc := DeviceConfig{Device: id.Device{Site: "hq", Name: name}, Profile: tmp, Bus: bus, Address: 0x48, Every: time.Second}
		switch changed {
		case "address":
			dc.Address++
		case "line":
			dc.Lines = map[string]int{"out": 1}
		case "every":
			dc.Every++
		case "heartbeat":
			dc.Heartbeat++
		case "deadband":
			dc.Deadband = map[id.Point]float64{"temperature": 1}
		case "version":
			dc.Profile = &profile.Profile{ID: "ti.tmp102", Version: 2, Digest: [32]byte{1}}
		case "digest":
			dc.Profile = &profile.Profile{ID: "ti.tmp102", Version: 1, Digest: [32]byte{2}}
		}
		c.Devices = append(c.Devices, dc)
	}
	return c
}

func (c change) String() string {
	var s []string
	for _, b := range c.open {
		s = append(s, "open "+b.Name)
	}
	for _, b := range c.shut {
		s = append(s, "shut "+b)
	}
	for _, d := range c.remove {
		s = append(s, "remove "+d.Name)
	}
	for _, d := range c.add {
		s = append(s, "add "+d.Device.Name)
	}
	return strings.Join(s, ", ")
}

func TestAReloadTouchesOnlyWhatChanged(t *testing.T) {
	const buses, devices = "i2c-1 i2c-2", "hall@i2c-1 lobby@i2c-2"
	for _, c := range []struct{ name, buses, devices, want string }{
		{"nothing changed", buses, devices, ""},
		{"another order", "i2c-2 i2c-1", "lobby@i2c-2 hall@i2c-1", ""},
		{"a device came", buses, devices + " roof@i2c-1", "add roof"},
		{"a device went", buses, "lobby@i2c-2", "remove hall"},
		{"a device changed its bus", buses, "hall@i2c-2 lobby@i2c-2", "remove hall, add hall"},
		{"a bus came", buses + " i2c-3", devices, "open i2c-3"},
		{"a bus went with its device", "i2c-1", "hall@i2c-1", "shut i2c-2, remove lobby"},
		{"a bus lies elsewhere: its devices start again", "i2c-1=/dev/i2c-9 i2c-2", devices, "open i2c-1, shut i2c-1, remove hall, add hall"},
		{"everything went", "", "", "shut i2c-1, shut i2c-2, remove hall, remove lobby"},
	} {
		if got := diffOf(world(buses, devices), world(c.buses, c.devices)).String(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for _, part := range []string{"address", "line", "every", "heartbeat", "deadband", "version", "digest"} {
		got := diffOf(world("i2c-1", "hall@i2c-1 lobby@i2c-1"), world("i2c-1", "hall@i2c-1:"+part+" lobby@i2c-1")).String()
		if got != "remove hall, add hall" {
			t.Errorf("a device changed its %s: %q, want that it starts again", part, got)
		}
	}
	if got := diffOf(&Config{}, world(buses, devices)).String(); got != "open i2c-1, open i2c-2, add hall, add lobby" {
		t.Errorf("from nothing: %q", got)
	}
}

func diffOf(running, want *Config) change {
	buses, devices := map[string]BusConfig{}, map[id.Device]DeviceConfig{}
	for _, b := range running.Buses {
		buses[b.Name] = b
	}
	for _, d := range running.Devices {
		devices[d.Device] = d
	}
	before := fmt.Sprint(maps.Clone(buses))
	c := diff(buses, devices, want)
	if fmt.Sprint(buses) != before {
		panic("BUG: diff changed what runs")
	}
	return c
}

func TestTheKeysThatWaitForARestartAreNamed(t *testing.T) {
	base := Config{Gateway: id.Gateway{Site: "hq", Name: "gw"}, Cloud: []string{"a:1"}, HTTP: "h:1", Log: "info"}
	for key, change := range map[string]func(*Config){
		"gateway":   func(c *Config) { c.Gateway.Name = "gw-2" },
		"state":     func(c *Config) { c.State = "x" },
		"identity":  func(c *Config) { c.Identity = "x" },
		"cloud":     func(c *Config) { c.Cloud = []string{"a:1", "b:1"} },
		"http":      func(c *Config) { c.HTTP = "" },
		"log":       func(c *Config) { c.Log = "warn" },
		"drain":     func(c *Config) { c.Drain = time.Hour },
		"reconnect": func(c *Config) { c.Reconnect = time.Minute },
		"buffer":    func(c *Config) { c.Buffer.Limit = 1 },
	} {
		next := base
		change(&next)
		if got := base.fixedDifferences(&next); len(got) != 1 || got[0] != key {
			t.Errorf("after a change of %s: %v", key, got)
		}
	}
	next := base
	next.Devices = []DeviceConfig{{}}
	if got := base.fixedDifferences(&next); len(got) != 0 {
		t.Errorf("devices wait for no restart, got %v", got)
	}
}
