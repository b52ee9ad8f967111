package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"periph.io/x/conn/v3/i2c"

	"github.com/atrium-iot/atrium/edge/device"
	"github.com/atrium-iot/atrium/hal/bus"
	"github.com/atrium-iot/atrium/hal/host"
	"github.com/atrium-iot/atrium/hal/line"
	"github.com/atrium-iot/atrium/hal/regmap"
	"github.com/atrium-iot/atrium/hal/remote"
	"github.com/atrium-iot/atrium/shared/profile"
)

// openBus is a bus or a GPIO chip, and from serve on its owner.
type openBus struct {
	cfg   BusConfig
	wires io.Closer // an i2c.BusCloser or a line.Chip
	owner interface {
		Close(ctx context.Context) error
	}
	// bind returns a device that hangs on it.
	bind func(d DeviceConfig) (device.Device, error)
}

// openAll opens the buses, all or none.
func openAll(ctx context.Context, list []BusConfig, own func(BusConfig) (io.Closer, error), log *slog.Logger) ([]*openBus, error) {
	if own == nil {
		own = func(cfg BusConfig) (io.Closer, error) { return open(ctx, cfg, log) }
	}
	var opened []*openBus
	for _, cfg := range list {
		wires, err := own(cfg)
		if err != nil {
			err = fmt.Errorf("agent: bus %s: %w", cfg.Name, err)
			for _, o := range opened {
				err = errors.Join(err, o.wires.Close())
			}
			return nil, err
		}
		opened = append(opened, &openBus{cfg: cfg, wires: wires})
	}
	return opened, nil
}

// open opens a bus. A /dev/i2c-N or /dev/gpiochipN that does not exist is a
// fault of the configuration or the kernel's and ends the start. A board that
// does not answer may come later, and nobody may be there to start the gateway
// again: its bus connects with the first read that finds it, and reads fail
// until then (atrium_bus_errors_total, kind "unreachable").
func open(ctx context.Context, cfg BusConfig, log *slog.Logger) (io.Closer, error) {
	gpio := cfg.Type == profile.BusGPIO
	switch {
	case cfg.Device != "" && gpio:
		return host.OpenLines(cfg.Device)
	case cfg.Device != "":
		return host.OpenI2C(cfg.Device)
	case gpio:
		return openRemote(ctx, cfg, log, remote.DialLines, remote.NewLines)
	}
	return openRemote(ctx, cfg, log, remote.Dial, remote.New)
}

func openRemote[B io.Closer](ctx context.Context, cfg BusConfig, log *slog.Logger,
	dial func(ctx context.Context, socket, name string) (B, error), later func(socket, name string) (B, error),
) (io.Closer, error) {
	b, err := dial(ctx, cfg.Board, cfg.BoardName)
	var away *remote.UnreachableError
	if errors.As(err, &away) {
		log.Warn("the board does not answer yet; reads fail until it does", "bus", cfg.Name, "board", cfg.Board, "err", err)
		b, err = later(cfg.Board, cfg.BoardName)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// serve gives the bus to an owner.
func (b *openBus) serve(log *slog.Logger, reg prometheus.Registerer) {
	if chip, ok := b.wires.(line.Chip); ok {
		owner := bus.New(b.cfg.Name, chip, bus.Config{}, log, reg)
		b.owner, b.bind = owner, func(d DeviceConfig) (device.Device, error) {
			dev, err := line.New(d.Profile, d.Lines)
			if err != nil {
				return nil, err
			}
			return dev.On(owner), nil
		}
		return
	}
	owner := bus.New[i2c.Bus](b.cfg.Name, b.wires.(i2c.BusCloser), bus.Config{}, log, reg)
	b.owner, b.bind = owner, func(d DeviceConfig) (device.Device, error) {
		return regmap.New(d.Profile, d.Address).On(owner), nil
	}
}

// close finishes what is in flight. A bus whose owner is stuck in the kernel
// stays open: closing it would wait for the same ioctl.
func (b *openBus) close(ctx context.Context) error {
	if err := b.owner.Close(ctx); err != nil {
		return fmt.Errorf("agent: bus %s: %w", b.cfg.Name, err)
	}
	if err := b.wires.Close(); err != nil {
		return fmt.Errorf("agent: bus %s: %w", b.cfg.Name, err)
	}
	return nil
}
