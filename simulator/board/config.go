package board

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/simulator/chip"
	"github.com/atrium-iot/atrium/simulator/world"
)

const (
	// maxBuses bounds a board: a Raspberry Pi 4 has eight I2C controllers.
	maxBuses = 16
	// maxGPIO bounds it likewise: two chips of its own and eight expanders.
	maxGPIO = 16
)

// Config is a board: its rooms, its buses and GPIO chips and what is on them.
type Config struct {
	Seed  uint64
	Clock Clock
	Rooms map[string]world.Room
	Buses []Bus
	GPIO  []GPIO
}

// Bus is one I2C bus of a board.
type Bus struct {
	Name  string
	Chips []Chip
}

// Chip is one chip on a bus.
type Chip struct {
	Type    string // a key of the table of types
	Address uint16 // 7 bits
	Room    string // of a sensor: a key of Config.Rooms
	Device  id.Device
	Timing  chip.Timing
}

// chipType is what a kind of chip allows in a configuration.
type chipType struct {
	first, last uint16 // its addresses
	counter     bool   // has a device and no room
}

// chipTypes returns the kinds of chips. The address pins give TMP102 and
// ADS1115 four addresses, BME280 and SHT31 two; a counter's are free of all.
func chipTypes() map[string]chipType {
	return map[string]chipType{
		"tmp102":  {first: 0x48, last: 0x4b},
		"bme280":  {first: 0x76, last: 0x77},
		"sht31":   {first: 0x44, last: 0x45},
		"ads1115": {first: 0x48, last: 0x4b},
		"counter": {first: 0x20, last: 0x27, counter: true},
	}
}

// The file's own shape; what is absent is told from what is zero by pointers.
type (
	fileConfig struct {
		Seed  uint64              `yaml:"seed"`
		Pace  *int64              `yaml:"pace" range:"1..600"`
		Hour  *float64            `yaml:"hour" range:"0..24"`
		Rooms map[string]fileRoom `yaml:"rooms"`
		Buses []fileBus           `yaml:"buses"`
		GPIO  []fileGPIO          `yaml:"gpio"`
	}
	fileRoom struct {
		Temperature *float64       `yaml:"temperature" range:"-40..85"`
		Swing       *float64       `yaml:"swing" range:"0..60"`
		Inertia     *time.Duration `yaml:"inertia" range:"..1000h"`
		Humidity    *float64       `yaml:"humidity" range:"0..100"`
		People      *int           `yaml:"people" range:"0..50"` // world.MaxPeople
	}
	fileBus struct {
		Name  string     `yaml:"name,required"`
		Chips []fileChip `yaml:"chips,required"`
	}
	fileChip struct {
		Type    string `yaml:"type,required"`
		Address uint16 `yaml:"address,required"`
		Room    string `yaml:"room"`
		Device  string `yaml:"device"`
		Timing  string `yaml:"timing"`
	}
)

