package agent

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/uplink"
	profiles "github.com/atrium-iot/atrium/firmware-profiles"
	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

// Config is a gateway's edge.yaml, checked: every name resolves.
type Config struct {
	File     string // where it was read from, for SIGHUP
	Gateway  id.Gateway
	State    string // folder of the buffer, the only one written to
	Identity string // folder with gateway.crt, gateway.key, ca.crt
	Cloud    []string
	HTTP     string
	Log      string
	Drain    time.Duration // how long a stop waits for acks
	// Reconnect is the longest wait between two dials.
	Reconnect time.Duration
	Memory    int64 // bytes that the process should not exceed
	Buffer    BufferConfig
	Buses     []BusConfig
	Devices   []DeviceConfig

	// Wires opens a bus for a program that has its own: an i2c.BusCloser or a
	// line.Chip. Nil opens Linux devices and boards.
	Wires func(BusConfig) (io.Closer, error)
	// Running is called once everything has started, with a function that tells
	// the status until Run returns. Nil is not called.
	Running func(status func() Status)

	doc     *config.Document      // for the places of what only the start can find wrong
	written func() (int64, error) // bytes to storage; nil unless the process is this gateway's own
}

// errorf reports a fault of a top-level key at its place in the file.
func (c *Config) errorf(key, format string, args ...any) error {
	return c.doc.Errorf(config.Join("$", key), format, args...)
}

// BufferConfig bounds what waits for the cloud.
type BufferConfig struct {
	Mode                   buffer.Mode
	CommitInterval, Linger time.Duration
	Limit, Events          int64 // bytes of telemetry and of events on disk
	Reserve, Memory        int64 // bytes that stay free on disk, bytes not committed
	WriteBudget            int64 // bytes a day
}

// BusConfig says how a bus or a GPIO chip is opened: a Linux device, or a
// simulated board's over its socket.
type BusConfig struct {
	Name             string
	Type             string // profile.BusI2C or profile.BusGPIO
	Device           string
	Board, BoardName string
}

// DeviceConfig is one device with its resolved profile.
type DeviceConfig struct {
	Device    id.Device
	Profile   *profile.Profile
	Bus       string
	Address   uint16         // on I2C
	Lines     map[string]int // on GPIO: the offset on the chip, by the profile's name
	Every     time.Duration
	Heartbeat time.Duration
	Deadband  map[id.Point]float64 // in the point's unit; absent: the profile's
}

// document is edge.yaml as written.
type document struct {
	Gateway  id.Gateway    `yaml:"gateway,required"`
	State    string        `yaml:"state,required"`
	Identity string        `yaml:"identity,required"`
	Cloud    []string      `yaml:"cloud,required"`
	HTTP     string        `yaml:"http"`
	Log      string        `yaml:"log"`
	Drain    time.Duration `yaml:"drain" range:"0s..5m"`
	// Below a second a gate that is down is only kept busy.
	Reconnect time.Duration `yaml:"reconnect" range:"1s..10m"`
	Profiles  string        `yaml:"profiles"`
	// Below 24 MiB the collector never rests; above 4 GiB nothing is limited on
	// any gateway.
	Memory config.Size `yaml:"memory-limit" range:"24MiB..4GiB"`
	Buffer struct {
		Mode   string        `yaml:"mode"`
		Commit time.Duration `yaml:"commit-interval" range:"100ms..1m"`
		// Beyond a second a live view is no longer live.
		Linger time.Duration `yaml:"linger" range:"1ms..1s"`
		Limit  config.Size   `yaml:"limit" range:"1MiB..1024GiB"`
		Events config.Size   `yaml:"events" range:"1MiB..16GiB"`
		// A value log file: a full file system is a SIGBUS inside Badger.
		Reserve config.Size `yaml:"reserve" range:"8MiB..1024GiB"`
		// buffer.MinMaxMemory, rounded up.
		Memory config.Size `yaml:"memory" range:"1MiB..64MiB"`
		// An hour of commits, one a second, is some 40 MiB on flash.
		WriteBudget config.Size `yaml:"write-budget" range:"64MiB..1024GiB"`
	} `yaml:"buffer"`
	Buses []struct {
		Name     string `yaml:"name,required"`
		Type     string `yaml:"type"`
		Device   string `yaml:"device"`
		Board    string `yaml:"board"`
		BoardBus string `yaml:"board-bus"`
	} `yaml:"buses,required"`
	Devices []struct {
		Name    string `yaml:"name,required"`
		Profile string `yaml:"profile,required"`
		Bus     string `yaml:"bus,required"`
		// 7-bit addresses without those that the I2C specification reserves
		// (UM10204, table 4).
		Address   uint16             `yaml:"address" range:"0x08..0x77"`
		Lines     map[string]uint16  `yaml:"lines"`
		Every     time.Duration      `yaml:"every" range:"10ms..24h"`
		Heartbeat time.Duration      `yaml:"heartbeat" range:"0s..24h"`
		Deadband  map[string]float64 `yaml:"deadband"`
	} `yaml:"devices,required"`
}

