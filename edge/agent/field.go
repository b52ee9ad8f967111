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

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/device"
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
	return d.Device == o.Device && d.Bus == o.Bus && d.Address == o.Address && maps.Equal(d.Lines, o.Lines) && d.Every == o.Every && d.Heartbeat == o.Heartbeat &&
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
	fresh, err := openAll(ctx, c.open, cfg.Wires, f.log)
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
		b.serve(f.log, f.reg)
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
	events, err := f.buf.EventSeries(d.Device, device.HealthBody(), [32]byte{})
	if err != nil {
		return fmt.Errorf("agent: %s: %w", d.Device, err)
	}
	dev, err := f.buses[d.Bus].bind(d)
	if err != nil {
		return fmt.Errorf("agent: %s: %w", d.Device, err)
	}
	return f.sampler.Add(cfg, dev, series, events)
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
