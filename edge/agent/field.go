package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"periph.io/x/conn/v3/i2c"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/hal/host"
	"github.com/atrium-iot/atrium/hal/regmap"
	"github.com/atrium-iot/atrium/hal/remote"
	"github.com/atrium-iot/atrium/shared/id"
)

// field is what hangs on the gateway: its buses, each with its one owner, and
// the devices that are sampled. One goroutine uses it.
type field struct {
	sampler *device.Sampler
	buf     *buffer.Buffer
	log     *slog.Logger
	reg     prometheus.Registerer

	buses   map[string]*openBus
	devices map[id.Device]DeviceConfig
}

type openBus struct {
	cfg   BusConfig
	bus   i2c.BusCloser
	owner *bus.Owner[i2c.Bus]
}

// change is what separates the devices that run from those that are wanted.
type change struct {
	open   []BusConfig
	shut   []string // buses that went or changed
	remove []id.Device
	add    []DeviceConfig
}

// diff compares what runs with what is wanted. A device restarts when it, its
// profile or its bus changed.
func diff(buses map[string]BusConfig, devices map[id.Device]DeviceConfig, want *Config) change {
	var c change
	kept := map[string]bool{}
	for _, b := range want.Buses {
		if buses[b.Name] == b {
			kept[b.Name] = true
			continue
		}
		c.open = append(c.open, b)
	}
	for name := range buses {
		if !kept[name] {
			c.shut = append(c.shut, name)
		}
	}
	same := map[id.Device]bool{}
	for _, d := range want.Devices {
		if old, ok := devices[d.Device]; ok && kept[d.Bus] && old.equal(d) {
			same[d.Device] = true
			continue
		}
		c.add = append(c.add, d)
	}
	for dev := range devices {
		if !same[dev] {
			c.remove = append(c.remove, dev)
		}
	}
	slices.Sort(c.shut)
	slices.SortFunc(c.remove, func(a, b id.Device) int { return strings.Compare(a.String(), b.String()) })
	return c
}

func (d DeviceConfig) equal(o DeviceConfig) bool {
	return d.Device == o.Device && d.Bus == o.Bus && d.Address == o.Address && d.Every == o.Every && d.Heartbeat == o.Heartbeat &&
		d.Profile.ID == o.Profile.ID && d.Profile.Version == o.Profile.Version && d.Profile.Digest == o.Profile.Digest &&
		maps.Equal(d.Deadband, o.Deadband)
}

// apply makes the field what cfg says. Buses are opened before anything is
// taken away: if one cannot be, nothing changes.
func (f *field) apply(ctx context.Context, cfg *Config) error {
	running := make(map[string]BusConfig, len(f.buses))
	for name, b := range f.buses {
		running[name] = b.cfg
	}
	c := diff(running, f.devices, cfg)
	fresh, err := openAll(ctx, c.open, f.log)
	if err != nil {
		return err
	}
	var failed error
	for _, dev := range c.remove {
		failed = errors.Join(failed, f.sampler.Remove(ctx, dev))
		delete(f.devices, dev)
	}
	for _, name := range c.shut {
		failed = errors.Join(failed, f.buses[name].close(ctx))
		delete(f.buses, name)
	}
	for _, b := range fresh {
		b.owner = bus.New[i2c.Bus](b.cfg.Name, b.bus, bus.Config{}, f.log, f.reg)
		f.buses[b.cfg.Name] = b
	}
	for _, d := range c.add {
		if err := f.addDevice(d); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		f.devices[d.Device] = d
	}
	return failed
}

func (f *field) addDevice(d DeviceConfig) error {
	cfg := device.Config{Device: d.Device, Profile: d.Profile, Every: d.Every, Heartbeat: d.Heartbeat, Deadband: d.Deadband}
	series, err := f.buf.Series(d.Device, d.Profile.Body(), d.Profile.Digest, cfg.Grid())
	if err != nil {
		return fmt.Errorf("agent: %s: %w", d.Device, err)
	}
	return f.sampler.Add(cfg, regmap.New(d.Profile, d.Address).On(f.buses[d.Bus].owner), series)
}

// names lists the devices that run, for bind.
func (f *field) names() []id.Device {
	return slices.SortedFunc(maps.Keys(f.devices), func(a, b id.Device) int { return strings.Compare(a.String(), b.String()) })
}

// close ends sampling, after the reads in flight are in the buffer, and then
// the buses.
func (f *field) close(ctx context.Context) error {
	err := f.sampler.Stop(ctx)
	for _, name := range slices.Sorted(maps.Keys(f.buses)) {
		err = errors.Join(err, f.buses[name].close(ctx))
	}
	f.buses = nil
	return err
}

func openAll(ctx context.Context, list []BusConfig, log *slog.Logger) ([]*openBus, error) {
	var opened []*openBus
	for _, cfg := range list {
		b, err := open(ctx, cfg, log)
		if err != nil {
			err = fmt.Errorf("agent: bus %s: %w", cfg.Name, err)
			for _, o := range opened {
				err = errors.Join(err, o.bus.Close())
			}
			return nil, err
		}
		opened = append(opened, &openBus{cfg: cfg, bus: b})
	}
	return opened, nil
}

// open opens a bus. A /dev/i2c-N that does not exist is a fault of the
// configuration or the kernel's and ends the start. A board that does not answer
// may come later, and nobody may be there to start the gateway again: its bus
// connects with the first read that finds it, and reads fail until then
// (atrium_bus_errors_total, kind "unreachable").
func open(ctx context.Context, cfg BusConfig, log *slog.Logger) (i2c.BusCloser, error) {
	if cfg.Device != "" {
		return host.OpenI2C(cfg.Device)
	}
	b, err := remote.Dial(ctx, cfg.Board, cfg.BoardName)
	var away *remote.UnreachableError
	if errors.As(err, &away) {
		log.Warn("the board does not answer yet; reads fail until it does", "bus", cfg.Name, "board", cfg.Board, "err", err)
		return remote.New(cfg.Board, cfg.BoardName)
	}
	return b, err
}

// close finishes what is in flight. A bus whose owner is stuck in the kernel
// stays open: closing it would wait for the same ioctl.
func (b *openBus) close(ctx context.Context) error {
	if err := b.owner.Close(ctx); err != nil {
		return fmt.Errorf("agent: bus %s: %w", b.cfg.Name, err)
	}
	if err := b.bus.Close(); err != nil {
		return fmt.Errorf("agent: bus %s: %w", b.cfg.Name, err)
	}
	return nil
}
