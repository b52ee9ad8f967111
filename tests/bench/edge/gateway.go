package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/edge/uplink"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
	"github.com/atrium-iot/atrium/tests/bench/workload"
)

const site = "bench"

// uptime is how long the gateway's kernel claims to run, so that no row of a
// long backlog is in the future.
const uptime = 365 * 24 * time.Hour

// gateway is a gateway without sensors: the real buffer on the real store, and
// the real uplink.
type gateway struct {
	buf       *buffer.Buffer
	socket    net.PacketConn
	transport *quic.Transport
	devices   []id.Device
	series    []*buffer.Series
	noise     *rand.PCG
	next      int64 // tick of the next row

	stop  context.CancelFunc // of the uplink; nil while it does not run
	ended chan error
}

// openGateway opens a buffer in a folder; the caller closes what it returns.
func openGateway(ctx context.Context, dir string, linger time.Duration) (*gateway, error) {
	g := &gateway{noise: rand.NewPCG(1, 2), ended: make(chan error, 1)}
	store, err := buffer.OpenBadger(filepath.Join(dir, "state"), discard())
	if err != nil {
		return nil, err
	}
	start := time.Now()
	cfg := buffer.Config{Mode: buffer.Spill, Linger: linger, Boot: id.Boot{1}, Board: id.Board{1}, Now: func() time.Duration { return uptime + time.Since(start) }}
	if g.buf, err = buffer.Open(ctx, cfg, store, discard(), nil); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	g.buf.SetClock(start.Add(-uptime).UnixMicro(), 1, wire.ClockSystem)
	for i := range workload.Devices {
		g.devices = append(g.devices, workload.Device(site, i))
		s, err := g.buf.Series(g.devices[i], workload.Body(), [32]byte{1}, 0)
		if err != nil {
			return nil, errors.Join(err, g.buf.Close(ctx))
		}
		g.series = append(g.series, s)
	}
	if g.socket, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(err, g.buf.Close(ctx))
	}
	g.transport = uplink.Transport(g.socket)
	return g, nil
}

// fill makes a backlog of at least so many bytes, of values that do not
// compress: what is measured is the way, not the codec.
func (g *gateway) fill(ctx context.Context, bytes int64) error {
	v := make([]int64, workload.Points)
	for {
		s := g.buf.Stats()
		if s.StoredBytes >= bytes {
			return nil
		}
		if s.MemoryBytes > buffer.DefaultMaxMemory/2 { // the disk's turn
			if err := sleep(ctx, time.Millisecond); err != nil {
				return err
			}
			continue
		}
		for _, series := range g.series {
			for range 100 {
				g.next++
				for i := range v {
					v[i] = int64(g.noise.Uint64())
				}
				if err := series.Append(g.next, 0, v, 0); err != nil {
					return err
				}
			}
		}
	}
}

// connect runs an uplink to a gate.
func (g *gateway) connect(gate string, creds *tls.Config, commands uplink.Commands) *uplink.Uplink {
	warnings := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	u := uplink.New(uplink.Config{Cloud: []string{gate}, TLS: creds, Agent: "bench", Commands: commands},
		uplink.FromBuffer(g.buf), g.transport, warnings, nil)
	u.SetDevices(g.devices)
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	go func() { g.ended <- u.Run(ctx) }()
	return u
}

func (g *gateway) disconnect() error {
	if g.stop == nil {
		return nil
	}
	g.stop()
	g.stop = nil
	return <-g.ended
}

func (g *gateway) close(ctx context.Context) error {
	return errors.Join(g.disconnect(), g.buf.Close(ctx), g.transport.Close(), g.socket.Close())
}

func discard() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// await looks until ok says yes, for a minute at most.
func await(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("%s took over a minute", what))
	defer cancel()
	for {
		done, err := ok()
		if done || err != nil {
			return err
		}
		if sleep(ctx, 5*time.Millisecond) != nil {
			return context.Cause(ctx)
		}
	}
}