// defaults are what a gateway with 512 MB of memory and an SD card wants.
func defaults() document {
	var d document
	d.HTTP = "127.0.0.1:7481"
	d.Log = "info"
	d.Drain = 5 * time.Second
	d.Reconnect = uplink.DefaultMaxBackoff
	d.Buffer.Mode = "spill"
	d.Buffer.Commit = time.Second
	d.Buffer.Linger = 50 * time.Millisecond
	d.Memory = 64 << 20
	d.Buffer.Limit = 256 << 20
	d.Buffer.Events = 16 << 20
	d.Buffer.WriteBudget = 4 << 30
	d.Buffer.Reserve = 24 << 20
	d.Buffer.Memory = 2 << 20
	return d
}

// LoadConfig reads and checks edge.yaml. Errors name file, line and column.
func LoadConfig(file string) (*Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return ParseConfig(file, data)
}

// ParseConfig is LoadConfig for bytes; relative paths in them are relative to
// file's folder.
func ParseConfig(file string, data []byte) (*Config, error) {
	doc, err := config.Parse(file, data)
	if err != nil {
		return nil, err
	}
	d := defaults()
	if err := doc.Decode(&d); err != nil {
		return nil, err
	}
	if _, err := ops.NewLogger(io.Discard, d.Log); err != nil {
		return nil, doc.Errorf("$.log", "want debug, info, warn or error, got %q", d.Log)
	}
	mode, err := buffer.ParseMode(d.Buffer.Mode)
	if err != nil {
		return nil, doc.Errorf("$.buffer.mode", "%v", err)
	}
	if d.Buffer.Limit < d.Buffer.Memory {
		return nil, doc.Errorf("$.buffer.limit", "want at least memory, %v, got %v", d.Buffer.Memory, d.Buffer.Limit)
	}
	if d.Buffer.Events < d.Buffer.Memory {
		return nil, doc.Errorf("$.buffer.events", "want at least memory, %v, got %v", d.Buffer.Memory, d.Buffer.Events)
	}
	beside := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(filepath.Dir(file), path)
	}
	c := &Config{
		doc: doc, File: file, Gateway: d.Gateway, State: beside(d.State), Identity: beside(d.Identity), Cloud: d.Cloud, HTTP: d.HTTP, Log: d.Log, Drain: d.Drain, Reconnect: d.Reconnect, Memory: int64(d.Memory),
		Buffer: BufferConfig{
			Mode: mode, CommitInterval: d.Buffer.Commit, Linger: d.Buffer.Linger, Limit: int64(d.Buffer.Limit), Events: int64(d.Buffer.Events),
			Reserve: int64(d.Buffer.Reserve), Memory: int64(d.Buffer.Memory), WriteBudget: int64(d.Buffer.WriteBudget),
		},
	}
	if err := checkAddresses(doc, c); err != nil {
		return nil, err
	}
	if err := c.addBuses(doc, &d, beside); err != nil {
		return nil, err
	}
	library, err := loadProfiles(beside(d.Profiles))
	if err != nil {
		return nil, err
	}
	return c, c.addDevices(doc, &d, library)
}

func checkAddresses(doc *config.Document, c *Config) error {
	if len(c.Cloud) == 0 {
		return doc.Errorf("$.cloud", "want at least one HOST:PORT")
	}
	for i, a := range c.Cloud {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return doc.Errorf(config.Index("$.cloud", i), "want HOST:PORT: %v", err)
		}
	}
	if c.HTTP != "" {
		if _, _, err := net.SplitHostPort(c.HTTP); err != nil {
			return doc.Errorf("$.http", "want HOST:PORT, or nothing for none: %v", err)
		}
	}
	return nil
}