// ParseConfig reads a board's YAML. file is used in errors only, which name
// line, column and key.
func ParseConfig(file string, data []byte) (*Config, error) {
	doc, err := config.Parse(file, data)
	if err != nil {
		return nil, err
	}
	var f fileConfig
	if err := doc.Decode(&f); err != nil {
		return nil, err
	}
	c := &Config{Seed: f.Seed, Clock: Clock{Pace: 1, Hour: f.Hour}, Rooms: make(map[string]world.Room, len(f.Rooms))}
	set(&c.Clock.Pace, f.Pace)
	for name, room := range f.Rooms {
		c.Rooms[name] = room.room()
	}
	switch n, m := len(f.Buses), len(f.GPIO); {
	case n > maxBuses || n == 0 && m == 0:
		return nil, doc.Errorf("$.buses", "want 1 to %d buses, or GPIO chips alone, got %d", maxBuses, n)
	case m > maxGPIO:
		return nil, doc.Errorf("$.gpio", "want at most %d GPIO chips, got %d", maxGPIO, m)
	}
	p := &parser{doc: doc, config: c, types: chipTypes(), names: map[string]bool{}, devices: map[id.Device]bool{}}
	for i, bus := range f.Buses {
		if err := p.bus(config.Index("$.buses", i), bus); err != nil {
			return nil, err
		}
	}
	for i, one := range f.GPIO {
		if err := p.gpio(config.Index("$.gpio", i), one); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (f fileRoom) room() world.Room {
	r := world.DefaultRoom()
	set(&r.Temperature, f.Temperature)
	set(&r.Swing, f.Swing)
	set(&r.Inertia, f.Inertia)
	set(&r.Humidity, f.Humidity)
	set(&r.People, f.People)
	return r
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// parser checks what the shape cannot say.
type parser struct {
	doc     *config.Document
	config  *Config
	types   map[string]chipType
	names   map[string]bool
	devices map[id.Device]bool
}

func (p *parser) bus(path string, f fileBus) error {
	if err := p.name(path, f.Name); err != nil {
		return err
	}
	bus := Bus{Name: f.Name}
	taken := map[uint16]bool{}
	for i, one := range f.Chips {
		at := config.Index(path+".chips", i)
		c, err := p.chip(at, one)
		if err != nil {
			return err
		}
		if taken[c.Address] {
			return p.doc.Errorf(at+".address", "address %#x is already taken on bus %q", c.Address, f.Name)
		}
		taken[c.Address] = true
		bus.Chips = append(bus.Chips, c)
	}
	p.config.Buses = append(p.config.Buses, bus)
	return nil
}

// name takes the name of a bus or GPIO chip: faults tell both by it.
func (p *parser) name(path, name string) error {
	switch {
	case name == "" || len(name) > id.MaxName:
		return p.doc.Errorf(path+".name", "want 1 to %d bytes, got %d", id.MaxName, len(name))
	case p.names[name]:
		return p.doc.Errorf(path+".name", "bus %q is already on this board", name)
	}
	p.names[name] = true
	return nil
}

func (p *parser) chip(at string, f fileChip) (Chip, error) {
	fault := func(key, format string, args ...any) (Chip, error) {
		return Chip{}, p.doc.Errorf(at+"."+key, format, args...)
	}
	kind, ok := p.types[f.Type]
	if !ok {
		return fault("type", "want one of %s, got %q", names(p.types), f.Type)
	}
	if f.Address < kind.first || f.Address > kind.last {
		return fault("address", "want %#x to %#x for a %s, got %#x", kind.first, kind.last, f.Type, f.Address)
	}
	c := Chip{Type: f.Type, Address: f.Address, Room: f.Room}
	switch f.Timing {
	case "", "typical":
	case "slowest":
		c.Timing = chip.Slowest
	default:
		return fault("timing", "want typical or slowest, got %q", f.Timing)
	}
	if !kind.counter {
		if f.Device != "" {
			return fault("device", "only a counter has a device")
		}
		if _, ok := p.config.Rooms[f.Room]; !ok {
			return fault("room", "want one of the rooms %s, got %q", names(p.config.Rooms), f.Room)
		}
		return c, nil
	}
	if f.Room != "" || f.Timing != "" {
		return fault("type", "a counter has a device, and neither room nor timing")
	}
	var err error
	if c.Device, err = id.ParseDevice(f.Device); err != nil {
		return fault("device", "%v", err)
	}
	if p.devices[c.Device] {
		return fault("device", "%s is already on this board", c.Device)
	}
	p.devices[c.Device] = true
	return c, nil
}

func names[T any](m map[string]T) string {
	if len(m) == 0 {
		return "(none)"
	}
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

// part is the seed of one chip's trimming: its own, and the same in each run.
func (c *Config) part(bus string, address uint16) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%d", c.Seed, bus, address)
	return h.Sum64()
}
