package fleet

import (
	"bytes"
	"fmt"
	"io"
	"strconv"

	"periph.io/x/conn/v3/i2c"

	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/simulator/board"
	"github.com/atrium-iot/atrium/simulator/world"
)

// MaxDevices bounds the devices of a gateway: sixteen full buses.
const MaxDevices = 16 * chipsABus

// room is the only one of a board.
const room = "room"

// kind is a place on a bus and what sits there.
type kind struct {
	chip    string
	address uint16
	profile string
}

// chipsABus is how many kinds there are; each sits on a bus once.
const chipsABus = 8

// kinds are what a bus holds at most: a mix of slow and quick, of one and of
// several points. A counter begins again with the process.
var kinds = [chipsABus]kind{
	{"counter", 0x20, "atrium.counter"},
	{"tmp102", 0x48, "ti.tmp102"},
	{"bme280", 0x76, "bosch.bme280"},
	{"sht31", 0x44, "sensirion.sht31"},
	{"ads1115", 0x49, "ti.ads1115"},
	{"counter", 0x21, "atrium.counter"},
	{"bme280", 0x77, "bosch.bme280"},
	{"sht31", 0x45, "sensirion.sht31"},
}

// placed is a device of a gateway.
type placed struct {
	kind
	name string
	bus  string
}

// chips returns the devices of a gateway, eight a bus.
func chips(n int) []placed {
	out := make([]placed, n)
	for i := range out {
		out[i] = placed{kinds[i%chipsABus], "d" + strconv.Itoa(i+1), "b" + strconv.Itoa(i/chipsABus+1)}
	}
	return out
}

// deviceOf names a device: a site has many gateways.
func deviceOf(gw id.Gateway, p placed) id.Device {
	return id.Device{Site: gw.Site, Name: gw.Name + "-" + p.name}
}

// powered is a gateway's board in this process.
type powered struct{ buses map[string]i2c.Bus }

func (f *Fleet) newBoard(i int) (powered, error) {
	gw := f.gateways[i]
	cfg := board.Config{Seed: f.cfg.Seed + uint64(i), Clock: board.Clock{Pace: 1}, Rooms: map[string]world.Room{room: world.DefaultRoom()}}
	for _, p := range chips(f.cfg.Devices) {
		if n := len(cfg.Buses); n == 0 || cfg.Buses[n-1].Name != p.bus {
			cfg.Buses = append(cfg.Buses, board.Bus{Name: p.bus})
		}
		c := board.Chip{Type: p.chip, Address: p.address, Room: room}
		if p.chip == "counter" {
			c.Room, c.Device = "", deviceOf(gw.name, p)
		}
		b := &cfg.Buses[len(cfg.Buses)-1]
		b.Chips = append(b.Chips, c)
	}
	made, err := board.New(&cfg, nil, nil)
	if err != nil {
		return powered{}, err
	}
	return powered{made.Buses()}, nil
}

// wires gives the agent its bus.
func (b powered) wires(cfg agent.BusConfig) (io.Closer, error) {
	bus, ok := b.buses[cfg.Name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", errNoBus, cfg.Name)
	}
	return soldered{bus}, nil
}

// soldered is a bus that nobody closes: it goes with its board.
type soldered struct{ i2c.Bus }

// Close implements i2c.BusCloser.
func (soldered) Close() error { return nil }

// document is a gateway's edge.yaml.
func (f *Fleet) document(gw gateway, state string) []byte {
	var d bytes.Buffer
	fmt.Fprintf(&d, "gateway: %s\nstate: %q\nidentity: %q\ncloud: [%q]\nhttp: \"\"\nbuffer: {mode: spill}\n", gw.name, state, gw.identity, f.cfg.Cloud)
	var buses, devices bytes.Buffer
	last := ""
	for _, p := range chips(f.cfg.Devices) {
		if p.bus != last {
			last = p.bus
			fmt.Fprintf(&buses, "  - {name: %s, board: fleet, board-bus: %s}\n", p.bus, p.bus)
		}
		fmt.Fprintf(&devices, "  - {name: %s, profile: %s, bus: %s, address: %#x, every: %s}\n", deviceOf(gw.name, p).Name, p.profile, p.bus, p.address, f.cfg.Every)
	}
	fmt.Fprintf(&d, "buses:\n%sdevices:\n%s", buses.String(), devices.String())
	return d.Bytes()
}