func (c *Config) addBuses(doc *config.Document, d *document, beside func(string) string) error {
	for i, b := range d.Buses {
		at := config.Index("$.buses", i)
		if c.bus(b.Name) != "" {
			return doc.Errorf(config.Join(at, "name"), "bus %q is named twice", b.Name)
		}
		switch {
		case (b.Device == "") == (b.Board == ""):
			return doc.Errorf(at, "want either device (such as /dev/i2c-1 or /dev/gpiochip0) or board and board-bus (a simulated board's socket and bus)")
		case b.Board != "" && b.BoardBus == "":
			return doc.Errorf(at, "want board-bus beside board: the name of the bus on the board, such as sim-i2c-1")
		}
		kind, err := busType(doc, at, b.Type, b.Device)
		if err != nil {
			return err
		}
		bc := BusConfig{Name: b.Name, Type: kind, Device: b.Device, Board: beside(b.Board), BoardName: b.BoardBus}
		if other := c.sameWires(bc); other != "" {
			return doc.Errorf(at, "bus %q is on the same wires: a bus has one owner", other)
		}
		c.Buses = append(c.Buses, bc)
	}
	return nil
}

func (c *Config) addDevices(doc *config.Document, d *document, library map[string]*profile.Profile) error {
	if n := len(d.Devices); n > wire.MaxDevices {
		return doc.Errorf("$.devices", "%d devices, a gateway has at most %d", n, wire.MaxDevices)
	}
	names, places := map[string]bool{}, map[string]string{}
	for i, e := range d.Devices {
		at := config.Index("$.devices", i)
		dev, err := id.ParseDevice(string(c.Gateway.Site) + "/" + e.Name)
		if err != nil {
			return doc.Errorf(config.Join(at, "name"), "%v", err)
		}
		p, kind := library[e.Profile], c.bus(e.Bus)
		switch {
		case names[e.Name]:
			return doc.Errorf(config.Join(at, "name"), "device %q is named twice", e.Name)
		case p == nil:
			return doc.Errorf(config.Join(at, "profile"), "unknown profile %q: known are %s", e.Profile, strings.Join(slices.Sorted(maps.Keys(library)), ", "))
		case kind == "":
			return doc.Errorf(config.Join(at, "bus"), "unknown bus %q: name it under buses", e.Bus)
		case kind != p.Bus.Type:
			return doc.Errorf(config.Join(at, "bus"), "profile %s is for a bus of type %s, %s is of type %s", e.Profile, p.Bus.Type, e.Bus, kind)
		}
		names[e.Name] = true
		dc := DeviceConfig{Device: dev, Profile: p, Bus: e.Bus, Address: e.Address, Every: e.Every, Heartbeat: e.Heartbeat}
		if dc.Every == 0 {
			dc.Every = p.Every
		}
		if kind == profile.BusGPIO {
			err = dc.onLines(doc, at, e.Lines, places)
		} else {
			err = dc.onAddress(doc, at, places)
		}
		if err != nil {
			return err
		}
		if dc.Deadband, err = deadbands(doc, at, p, e.Deadband); err != nil {
			return err
		}
		c.Devices = append(c.Devices, dc)
	}
	return nil
}

func deadbands(doc *config.Document, at string, p *profile.Profile, written map[string]float64) (map[id.Point]float64, error) {
	out := make(map[id.Point]float64, len(written))
	for name, v := range written {
		where := config.Join(config.Join(at, "deadband"), name)
		if _, ok := p.Point(id.Point(name)); !ok {
			return nil, doc.Errorf(where, "profile %s has no point %q", p.ID, name)
		}
		if v < 0 {
			return nil, doc.Errorf(where, "want 0 or more in the point's unit, got %v", v)
		}
		out[id.Point(name)] = v
	}
	return out, nil
}

// loadProfiles returns the built-in profiles and, over them, those of dir.
func loadProfiles(dir string) (map[string]*profile.Profile, error) {
	library := map[string]*profile.Profile{}
	sources := []struct {
		at string
		fs fs.FS
	}{{"built-in", profiles.FS()}}
	if dir != "" {
		sources = append(sources, struct {
			at string
			fs fs.FS
		}{dir, os.DirFS(dir)})
	}
	for _, s := range sources {
		for _, pattern := range []string{"*.yaml", "*/profile.yaml"} {
			files, err := fs.Glob(s.fs, pattern)
			if err != nil {
				return nil, fmt.Errorf("profiles: %s: %w", s.at, err)
			}
			for _, f := range files {
				data, err := fs.ReadFile(s.fs, f)
				if err != nil {
					return nil, fmt.Errorf("profiles: %s: %w", s.at, err)
				}
				p, err := profile.Parse(filepath.Join(s.at, f), data)
				if err != nil {
					return nil, err
				}
				library[p.ID] = p
			}
		}
	}
	return library, nil
}
